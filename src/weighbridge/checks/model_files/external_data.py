"""Check `external-data`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise

from weighbridge.analysis.references import climbs, resolve
from weighbridge.core.check import Audit, check
from weighbridge.core.evidence import Table
from weighbridge.core.finding import Action, Finding, Gap, GapKind
from weighbridge.core.location import Location
from weighbridge.core.tree import Reference

SHOWN = 50
WEIGHTS = frozenset({
    "safetensors", "torch", "zip", "gguf", "npy", "npz", "hdf5", "pickle", "tensor-data", "msgpack",
    "keras", "tar", "onnx-tensor", "coreml-weights",
    "ocdbt-data",
})  # fmt: skip
"""What weights are kept in; other things have no business among them."""
POINTER = ("git-lfs-pointer",)
"""Weights that were not downloaded: a gap, which the pointer's own check says."""


@check("external-data", control="payload-scan", reads=Audit)
def external_data(audit: Audit) -> Iterator[Finding | Gap]:
    """A model takes its weights from files that are not its own, or not as it says.

    ## Why it matters
    ONNX models above 2 GB, sharded checkpoints and others name the files that their weights are
    in. A name such as `../../etc/passwd` makes the loader read that file into a tensor, from where
    it leaves with the model's answers. Ranges that overlap or lie beyond a file's end are how
    loaders were made to read memory that is not theirs.

    ## What to do
    Do not load a model that names files outside its folder. Ask for one whose files are all there.

    ## Limits
    Whether your loader refuses such names depends on its version. Files that are named and not
    there are a gap: what would be loaded is not known.

    ## References
    - https://nvd.nist.gov/vuln/detail/CVE-2022-25882
    - https://nvd.nist.gov/vuln/detail/CVE-2024-27318
    - https://cwe.mitre.org/data/definitions/22.html
    """
    if not audit.references:
        return
    sizes = {Location(f.path): f.size for f in audit.files}
    formats = {Location(f.path): f.formats for f in audit.files}
    sizes |= {Location(a.where.path, a.where.inside): a.size for a in audit.artifacts}
    known = {Location(a.where.path, a.where.inside): a.formats for a in audit.artifacts}
    groups: dict[tuple[Location, str], list[Reference]] = defaultdict(list)
    for reference in (r for r in audit.references if r.kind == "tensors"):
        groups[reference.at, reference.path].append(reference)
    lost: dict[Location, list[str]] = defaultdict(list)
    for (at, path), references in groups.items():
        meant = resolve(references[0])
        if climbs(references[0]):
            yield Finding(
                message=f"it takes weights from {path[:200]!r}, outside its folder",
                at=at,
                action=Action.REVIEW if meant in sizes else Action.BLOCK,
                symbol=path[:200],
                evidence=(_table(references),),
            )
        elif meant is None or (not at.inside and meant not in sizes):
            lost[at].append(path)
        elif meant in sizes:
            names = known.get(meant) or formats.get(meant, ())
            if names and not WEIGHTS.intersection(names) and names != POINTER:
                yield Finding(
                    message=f"it takes weights from {path[:200]!r}, which is {', '.join(names)}",
                    at=at,
                    action=Action.REVIEW,
                    symbol=path[:200],
                    evidence=(_table(references),),
                )
            if names != POINTER:
                yield from _ranges(at, path, references, sizes[meant])
    for at, paths in lost.items():
        more = f" and {len(paths) - 3:,} more" if len(paths) > 3 else ""
        listed = ", ".join(repr(p[:80]) for p in paths[:3])
        why = f"weights are in files that are not here: {listed}{more}"
        yield Gap(kind=GapKind.NOT_GIVEN, message=why, at=at)


def _ranges(at: Location, path: str, references: list[Reference], size: int) -> Iterator[Finding]:
    outside = [r for r in references if r.start + (r.size or 0) > size]
    if outside:
        yield Finding(
            message=f"{len(outside):,} tensors lie beyond the end of {path[:200]!r}",
            at=at,
            action=Action.REVIEW,
            symbol=f"beyond {path[:200]}",
            evidence=(_table(outside),),
        )
    ranges = sorted({(r.start, r.start + r.size): r for r in references if r.size}.items())
    crossing = [b for ((_, end), _), ((start, _), b) in pairwise(ranges) if start < end]
    if crossing:
        yield Finding(
            message=f"{len(crossing):,} tensors overlap others in {path[:200]!r}",
            at=at,
            action=Action.REVIEW,
            symbol=f"overlap {path[:200]}",
            evidence=(_table(crossing),),
        )


def _table(references: list[Reference]) -> Table:
    rows = tuple(
        (r.what[:120], f"{r.start:,}", f"{r.size:,}" if r.size is not None else "to the end")
        for r in references[:SHOWN]
    )
    return Table("What is taken from there", ("tensor", "from byte", "bytes"), rows)
