"""Check `layer-record`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Final

from weighbridge.analysis.image_records import Differing, differing
from weighbridge.core.check import Audit, check
from weighbridge.core.evidence import Table
from weighbridge.core.fact import LayerPackages
from weighbridge.core.finding import Action, Finding, Gap
from weighbridge.core.location import Location

SHOWN: Final = 100


@check("layer-record", control="dependencies", reads=Audit)
def layer_record(audit: Audit) -> Iterator[Finding | Gap]:
    """A file of an installed package is not what the package's record says, in an image.

    ## Why it matters
    An installer writes a list of all files of a package with their digests. A file that differs
    was changed after the install: patched by whoever built the image, or by what ran there. One
    that a later layer changes is a step of the build of its own.

    ## What to do
    Compare the file with the wheel on the index. If the change is meant, ship it as a patch that
    can be read; otherwise build the image again from what is pinned.

    ## Limits
    Files and records count as the image shows them: what a later layer takes away accuses nobody.
    Layers are joined by the image's manifest; one that no manifest names is held against its own
    records. Files of no package and compiled modules are told for an unpacked environment
    (`--env`) alone. The record lies beside the files, and whoever changes them can write a new one.

    ## References
    - https://packaging.python.org/en/latest/specifications/recording-installed-packages/
    - https://github.com/opencontainers/image-spec/blob/main/layer.md
    - https://cwe.mitre.org/data/definitions/353.html
    """
    for fact in audit.facts:
        if isinstance(fact, LayerPackages):
            yield from fact.gaps
    groups: dict[tuple[Location, bool], list[Differing]] = defaultdict(list)
    for one in differing(audit):
        groups[one.at, one.later].append(one)
    for (at, later), those in groups.items():
        those.sort(key=lambda one: one.path)
        first = those[0].path
        many = f"{len(those):,} files ({first[:160]}, …) are" if len(those) > 1 else (
            f"{first[:200]} is"
        )  # fmt: skip
        where = "in a layer above the one that" if later else "in the layer that"
        yield Finding(
            message=f"{many} not what the package's record says, {where} the package is in",
            at=at.into(first),
            action=Action.REVIEW,
            symbol="changed in a later layer" if later else "changed in its layer",
            evidence=(
                Table(
                    "The files",
                    ("file", "record"),
                    tuple((one.path[:300], one.record[:300]) for one in those[:SHOWN]),
                ),
            ),
        )
