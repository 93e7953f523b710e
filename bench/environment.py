"""An installed environment against its records, beside the time that hashing alone takes.

    .venv/bin/python bench/environment.py [FOLDER] [--files 10000]

Without a folder, an environment of so many files is made: Python modules of the sizes that
packages have, each in a RECORD. The bare time is that of reading every file and its sha256 in as
many processes, with nothing else done; every time is the best of three, so that files are cached.
Beside the seconds stands the processor time, which says more on a machine that others use.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import os
import random
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

ROUNDS = 3


def make(root: Path, files: int) -> None:
    """An environment of packages of 100 modules each."""
    site = root / "lib" / "python3.11" / "site-packages"
    draw = random.Random(20261126)
    for number in range(max(1, files // 100)):
        name = f"package{number}"
        rows = []
        for module in range(98):
            place = site / name / f"part{module % 9}" / f"module{module}.py"
            place.parent.mkdir(parents=True, exist_ok=True)
            data = f"value = {number}\n".encode() * int(draw.lognormvariate(6, 1.3))
            place.write_bytes(data)
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
            rows.append(f"{place.relative_to(site)},sha256={digest},{len(data)}")
        told = site / f"{name}-1.0.dist-info"
        told.mkdir()
        (told / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n\n")
        (told / "RECORD").write_text("\n".join(rows) + "\n")


def hashed(paths: list[str]) -> int:
    """Bytes of which the digest was computed."""
    done = 0
    for path in paths:
        with open(path, "rb") as file:
            data = file.read()
        hashlib.sha256(data).digest()
        done += len(data)
    return done


def spent() -> float:
    """Processor time of this process and of those that it has waited for."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def bare(root: Path) -> tuple[float, float, int]:
    """Seconds, seconds of processor time, and bytes."""
    paths = [str(p) for p in root.rglob("*") if p.is_file() and not p.is_symlink()]
    jobs = os.cpu_count() or 1
    began, before = time.perf_counter(), spent()
    with ProcessPoolExecutor(jobs) as pool:
        size = sum(pool.map(hashed, [paths[n::jobs] for n in range(jobs)]))
    return time.perf_counter() - began, spent() - before, size


def audited(model: Path, root: Path) -> tuple[float, float]:
    """Seconds that the command takes, with its start, and its processor time."""
    command = [sys.executable, "-m", "weighbridge.apps.cli.main", "audit", str(model), "--env",
               str(root), "--format", "json", "--quiet"]  # fmt: skip
    began, before = time.perf_counter(), spent()
    done = subprocess.run(command, capture_output=True)
    if done.returncode == 2:
        raise SystemExit(done.stderr.decode())
    return time.perf_counter() - began, spent() - before


def best(times: list[tuple[float, ...]]) -> tuple[float, ...]:
    """The least of each kind of time."""
    return tuple(map(min, zip(*times, strict=True)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--files", type=int, default=10_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        model = Path(scratch) / "model"
        model.mkdir()
        (model / "config.json").write_text("{}")
        root = given.folder or Path(scratch) / "env"
        if given.folder is None:
            make(root, given.files)
        count = sum(1 for p in root.rglob("*") if p.is_file())
        empty = best([audited(model, model) for _ in range(ROUNDS)])
        plain = best([bare(root) for _ in range(ROUNDS)])
        ours = best([audited(model, root) for _ in range(ROUNDS)])
    print(f"{count:,} files, {plain[2] / 1e6:,.0f} MB        seconds  processor")
    for what, times in (
        ("hashing alone", plain),
        ("weighbridge audit --env", ours),
        ("  of which an empty one takes", empty),
    ):
        print(f"{what:30} {times[0]:8.2f} {times[1]:10.2f}")


if __name__ == "__main__":
    main()
