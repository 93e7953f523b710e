"""Check `remote-code-trusted`."""

from __future__ import annotations

from collections.abc import Iterator

from weighbridge.analysis.declared import is_own, own_names
from weighbridge.analysis.practices import practices, told
from weighbridge.analysis.training_kinds import Kind
from weighbridge.analysis.training_ways import Judged, decides
from weighbridge.core.check import Audit, check
from weighbridge.core.fact import Practice
from weighbridge.core.finding import Action, Finding
from weighbridge.core.location import within


@check("remote-code-trusted", control="training-code", reads=Audit)
def remote_code_trusted(audit: Audit) -> Iterator[Finding]:
    """Code of somebody else's repository is let in without naming a commit.

    ## Why it matters
    `trust_remote_code=True`, `torch.hub.load` and data sets with a script import Python from a
    repository whose owner can change it at any time. It runs where the model is trained.

    ## What to do
    Name a full commit (`revision=`, `code_revision=`, `owner/name:commit`), read the code at that
    commit, or use a library that knows the architecture. Let callers decide by an argument whose
    default is False.

    ## Limits
    Only names that the file spells are reviewed; a call that lets in the code of whatever its
    caller names is noted. Whether the repository holds code at all is not looked up.

    ## References
    - https://huggingface.co/docs/transformers/custom_models
    - https://docs.pytorch.org/docs/stable/hub.html
    - https://cwe.mitre.org/data/definitions/829.html
    """
    own: dict[str, frozenset[str]] = {}
    judged = []
    for practice in practices(audit, Kind.TRUST, Kind.DATA_SCRIPT, Kind.TRUST_ANY):
        part = within(practice.at.path)[0]
        if part not in own:
            own[part] = own_names(audit.blobs, part)
        judged.append(_judge(practice, own[part]))
    yield from told(
        audit, judged, "code is let in that is pinned, the repository's own, or not named"
    )


def _judge(practice: Practice, own: frozenset[str]) -> Judged:
    if practice.kind == Kind.TRUST_ANY:
        default = "default" in practice.traits
        said = "lets in code by default" if default else "lets in the code of what it is given"
        return Judged(practice, Action.NOTE, f"{practice.symbol} {said}")
    script = practice.kind == Kind.DATA_SCRIPT
    about = practice.detail
    if "pinned" in practice.traits:
        return Judged(practice, Action.NOTE, "code is let in at a commit", about)
    if practice.symbol == "torch.hub.load" and is_own(about, own):
        return Judged(practice, Action.NOTE, "the repository's own newest code is let in", about)
    what = "the script of a data set" if script else "code of another repository"
    does = f"{practice.symbol} imports and runs its code"
    said = f"{what} is run, in whatever state it is"
    return Judged(practice, Action.REVIEW, said, about, decides(about), does)
