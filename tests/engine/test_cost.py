"""What an audit costs: bytes that each format reads of a large file, and memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import heavy_files
import large_files
from of_every_model import accusing, unread
from weighbridge.core.finding import Action
from weighbridge.core.format import Limits
from weighbridge.engine.examine import examine
from weighbridge.engine.ruleset import load

READ_AT_MOST = 24 << 20
"""In bytes, of a file of 8 GiB; most formats need less than one MiB."""
MEMORY = 300
"""In MB, of the process that asks and of each of its children."""


@pytest.mark.parametrize("name", large_files.FILES)
def test_tensors_are_not_read(name: str) -> None:
    file = large_files.FILES[name](name, 8 * large_files.GIB)
    file.taken = 0
    examined = examine(file, load(), Limits())
    assert file.size > large_files.GIB
    assert file.taken < READ_AT_MOST
    assert examined.gaps == ()
    assert [f for f in examined.findings if f.action is not Action.NOTE] == []
    assert examined.record.formats in {("zip",), (file.path.rpartition(".")[2],), ("pickle",),
                                       ("ggml",), ("hdf5",)}  # fmt: skip


def test_every_shard_is_accounted_for(tmp_path: Path) -> None:
    """The repository that `bench/large.py` measures, small: nothing in it is unread. (That its
    zeros tell nothing of its lineage is another question.)"""
    from weighbridge.engine.audit import run
    from weighbridge.engine.supervisor import Settings

    for file in large_files.repository(64 << 20):
        file.write(tmp_path)
    audited = run(tmp_path, Settings(digest=False))
    assert [g for g in unread(audited.gaps) if g.controls != ("lineage",)] == []
    accused = accusing(audited.findings)
    assert {f.check for f in accused if f.action is not Action.NOTE} == {"loading-runs-code"}


PROBE = """
import resource, sys
from pathlib import Path
from weighbridge.api import Settings, audit

report = audit(sys.argv[1], settings=Settings(digest=False))
unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // unit
if Path("/proc/self/status").exists():  # there, ru_maxrss counts what the test itself held
    text = Path("/proc/self/status").read_text()
    peak = int(text.split("VmHWM:")[1].split()[0]) >> 10
child = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // unit
kinds = {g.kind.value for c in report.controls for g in c.gaps} - {"not-given"}
print(max(peak, child), *sorted(kinds))
"""


@pytest.mark.parametrize("name", heavy_files.FILES)
def test_memory_is_bounded(name: str, tmp_path: Path) -> None:
    write, expected = heavy_files.FILES[name]
    path = tmp_path / name
    with path.open("wb") as file:
        file.writelines(write(1))
    probe = [sys.executable, "-c", PROBE, str(path)]
    done = subprocess.run(probe, capture_output=True, text=True, check=True)
    peak, *kinds = done.stdout.split()
    assert int(peak) < MEMORY
    assert kinds == expected
