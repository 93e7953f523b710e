"""Trials: the models in which a switch was found are run, with and without a trigger.

A model is hostile, and so is what it makes of the runtime. Each is tried by a program of its own
(`engine/trial/worker.py`) in a jail: no network, no writing, no other program, the target and the
libraries to read, and limits on memory, time and what it may answer. There a model that is not ONNX
is read again and written as one. The answer is JSON with a schema. This process imports neither the
runtime nor NumPy.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

import weighbridge
from weighbridge.analysis.graph_fronts import formats_with_graph
from weighbridge.core.check import Artifact
from weighbridge.core.fact import ModelTrial, SwitchTrial
from weighbridge.core.finding import Finding, GapKind
from weighbridge.core.location import Location
from weighbridge.core.tree import Blob
from weighbridge.engine.jail import confine_program
from weighbridge.formats.onnx import ONNX
from weighbridge.sources.folder import File

SIZE_LIMIT: Final = 256 << 20
"""How large a file may be that is tried, in bytes: it is held a few times at once."""
SECONDS: Final = 60.0
"""Processor time for the trials of one model; starting and ending come on top."""
AROUND: Final = 20.0
LATE: Final = 3.0
"""How many times as long as its processor time a trial may take on a busy machine."""
ALL_SECONDS: Final = 300.0
MEMORY: Final = 4 << 30
"""The address space of a trial, in bytes."""
OUTPUT: Final = 4 << 20
ASKING: Final = "graph-gate"
"""The check whose reviews are tried."""
_SYSTEM: Final = (
    "/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache",
    "/etc/os-release", "/proc/self", "/proc/cpuinfo",
    "/sys/devices/system/cpu", "/dev/null", "/dev/urandom",
)  # fmt: skip
_NEEDED: Final = ("numpy", "onnxruntime")
_START: Final = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); "
    "from weighbridge.engine.trial.worker import main; main()"
)


Place = tuple[str, tuple[str, ...]]
"""The path of a file, and what leads from it to a member."""


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a trial says: of each switch what came of it and how many were `left`; or why it
    `failed`, and what `kind` of gap that is."""

    switches: tuple[SwitchTrial, ...] = ()
    left: int = 0
    failed: str = ""
    kind: GapKind = GapKind.UNSUPPORTED


def runtime() -> str | None:
    """What would run a model, with its version; None where it is not installed with us."""
    from importlib import metadata  # only where a model is tried: it is slow to load

    try:
        versions = [f"{name} {metadata.version(name)}" for name in reversed(_NEEDED)]
    except metadata.PackageNotFoundError:
        return None
    return ", ".join(versions)


class Model(msgspec.Struct, frozen=True):
    """A model that is to be tried: its file's `place` on this machine, the name of its format, and
    where it stands: in a member of zip archives, among the files below `root`."""

    place: str
    format: str = "onnx"
    path: str = ""
    inside: tuple[str, ...] = ()
    root: str = ""


def look(
    findings: Sequence[Finding],
    artifacts: Sequence[Artifact],
    blobs: dict[str, Blob],
    readable: Sequence[Path],
    wanted: bool,
) -> tuple[ModelTrial, ...]:
    """Try the models that the findings of the analysis are about; nothing where there are none.
    `artifacts` say of which formats they are, `blobs` are the target's files by path, `readable`
    its folders, for tensors in other files; `wanted`: trials were not switched off."""
    asked = [f.at for f in findings if f.check == ASKING and f.action == "review"]
    places = sorted({(at.path, at.inside) for at in asked})
    if not places:
        return ()
    by = runtime()
    if not wanted or by is None:
        why = (
            "ONNX Runtime is not installed: no switch was tried (extra `deep`)"
            if wanted
            else "no switch was tried, as asked (--no-trials)"
        )
        return (ModelTrial(at=Location(places[0][0]), failed=why, kind=GapKind.NOT_GIVEN),)
    known = formats_with_graph()
    kinds = {(a.where.path, a.where.inside): next(filter(known.get, a.formats), "")
             for a in artifacts if (a.where.path, a.where.inside) in places}  # fmt: skip
    return tuple(_each(places, kinds, blobs, readable, by))


