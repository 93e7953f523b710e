"""zizmor, an analyser of workflows, as one source of evidence beside our own engine.

It runs over a copy of the files that our parser has read, under names of ours, without the
configuration and the comments of the target that would silence it, without an environment, in a
jail of its own. Its output (`json-v1`, for which its makers promise no stability) is taken as far
as it has the shape that version 1.32 gives it; see https://docs.zizmor.sh.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sysconfig
import tempfile
import time
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import msgspec

from weighbridge.core.document import Malformed
from weighbridge.core.fact import Automation, ToolFinding, ToolRun
from weighbridge.core.location import Location
from weighbridge.core.tree import Blob, read_whole
from weighbridge.engine.jail import confine_program
from weighbridge.sources.remote import RemoteFile

SERIES: Final = "1.32."
SIZE_LIMIT: Final = 1 << 20
"""How large a file may be that is handed over, in bytes."""
JOBS_LIMIT: Final = 1_000
"""How many jobs a file may have: zizmor's time grows with their square."""
SECONDS: Final = 30.0
"""How long it may take over all files at once, and over one that is tried alone."""
ALL_SECONDS: Final = 90.0
MEMORY: Final = 4 << 30
"""Its address space, in bytes; it takes far less."""
OUTPUT: Final = 64 << 20
FLAGS: Final = (
    "--offline", "--format=json-v1", "--persona=auditor", "--collect=all", "--no-config",
    "--no-ignores", "--no-exit-codes", "--no-progress", "--color=never", "-q",
)  # fmt: skip
_SYSTEM: Final = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache", "/proc/self")


def program() -> tuple[Path, str] | None:
    """The programme and its version, where the one that is pinned is installed with us."""
    try:
        version = metadata.version("zizmor")
    except metadata.PackageNotFoundError:
        return None
    path = Path(sysconfig.get_path("scripts")) / "zizmor"
    return (path, version) if version.startswith(SERIES) and path.is_file() else None


def look(automations: Sequence[Automation], blobs: dict[str, Blob]) -> ToolRun | None:
    """What zizmor says of the workflows and actions; None where there are none."""
    if not automations:
        return None
    at = Location(".")
    found = program()
    if found is None:
        absent = f"zizmor {SERIES}* is not installed: its evidence is missing (extra `ci`)"
        return ToolRun(at=at, tool="zizmor", absent=absent)
    place, version = found
    digest = hashlib.sha256(place.read_bytes()).hexdigest()
    with tempfile.TemporaryDirectory(prefix="weighbridge-") as folder:
        stage = _Stage(Path(folder))
        failed = list(stage.fill(automations, blobs))
        findings, lost = _over(place, stage)
    return ToolRun(
        at=at,
        tool="zizmor",
        version=version,
        digest=digest,
        findings=tuple(findings),
        failed=tuple(sorted(failed + lost)),
    )


