"""Check `published-digest`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from weighbridge.core.check import Audit, check
from weighbridge.core.evidence import Comparison, Table
from weighbridge.core.finding import Action, Finding, Gap, GapKind
from weighbridge.core.location import Location
from weighbridge.core.origin import Declared, Origin
from weighbridge.core.report import FileRecord

WHOLE: Final = Location(".")
SHOWN: Final = 50


@check("published-digest", control="integrity", reads=Audit)
def published_digest(audit: Audit) -> Iterator[Finding | Gap]:
    """Every file is the one that its publisher or a record names, by its digest.

    ## Why it matters
    The Hub's own client does not hold a download against its digest: a file that was exchanged on
    the way, in a cache or by a mirror is loaded like any other.

    ## What to do
    Do not use a file that differs; download it again over another way and compare. What was only
    declared and not recomputed is proved by `weighbridge verify` once the files are on disk.

    ## Limits
    A digest from the same place as the file shows that nothing changed on the way. It does not show
    that the publisher published what they meant to: whoever could replace the file could replace
    its digest. So such a match leaves the control at *warn*; a lock or a signature by an identity
    of your policy does not.

    ## References
    - https://www.rfc-editor.org/rfc/rfc6234
    - https://cwe.mitre.org/data/definitions/494.html
    """
    origin = audit.origin
    if not audit.files:
        return
    if origin is None or not origin.files:
        hashed = sum(1 for f in audit.files if f.sha256 is not None)
        if hashed:
            yield Gap(
                kind=GapKind.NOT_GIVEN,
                message=f"sha256 recorded for {hashed:,} of {len(audit.files):,} files; "
                "no digest of independent origin was given to compare them with",
                at=Location(audit.files[0].path if len(audit.files) == 1 else "."),
            )
        return
    declared = {file.path: file for file in origin.files}
    matching: list[str] = []
    unproved: list[FileRecord] = []
    nameless: list[FileRecord] = []
    for record in audit.files:
        said = declared.get(record.path)
        if said is None or (said.sha256 is None and said.git is None):
            nameless.append(record)
        elif differs := _difference(record, said):
            yield Finding(
                message=f"its content is not what {_source(origin)} names: another {differs[0]}",
                at=Location(record.path),
                action=Action.BLOCK,
                symbol=record.path,
                evidence=(
                    Comparison(differs[0], _source(origin), differs[1], "computed", differs[2]),
                ),
            )
        elif record.sha256 is None:
            unproved.append(record)
        else:
            matching.append(record.path)
    if nameless:
        yield Finding(
            message=f"{len(nameless):,} of {len(audit.files):,} files are not in what "
            f"{_source(origin)} lists with a digest",
            at=WHOLE,
            action=Action.REVIEW,
            symbol="not listed",
            evidence=(_listed("Not listed", nameless),),
        )
    told = f"{len(matching):,} of {len(audit.files):,} files have the digest that "
    told += f"{_source(origin)} names"
    if unproved:
        told += (
            f", {len(unproved):,} were read in parts: their digests are declared, not recomputed"
        )
    if matching or unproved:
        evidence = (_listed("Declared, not recomputed", unproved),) if unproved else ()
        yield Finding(
            message=f"{told}; digest and file come from the same place",
            at=WHOLE,
            action=Action.REVIEW,
            symbol="same origin",
            evidence=evidence,
        )


def _difference(record: FileRecord, said: Declared) -> tuple[str, str, str] | None:
    """What differs, as it was declared and as it was computed."""
    if said.size is not None and said.size != record.size:
        return "size", f"{said.size:,} bytes", f"{record.size:,} bytes"
    if said.sha256 is not None and record.sha256 is not None and said.sha256 != record.sha256:
        return "sha256", said.sha256, record.sha256
    if said.sha256 is None and said.git is not None and record.git not in (None, said.git):
        return "git blob id", said.git, record.git or ""
    return None


def _source(origin: Origin) -> str:
    return {
        "hub": "the Hub",
        "hub-cache": "the cache's record",
        "hub-folder": "the download's record",
        "git": "the commit",
        "ollama": "the manifest",
        "oci": "the manifest",
    }.get(origin.kind, "its source")


def _listed(title: str, records: list[FileRecord]) -> Table:
    rows = tuple((r.path, f"{r.size:,}", r.declared or "") for r in records[:SHOWN])
    more = f" (the first {SHOWN} of {len(records):,})" if len(records) > SHOWN else ""
    return Table(title + more, ("file", "bytes", "sha256 by its word"), rows)
