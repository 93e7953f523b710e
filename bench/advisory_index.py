"""The index of 25,000 advisories: how long it takes to build and in what memory, and 500 look-ups.

    .venv/bin/python bench/advisory_index.py DUMP.zip [--count 25000]

The dump, in OSV's layout, is copied under other identifiers and package names until it has so many
advisories. `weighbridge update --from` builds the index of it, in a process of its own; beside it
stands the time that unpacking and parsing the same zip takes with nothing done. The look-ups are
those of the packages of the dump, each of whose advisories is read and decoded; the median of five
openings of the index.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

from weighbridge.intel.advisories.build import dump
from weighbridge.intel.advisories.index import Index

LOOKUPS, ROUNDS, SEED = 500, 5, 20261126


def enlarged(source: Path, count: int, to: Path) -> list[str]:
    """Write so many advisories; the names of their packages."""
    read = [json.loads(data) for _, data in dump(source)]
    names = set()
    with zipfile.ZipFile(to, "w", zipfile.ZIP_DEFLATED) as file:
        for number in range(count):
            copy, advisory = divmod(number, len(read))
            told = json.loads(json.dumps(read[advisory]))
            told["id"] += f"-{copy}"
            told["aliases"] = [f"{alias}-{copy}" for alias in told.get("aliases", ())]
            for affected in told.get("affected", ()):
                affected["package"]["name"] += f"-{copy}"
                names.add(affected["package"]["name"])
            file.writestr(told["id"] + ".json", json.dumps(told))
    return sorted(names)


def parsed(source: Path) -> float:
    """Seconds that unpacking and parsing alone take."""
    began = time.perf_counter()
    for _, data in dump(source):
        json.loads(data)
    return time.perf_counter() - began


def built(source: Path, to: Path) -> tuple[float, float]:
    """Seconds of `weighbridge update --from`, and the MB of memory that it took at most."""
    command = [sys.executable, "-m", "weighbridge.apps.cli.main", "update", "--from", str(source),
               "--advisories", str(to)]  # fmt: skip
    began = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    took = time.perf_counter() - began
    return took, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024


def looked_up(place: Path, names: list[str]) -> float:
    """Milliseconds of opening the index and reading what is known of each name."""
    began = time.perf_counter()
    with Index(place) as index:
        found = sum(len(index.of(name)) for name in names)
    took = (time.perf_counter() - began) * 1000
    if found < len(names):
        raise SystemExit("a package of the dump is not in its index")
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dump", type=Path)
    parser.add_argument("--count", type=int, default=25_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        source, place = Path(scratch) / "dump.zip", Path(scratch) / "index"
        names = enlarged(given.dump, given.count, source)
        took, peak = built(source, place)
        bare = parsed(source)
        asked = random.Random(SEED).sample(names, min(LOOKUPS, len(names)))
        times = [looked_up(place, asked) for _ in range(ROUNDS)]
        size = place.stat().st_size / 1e6
    print(f"{given.count:,} advisories of {len(names):,} packages, index {size:,.0f} MB")
    print(
        f"built in {took:.2f} s, {peak:,.0f} MB at most; unpacking and parsing alone {bare:.2f} s"
    )
    print(f"{len(asked):,} look-ups, median of {ROUNDS}: {statistics.median(times):.1f} ms")


if __name__ == "__main__":
    main()