def _each(
    places: list[Place],
    kinds: dict[Place, str],
    blobs: dict[str, Blob],
    readable: Sequence[Path],
    by: str,
) -> Iterator[ModelTrial]:
    deadline = time.monotonic() + ALL_SECONDS
    for path, inside in places:
        kind = kinds.get((path, inside), "")
        at, seconds = Location(path, inside=inside), min(SECONDS, deadline - time.monotonic())
        answer = _one(at, kind, blobs.get(path), readable, seconds)
        yield ModelTrial(
            at=at,
            runtime=by,
            written_from="" if kind == ONNX.name else kind,
            switches=answer.switches,
            left=answer.left,
            failed=answer.failed,
            kind=answer.kind,
        )


def _one(
    at: Location, kind: str, blob: Blob | None, readable: Sequence[Path], seconds: float
) -> Answer:
    if not kind or not isinstance(blob, File):
        return Answer(failed="only a file on this machine is tried")
    if blob.size > SIZE_LIMIT:
        limit = f"{SIZE_LIMIT >> 20} MiB"
        return Answer(failed=f"not tried: it is larger than {limit}", kind=GapKind.TOO_LARGE)
    if seconds < 1:
        return Answer(failed=f"no time was left of {ALL_SECONDS:.0f} s", kind=GapKind.TIMEOUT)
    root = str(getattr(blob.siblings, "root", ""))
    return run(Model(blob.place, kind, blob.path, at.inside, root), readable, seconds)


def run(model: Model, readable: Sequence[Path], seconds: float) -> Answer:
    """Try one model in a jail; what is said of it, or why nothing is."""
    root = Path(weighbridge.__file__).parents[1]
    libraries = {Path(sysconfig.get_path(k)) for k in ("purelib", "platlib", "stdlib",
                                                       "platstdlib")}  # fmt: skip
    program = Path(sys.executable)
    libraries.add(Path(sys.base_prefix) / "lib")
    seen = [root, *libraries, program, program.resolve(), Path(sys.prefix) / "pyvenv.cfg"]
    system = [Path(s) for s in _SYSTEM]
    executable = [p for p in (*seen, *system) if p.exists()]
    place = Path(model.place).absolute()
    readable = [p.absolute() for p in (*readable, place) if p.exists()]
    rest = (model.format, model.path, os.path.abspath(model.root) if model.root else "")

    def jail() -> None:
        confine_program(readable, executable, MEMORY, int(seconds + AROUND), OUTPUT)

    threads = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")}
    with tempfile.TemporaryFile() as output:
        try:
            done = subprocess.run(
                [
                    program,
                    "-I",
                    "-B",
                    "-c",
                    _START,
                    root,
                    place,
                    str(seconds),
                    *rest,
                    *model.inside,
                ],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.DEVNULL,
                env={"PATH": "", **threads},
                cwd="/",
                start_new_session=True,
                preexec_fn=jail,
                timeout=LATE * seconds + AROUND,
                check=False,
            )
        except subprocess.TimeoutExpired:
            why = f"the trial took longer than {LATE * seconds + AROUND:.0f} s and was stopped"
            return Answer(failed=why, kind=GapKind.TIMEOUT)
        except (OSError, subprocess.SubprocessError) as error:
            why = getattr(error, "strerror", None) or "it could not be started"
            return Answer(failed=f"the trial did not start: {why}", kind=GapKind.CRASHED)
        if -done.returncode in (signal.SIGKILL, signal.SIGXCPU):
            why = "the trial was stopped at its limit of processor time or memory"
            return Answer(failed=why, kind=GapKind.TIMEOUT)
        if done.returncode != 0:
            return Answer(failed=f"the trial ended with {done.returncode}", kind=GapKind.CRASHED)
        output.seek(0)
        said = output.read(OUTPUT + 1)
    try:
        return msgspec.json.decode(said, type=Answer)
    except (msgspec.DecodeError, RecursionError):
        return Answer(failed="the trial's answer could not be read", kind=GapKind.CRASHED)