class _Stage:
    """A clean copy: regular files under names of ours, each in a folder of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.paths: dict[str, str] = {}

    def fill(
        self, automations: Sequence[Automation], blobs: dict[str, Blob]
    ) -> Iterator[tuple[str, str]]:
        """Copy the files; yields those that were not, and why."""
        for number, automation in enumerate(automations):
            path = automation.at.path
            blob = blobs.get(path)
            if blob is None or automation.at.inside:
                continue
            if not automation.action and not automation.triggers:
                continue  # zizmor takes none without `on`, and GitHub does not run it
            if isinstance(blob, RemoteFile):
                yield path, "zizmor reads no files over a network"
                continue
            if len(automation.jobs) > JOBS_LIMIT:
                yield path, f"it has more than {JOBS_LIMIT:,} jobs, which zizmor takes minutes for"
                continue
            if blob.size > SIZE_LIMIT:
                yield path, "it is too large for zizmor"
                continue
            try:
                text = read_whole(blob).decode("utf-8")
            except (OSError, Malformed, UnicodeDecodeError):
                yield path, "it could not be copied for zizmor"
                continue
            name = (
                f"{number}/action.yml" if automation.action else f"{number}/.github/workflows/w.yml"
            )
            self.paths[name] = path
            target = self.root / name
            target.parent.mkdir(parents=True)
            target.write_text(text, encoding="utf-8", newline="")


def _over(place: Path, stage: _Stage) -> tuple[list[ToolFinding], list[tuple[str, str]]]:
    """All at once; if that fails, one by one, so that a file costs only its own findings."""
    deadline = time.monotonic() + ALL_SECONDS
    whole = _run(place, stage.root, stage.root, SECONDS)
    if isinstance(whole, list):
        return list(_findings(whole, "", stage)), []
    findings: list[ToolFinding] = []
    failed: list[tuple[str, str]] = []
    for name, path in stage.paths.items():
        folder = name.partition("/")[0]
        left = min(SECONDS, deadline - time.monotonic())
        said = (
            _run(place, stage.root, stage.root / folder, left) if left > 1 else "no time was left"
        )
        if isinstance(said, str):
            failed.append((path, f"zizmor did not read it: {said}"))
        else:
            findings += _findings(said, folder, stage)
    return findings, failed


def _run(place: Path, root: Path, folder: Path, seconds: float) -> list[Any] | str:
    """Run it over a folder; what it says, or why it said nothing."""

    def jail() -> None:
        executable = [place, *(p for s in _SYSTEM if (p := Path(s)).exists())]
        confine_program([root], executable, MEMORY, int(seconds) + 1, OUTPUT)

    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        try:
            done = subprocess.run(
                [os.fspath(place), *FLAGS, os.fspath(folder)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                env={"HOME": os.fspath(folder)},  # without it, it cannot name its cache
                cwd=folder,
                start_new_session=True,
                preexec_fn=jail,
                timeout=seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return f"it took longer than {seconds:.0f} s and was stopped"
        except (OSError, subprocess.SubprocessError) as error:
            return getattr(error, "strerror", None) or "it could not be started"
        if done.returncode != 0:
            return f"it ended with {done.returncode}"
        output.seek(0)
        errors.seek(0)
        said = output.read(OUTPUT + 1)
        complained = errors.read(1 << 20)
    if b"WARN" in complained or b"failed to" in complained:
        return "it took the file for no workflow"
    try:
        parsed = msgspec.json.decode(said)
    except (msgspec.DecodeError, RecursionError):
        return "its answer could not be read"
    return parsed if isinstance(parsed, list) else "its answer could not be read"


def _findings(said: list[Any], folder: str, stage: _Stage) -> Iterator[ToolFinding]:
    """The findings of an answer in the shape that 1.32 gives it; others are left out."""
    for entry in said:
        try:
            places = entry["locations"]
            primary = next((p for p in places if p["symbolic"]["kind"] == "Primary"), places[0])
            symbolic = primary["symbolic"]
            inside = symbolic["key"]["Local"]["verbatim_path"]
            name = _staged(inside, folder, stage)
            row = primary["concrete"]["location"]["start_point"]["row"]
            keys = [k for step in symbolic["route"]["route"] for k in step.values()]
            job = (
                keys[1] if len(keys) > 1 and keys[0] == "jobs" and isinstance(keys[1], str) else ""
            )
            text = f"{entry['desc']}: {symbolic['annotation']}"
            yield ToolFinding(
                id=str(entry["ident"])[:80],
                text=text[:300],
                at=Location(stage.paths[name], line=int(row) + 1),
                severity=str(entry["determinations"]["severity"])[:20],
                job=job[:100],
            )
        except (KeyError, TypeError, IndexError, ValueError, AttributeError):
            continue


def _staged(path: str, folder: str, stage: _Stage) -> str:
    """The name of ours that a path in an answer means."""
    root = os.fspath(stage.root)
    if path.startswith(root):
        return path[len(root) :].lstrip("/")
    return f"{folder}/{path.removeprefix('./')}" if folder else path.removeprefix("./")
