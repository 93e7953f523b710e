"""The checks of training code and bandit on the same files of Python, side by side.

    .venv/bin/python bench/source.py                      the standard library's files
    .venv/bin/python bench/source.py --files 2000 PATHS…  files of checked-out repositories

Both get one core: what is compared is processor time, of the whole process and all its children,
so that other work on the machine does not decide. Weighbridge does all that an audit does
(digests, every format and check, the jail); bandit runs its own rules as it comes. Bandit gets an
environment of its own from the pinned and hashed file `bench/peers/bandit.txt`.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from run import ENVIRONMENTS, install, version

LARGEST = 2 << 20
"""Bytes of the largest file that is read."""


def gather(places: list[Path], count: int, folder: Path) -> int:
    """Copy up to `count` files of Python, evenly taken, into one repository; their bytes."""
    found = sorted(
        p for place in places for p in place.rglob("*.py") if 0 < p.stat().st_size <= LARGEST
    )
    step = max(1, len(found) // count)
    (folder / "pyproject.toml").write_text("[project]\nname = 'measured'\n")
    total = 0
    for number, path in enumerate(found[::step][:count]):
        place = folder / f"part{number // 200}" / f"module{number}.py"
        place.parent.mkdir(exist_ok=True)
        shutil.copyfile(path, place)
        total += path.stat().st_size
    return total


def processor_seconds(command: list[str]) -> float:
    """Run a command; the processor time that it and its children took."""
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    _, _, usage = os.wait4(process.pid, 0)
    process.returncode = 0
    return usage.ru_utime + usage.ru_stime


def main() -> int:
    """Command line; see the module's documentation."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=2_000)
    parser.add_argument("paths", nargs="*", type=Path)
    args = parser.parse_args()
    places = args.paths or [Path(sysconfig.get_path("stdlib"))]
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        size = gather(places, args.files, folder)
        number = sum(1 for _ in folder.rglob("*.py"))
        ours = [sys.executable, "-m", "weighbridge.apps.cli.main", "audit", made, "--jobs", "1"]
        rows = {"weighbridge": processor_seconds([*ours, "--format", "json"])}
        if install("bandit"):
            bandit = str(ENVIRONMENTS / "bandit" / "bin" / "bandit")
            rows[version("bandit")] = processor_seconds([bandit, "-q", "-r", made, "-f", "json"])
        else:
            print("bandit could not be installed, so it was not measured")
    print(f"{number:,} files of Python, {size / 1e6:.1f} MB, on one core")
    print("| command | processor seconds | ms a file | against weighbridge |")
    print("|---|--:|--:|--:|")
    for name, seconds in rows.items():
        against = seconds / rows["weighbridge"]
        print(f"| {name} | {seconds:.1f} | {1000 * seconds / number:.1f} | {against:.1f} |")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
