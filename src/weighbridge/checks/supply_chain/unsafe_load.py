"""Check `unsafe-load`."""

from __future__ import annotations

from collections.abc import Iterator

from weighbridge.analysis.declared import Torch, torch
from weighbridge.analysis.practices import practices, told
from weighbridge.analysis.training_kinds import Kind
from weighbridge.analysis.training_ways import Judged, decides
from weighbridge.core.check import Audit, check
from weighbridge.core.fact import Practice
from weighbridge.core.finding import Action, Finding
from weighbridge.core.location import within


@check("unsafe-load", control="training-code", reads=Audit)
def unsafe_load(audit: Audit) -> Iterator[Finding]:
    """Something that was downloaded is rebuilt by a loader that runs what the file says.

    ## Why it matters
    A pickle is a program. Whoever can change the file at its address (its owner, whoever took over
    the account, for plain HTTP anybody on the way) runs their code on the machine that trains, with
    its credentials and its data, and can replace what is trained.

    ## What to do
    Load safetensors, or `torch.load(…, weights_only=True)`. Where neither is possible, name a
    commit (`revision=`) or compare a digest before loading.

    ## Limits
    A download is followed through names, files, attributes and functions of the same file, not
    into other files. It counts as checked if a digest is worked out in the function that
    downloads; whether it is compared rightly is not judged. For `torch.load` without
    `weights_only` the versions of torch that the repository declares decide: safe from 2.6 on.

    ## References
    - https://docs.pytorch.org/docs/stable/generated/torch.load.html
    - https://docs.python.org/3/library/pickle.html
    - https://cwe.mitre.org/data/definitions/502.html
    - https://cwe.mitre.org/data/definitions/494.html
    """
    versions: dict[str, Torch] = {}
    judged = []
    for practice in practices(audit, Kind.LOAD):
        part = within(practice.at.path)[0]
        if part not in versions:
            versions[part] = torch(audit.blobs, part)
        judged.append(_judge(practice, versions[part]))
    yield from told(
        audit, judged, "a download is rebuilt, in a way that is pinned, checked or safe"
    )


def _judge(practice: Practice, admitted: Torch) -> Judged:
    traits = practice.traits
    source = "what is downloaded" if practice.detail in ("", "{}") else practice.detail
    does = f"{practice.symbol} rebuilds {source}"
    if "pinned" in traits or "checked" in traits:
        how = "a full commit" if "pinned" in traits else "its digest"
        return Judged(practice, Action.NOTE, f"{does}, which is held to {how}")
    who, runs = decides(practice.detail), f"{practice.symbol} runs what the file says"
    if "unsafe" in traits:
        what = f"{does}, running whatever code the file holds"
        return Judged(practice, Action.BLOCK, what, "", who, runs)
    if admitted.safe:
        return Judged(practice, Action.NOTE, f"{does}; safe by default with {admitted.said}")
    if admitted.unsafe:
        why = f"and runs whatever code the file holds with {admitted.said}"
        return Judged(practice, Action.BLOCK, f"{does}, {why}", "", who, runs)
    by = f"which the repository admits ({admitted.said})" if admitted.said else "if one is there"
    what = f"{does}; code in it runs with torch before 2.6, {by}"
    runs += " with torch before 2.6"
    return Judged(practice, Action.REVIEW, what, "", who, runs)
