"""Check `installed-record`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Final

from weighbridge.analysis.ownership import PART, Ownership, made_from, ownership, source_of
from weighbridge.core.check import Audit, check
from weighbridge.core.document import Malformed
from weighbridge.core.evidence import Table
from weighbridge.core.finding import Action, Finding, Gap, GapKind
from weighbridge.core.location import Location, within
from weighbridge.core.regex import regex
from weighbridge.core.report import FileRecord

SHOWN: Final = 100
_OF_TOOLS: Final = regex(
    r"_virtualenv\.(?:py|pth)|README\.txt|\.lock|[^/]+\.dist-info/(?:INSTALLER|REQUESTED|RECORD"
    r"(?:\.jws|\.p7s)?|direct_url\.json|uv_(?:cache|build)\.json|uv_build\.json)"
    r"|__pycache__/_virtualenv\.[\w-]+\.pyc"
)
"""What installers and virtualenv write beside the packages."""


@check("installed-record", control="dependencies", reads=Audit)
def installed_record(audit: Audit) -> Iterator[Finding | Gap]:
    """What is installed is not what its packages put there.

    ## Why it matters
    Python imports whatever lies in site-packages. A module that was changed after the install, one
    that no package owns, or compiled code without a source is how code stays in an environment
    that was looked at when it was built.

    ## What to do
    Build the environment anew from a lock with hashes. Compare what is told here with the
    package's release before you delete it.

    ## Limits
    A record lies beside its files: who changes a file can change its record. Compiled modules in
    `__pycache__` have no digest; their headers alone are compared with their sources. Of conda the
    records in `conda-meta` count, for the files as they were put there; links have no digest.
    Packages that neither conda nor an installer of Python has installed have no record.

    ## References
    - https://packaging.python.org/en/latest/specifications/recording-installed-packages/
    - https://peps.python.org/pep-0552/
    - https://attack.mitre.org/techniques/T1554/
    """
    files = {file.path: file for file in audit.files}
    found = ownership(audit.blobs, files)
    if not found.records and not found.conda and not found.faults:
        if PART in audit.joined:
            why = "no package with a record was found in the environment"
            yield Gap(kind=GapKind.NOT_GIVEN, message=why, at=Location(f"{PART}:"))
        return
    for path, why in found.faults:
        yield Gap(kind=GapKind.MALFORMED, message=f"the record cannot be read: {why}",
                  at=Location(path))  # fmt: skip
    if found.unrecorded:
        count = len(found.unrecorded)
        why = f"{count:,} packages have no record ({found.unrecorded[0].rpartition('/')[2]}, …)"
        yield Gap(kind=GapKind.NOT_GIVEN, message=why, at=Location(found.unrecorded[0]))
    yield from _compared(found, files)
    yield from _strays(audit, found, files)


def _compared(found: Ownership, files: dict[str, FileRecord]) -> Iterator[Finding | Gap]:
    changed: dict[str, list[str]] = defaultdict(list)
    missing: dict[str, list[str]] = defaultdict(list)
    unhashed = silent = 0
    for path, owner in found.owned.items():
        file = files.get(path)
        if file is None:
            if owner.sha256:
                missing[owner.package].append(path)
        elif not owner.sha256:
            silent += not path.endswith((".pyc", "/RECORD"))
        elif file.sha256 is None:
            unhashed += 1
        elif file.sha256 != owner.sha256:
            changed[owner.package].append(path)
    for package, paths in sorted(changed.items()):
        yield _finding(sorted(paths), f"changed since {package} was installed", Action.REVIEW)
    for package, paths in sorted(missing.items()):
        yield _finding(sorted(paths), f"in the record of {package} and not there", Action.NOTE)
    if unhashed:
        why = f"{unhashed:,} installed files were not compared: their digests were not computed"
        yield Gap(kind=GapKind.NOT_GIVEN, message=why, at=Location(_first(found)))
    if silent:
        why = f"{silent:,} installed files have no digest (sha256) in the record"
        yield Gap(kind=GapKind.NOT_GIVEN, message=why, at=Location(_first(found)))


def _strays(
    audit: Audit, found: Ownership, files: dict[str, FileRecord]
) -> Iterator[Finding | Gap]:
    """What lies among the packages and belongs to none."""
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    stale: list[str] = []
    derived = 0
    for path in sorted(files):
        if path in found.owned and not path.endswith(".pyc"):
            continue  # nearly all of them
        home = _home(path, found.folders)
        if home is None:
            continue
        inner = path[len(_below(home)) :]
        if _OF_TOOLS.fullmatch(inner):
            continue
        source = source_of(path) if path.endswith(".pyc") else None
        if source is not None and source in files:
            if not made_from(_head(audit, path), files[source].size):
                stale.append(path)
            derived += 1
            continue
        if path not in found.owned:
            groups[home, inner.partition("/")[0]].append(path)
    for (_, top), paths in sorted(groups.items()):
        compiled = all(p.endswith(".pyc") for p in paths)
        what = "compiled code without its source, of no package" if compiled else "of no package"
        yield _finding(paths, what, Action.REVIEW, top)
    if stale:
        what = "compiled from another source than the one beside it, or to be run whatever it says"
        yield _finding(stale, what, Action.REVIEW)
    if derived:
        why = f"{derived:,} compiled modules have no digest: of those, the headers were compared " \
            "with their sources"  # fmt: skip
        yield Gap(kind=GapKind.NOT_GIVEN, message=why, at=Location(_first(found)))


def _first(found: Ownership) -> str:
    """A record, to name where records are."""
    return next(iter((*found.records, *found.conda)))


def _home(path: str, folders: Mapping[str, int]) -> str | None:
    """The nearest folder above a file that packages were installed into."""
    part, inner = within(path)
    prefix = f"{part}:" if part else ""
    while inner:
        inner = inner.rpartition("/")[0]
        if prefix + inner in folders:
            return prefix + inner
    return None


def _below(folder: str) -> str:
    return folder if not folder or folder.endswith(":") else f"{folder}/"


def _head(audit: Audit, path: str) -> bytes:
    blob = audit.blobs.get(path)
    try:
        return b"" if blob is None else blob.read(0, 16)
    except (OSError, Malformed):
        return b""
    finally:
        close = getattr(blob, "close", None)
        if close is not None:
            close()


def _finding(paths: list[str], what: str, action: Action, symbol: str = "") -> Finding:
    many = f"{len(paths):,} files ({paths[0][:160]}, …) are" if len(paths) > 1 else (
        f"{paths[0][:200]} is"
    )  # fmt: skip
    return Finding(
        message=f"{many} {what}",
        at=Location(paths[0]),
        action=action,
        symbol=symbol or what,
        evidence=(Table("The files", ("file",), tuple((p[:300],) for p in paths[:SHOWN])),),
    )
