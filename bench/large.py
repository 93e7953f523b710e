"""What an audit of very large files takes: wall-clock time and peak memory.

    .venv/bin/python bench/large.py             the tables, on the terminal
    .venv/bin/python bench/large.py --out docs/benchmarks.md

First a repository of 50 GB that holds a model in several formats (safetensors shards, torch zip,
legacy torch, GGUF, ONNX with external data, HDF5, npz). Headers are real; the tensors are zeros
that a sparse file does not store. Then one large file of each format that holds tensors, then the
files of `tests/heavy_files.py`, whose structure is heavy, several times as large as the tests have
them. Nothing is hashed (`--no-digest`): that would measure the disk.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
from datetime import date
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "bench")]

from run import Measured, measure  # noqa: E402

import heavy_files  # noqa: E402
import large_files  # noqa: E402

BEGIN, END = "<!-- made by bench/large.py -->", "<!-- end of what bench/large.py makes -->"
SCALES = {"opcodes.pkl": 15, "lists.pkl": 8, "calls.pkl": 10, "anchors.yaml": 5, "nodes.onnx": 20,
          "lists.json": 2,
          "tensors.onnx": 8, "entries.zip": 20, "attribute.xml": 7, "elements.xml": 10}  # fmt: skip
"""How many times as large as in the tests; 1 where nothing is said."""


def audited(path: Path) -> Measured:
    """One audit, as a whole process with its children."""
    command = [sys.executable, "-m", "weighbridge.apps.cli.main", "audit", str(path)]
    return measure([*command, "--no-digest", "--format", "json"])


def row(title: str, path: Path) -> str:
    """A row of a table."""
    taken = audited(path)
    files = [p for p in path.rglob("*") if p.is_file()] if path.is_dir() else [path]
    size = sum(p.stat().st_size for p in files)
    shown = f"{taken.seconds:.2f}" if taken.seconds is not None else "stopped"
    return f"| {title} | {len(files)} | {size / 1e6:,.0f} | {shown} | {taken.memory:,} |"


def build(folder: Path) -> None:
    """Make the inputs, one after the other in folders of their own."""
    for file in large_files.repository(50 * 10**9):
        file.write(folder / "repository")
    for name, make in large_files.FILES.items():
        make(name, 8 << 30).write(folder / "large")
    (folder / "heavy").mkdir()
    for name, (write, _) in heavy_files.FILES.items():
        with (folder / "heavy" / name).open("wb") as out:
            out.writelines(write(SCALES.get(name, 1)))


def table() -> str:
    """Measure everything; returns Markdown."""
    head = ["| input | files | MB | seconds | peak MB |", "|---|--:|--:|--:|--:|"]
    with tempfile.TemporaryDirectory() as made:
        # In a process of its own: a child's peak counts what its parent held when it was forked.
        subprocess.run([sys.executable, __file__, "--build", made], check=True)
        folder = Path(made)
        lines = [
            f"Measured on {date.today()} on {platform.machine()}, {os.cpu_count()} processors, "
            f"Python {platform.python_version()}, by `python bench/large.py` (`--no-digest`). Peak "
            "memory is that of the largest single process, parent or child.",
            "",
            *head,
            row("a repository of 50 GB", folder / "repository"),
            *(row(p.name, p) for p in sorted((folder / "large").iterdir())),
            "",
            "Files whose structure is heavy:",
            "",
            *head,
            *(row(p.name, p) for p in sorted((folder / "heavy").iterdir())),
        ]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Command line; see the module's documentation."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--build", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.build:
        build(args.build)
        return 0
    text = table()
    print(text)
    if args.out:
        before, _, rest = args.out.read_text().partition(BEGIN)
        _, _, after = rest.partition(END)
        args.out.write_text(f"{before}{BEGIN}\n{text}{END}{after}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
