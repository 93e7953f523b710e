"""What changed between two audits, file by file and control by control, and what that means."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from msgspec import Struct

from weighbridge.core.change import DIFFERENCE_SCHEMA, Change, Difference, FileChange
from weighbridge.core.control import ControlVerdict, Verdict
from weighbridge.core.finding import Action, Finding
from weighbridge.core.report import FileRecord, Report
from weighbridge.core.trust import Lock, LockedFile

_WORSE: Final = {
    ControlVerdict.NOT_APPLICABLE: 0,
    ControlVerdict.PASS: 0,
    ControlVerdict.UNKNOWN: 1,
    ControlVerdict.WARN: 2,
    ControlVerdict.FAIL: 3,
}
_WEIGHTS: Final = frozenset(
    {
        "ggml",
        "gguf",
        "hdf5",
        "npy",
        "onnx",
        "onnx-tensor",
        "safetensors",
        "tensor-data",
        "tflite",
    }
)
_CODE: Final = frozenset({
    "elf", "git-config", "mach-o", "pe", "pickle", "python", "python-bytecode", "script",
})  # fmt: skip
_MEANS: Final = {
    "weights": "the model is another one: evaluations of the old weights say nothing of it",
    "code": "something that can act when it is loaded was changed: read it before anybody loads it",
    "prompt": "what the model is told before the user's words, or how they are cut, was changed",
}
"""What a change of files of a kind means."""


class _Side(Struct, frozen=True):
    """One of the two, as far as it goes: a lock holds no controls and no findings."""

    name: str
    key: str | None
    created: str | None
    id: str | None
    commit: str | None
    verdict: str
    ruleset: str
    files: Mapping[str, FileRecord | LockedFile]
    controls: Mapping[str, ControlVerdict] | None
    findings: Mapping[str, tuple[Finding, str]]


def compare(
    old: Report | Lock, new: Report | Lock, names: tuple[str, str] = ("", "")
) -> Difference:
    """The difference between two audits, or an audit and a lock; `names` is how to call them."""
    before, after = _side(old, names[0]), _side(new, names[1])
    identity = tuple(_identity(before, after))
    files = tuple(_files(before, after))
    controls = tuple(_controls(before, after))
    findings = tuple(_findings(before, after))
    verdict = None
    if before.verdict != after.verdict:
        verdict = Change(what="verdict", before=before.verdict, after=after.verdict)
    rules_differ = before.ruleset != after.ruleset
    same = not (identity or files or controls or findings or verdict)
    return Difference(
        schema=DIFFERENCE_SCHEMA,
        old=before.name,
        new=after.name,
        same=same,
        rules_differ=rules_differ,
        verdict=verdict,
        identity=identity,
        files=files,
        controls=controls,
        findings=findings,
        means=tuple(_means(before, after, identity, files, findings, rules_differ and not same)),
    )


def _side(said: Report | Lock, name: str) -> _Side:
    if isinstance(said, Lock):
        return _Side(
            name or f"lock of {said.target}", said.key, said.created, said.id, said.commit,
            said.verdict, said.ruleset, {f.path: f for f in said.files}, None, {},
        )  # fmt: skip
    origin = said.origin
    return _Side(
        name or said.target.id,
        origin.key if origin else None,
        origin.created if origin else None,
        origin.id if origin else None,
        origin.commit if origin else None,
        said.verdict.value,
        said.tool.ruleset,
        {f.path: f for f in said.files},
        {c.id: c.verdict for c in said.controls},
        {f.fingerprint: (f, c.id) for c in said.controls for f in c.findings},
    )


def _identity(old: _Side, new: _Side) -> Iterator[Change]:
    again = "another repository has taken the name: nothing that was known of the old one holds"
    moved = "the repository answers under another name"
    newer = "the repository was changed"
    for what, before, after, means in (
        ("identifier", old.key, new.key, again),
        ("created", old.created, new.created, again),
        ("name", old.id, new.id, moved),
        ("commit", old.commit, new.commit, newer),
    ):
        if before is not None and after is not None and before != after:
            yield Change(what=what, before=before, after=after, means=means)


def _digest(file: FileRecord | LockedFile) -> str | None:
    return file.sha256 or file.declared or file.git


def _comparable(one: FileRecord | LockedFile, other: FileRecord | LockedFile) -> bool | None:
    """Whether two files are the same; None where they have no digest of the same kind."""
    first, second = one.sha256 or one.declared, other.sha256 or other.declared
    if first is None or second is None:
        first, second = one.git, other.git
    if first is None or second is None:
        return False if one.size != other.size else None
    return first == second


def _files(old: _Side, new: _Side) -> Iterator[FileChange]:
    gone = {p: f for p, f in old.files.items() if p not in new.files}
    come = {p: f for p, f in new.files.items() if p not in old.files}
    by_digest = {d: p for p, f in sorted(gone.items(), reverse=True) if (d := _digest(f))}
    moved: set[str] = set()
    changes: list[FileChange] = []
    for path, file in sorted(come.items()):
        source = by_digest.get(_digest(file) or "")
        if source is not None and source not in moved:
            moved.add(source)
            changes.append(FileChange(path=path, what="renamed", before=source, after=path))
        else:
            changes.append(FileChange(path=path, what="extra", after=_digest(file)))
    for path, file in gone.items():
        if path not in moved:
            changes.append(FileChange(path=path, what="missing", before=_digest(file)))
    for path in old.files.keys() & new.files.keys():
        before, after = old.files[path], new.files[path]
        equal = _comparable(before, after)
        if not equal:
            what = "unknown" if equal is None else "changed"
            change = FileChange(path=path, what=what, before=_digest(before), after=_digest(after))
            changes.append(change)
    yield from sorted(changes, key=lambda c: (c.path, c.what))


def _controls(old: _Side, new: _Side) -> Iterator[Change]:
    if old.controls is None or new.controls is None:
        return
    for id, after in new.controls.items():
        before = old.controls.get(id)
        if before is not None and before is not after:
            rank = _WORSE[after] - _WORSE[before]
            means = "worse" if rank > 0 else "better" if rank < 0 else ""
            yield Change(what=id, before=before.value, after=after.value, means=means)


def _findings(old: _Side, new: _Side) -> Iterator[Change]:
    """Findings that are new or gone, by fingerprint; notes are left out."""
    if old.controls is None or new.controls is None:
        return
    for side, other, means in ((new, old, "new"), (old, new, "gone")):
        for fingerprint, (finding, control) in sorted(side.findings.items()):
            if fingerprint not in other.findings and finding.action is not Action.NOTE:
                said = f"{finding.action.value}: {finding.at.path}: {finding.message}"
                before, after = (None, said) if means == "new" else (said, None)
                yield Change(what=control, before=before, after=after, means=means)


def _means(
    old: _Side,
    new: _Side,
    identity: tuple[Change, ...],
    files: tuple[FileChange, ...],
    findings: tuple[Change, ...],
    rules_differ: bool,
) -> Iterator[str]:
    yield from dict.fromkeys(c.means for c in identity if c.what != "commit")
    if any(c.what == "commit" for c in identity) and not files:
        yield "a new commit, with the same files"
    touched = [f.path for f in files if f.what in ("changed", "extra")]
    for kind, means in _MEANS.items():
        paths = [path for path in touched if _kind(path, _formats(old, new, path)) == kind]
        if paths:
            more = f" and {len(paths) - 1:,} more" if len(paths) > 1 else ""
            yield f"{paths[0]}{more}: {means}"
    unknown = sum(f.what == "unknown" for f in files)
    if unknown:
        yield f"{unknown:,} files could not be compared: they have no digest of the same kind"
    blocking = [f for f in findings if f.means == "new" and (f.after or "").startswith("block")]
    if blocking:
        yield "there is something new that blocks"
    if new.verdict == Verdict.BLOCK and old.verdict != Verdict.BLOCK:
        yield "what was let in before is not let in any more"
    if rules_differ:
        yield (
            "the two were judged by different rules: a control may answer otherwise without a "
            "change upstream"
        )


def _kind(path: str, formats: tuple[str, ...]) -> str:
    name = path.rpartition("/")[2].lower()
    if _CODE & set(formats):
        return "code"
    if "template" in formats or name.startswith("tokenizer") or "template" in name:
        return "prompt"
    return "weights" if _WEIGHTS & set(formats) else ""


def _formats(old: _Side, new: _Side, path: str) -> tuple[str, ...]:
    for side in (new, old):
        file = side.files.get(path)
        if isinstance(file, FileRecord) and file.formats:
            return file.formats
    return ()
