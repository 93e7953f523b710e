"""Check `index-wheel`."""

from __future__ import annotations

from collections.abc import Iterator

from weighbridge.analysis.listed import wheel_name
from weighbridge.core.check import Audit, check
from weighbridge.core.evidence import Comparison
from weighbridge.core.finding import Action, Finding, Gap, GapKind
from weighbridge.core.location import Location


@check("index-wheel", control="dependencies", reads=Audit)
def index_wheel(audit: Audit) -> Iterator[Finding | Gap]:
    """A wheel has another content than the index names for a file of that name.

    ## Why it matters
    An index never exchanges a file. A wheel that bears the name of one and has another digest was
    changed after it was downloaded, or built by somebody else; its own record proves nothing, since
    who changes a wheel writes a new one.

    ## What to do
    Take the wheel from the index again. If it is a build of your own, give it a version of its own
    (`1.0+own`), so that nobody takes it for the other.

    ## Limits
    Known only where the index was asked (`--ask-index`, `--index`) and names a sha256. A file that
    the index does not list is not judged, and said to be so. Wheels inside of archives are left
    out.

    ## References
    - https://packaging.python.org/en/latest/specifications/simple-repository-api/
    - https://cwe.mitre.org/data/definitions/353.html
    """
    asked = audit.index
    if asked is None:
        return
    for file in audit.files:
        name = wheel_name(file.path)
        if not name:
            continue
        at, index = Location(file.path), asked.indexes[0]
        listing = asked.listings.get((index, name))
        base = file.path.rpartition("/")[2].rpartition(":")[2]
        listed = next((f for f in listing.files if f.name == base), None) if listing else None
        said = listed.digests.get("sha256") if listed is not None else None
        if listing is None or said is None or file.sha256 is None:
            why = asked.failed.get((index, name), f"{index} does not name its digest")
            if file.sha256 is None:
                why = "its digest was not computed"
            message = f"the wheel was not held against an index: {why}"
            yield Gap(kind=GapKind.NOT_GIVEN, message=message, at=at)
        elif said != file.sha256:
            yield Finding(
                message=f"this is not the {base[:160]} that {index} has",
                at=at,
                action=Action.BLOCK,
                symbol=base[:200],
                evidence=(
                    Comparison("sha256", index, said, "this file", file.sha256),
                ),
            )  # fmt: skip
