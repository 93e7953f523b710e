"""How long `weighbridge survey` takes for repositories, each alone.

    .venv/bin/python bench/survey.py PATHS…      checked-out repositories

Told is processor time, of the command and all its children: other work on the machine does not
decide. The start of the program (its imports, once for each survey) is told apart, by an empty
folder.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from source import processor_seconds


def measured(path: Path) -> tuple[float, dict[str, object]]:
    """Processor seconds for one repository, and what was observed."""
    with tempfile.TemporaryDirectory() as made:
        into = Path(made) / "seen.jsonl"
        command = [sys.executable, "-m", "weighbridge.apps.cli.main", "survey", str(path)]
        seconds = processor_seconds([*command, "--observations", str(into)])
        return seconds, json.loads(into.read_text())


def main() -> int:
    """Command line; see the module's documentation."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("paths", nargs="+", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as empty:
        start, _ = measured(Path(empty))
    print(f"start of the program: {start:.1f} s\n")
    print("| repository | files | Python | workflows | processor seconds |")
    print("|---|--:|--:|--:|--:|")
    for path in args.paths:
        seconds, seen = measured(path)
        counts = (seen.get(key, 0) for key in ("files", "python", "workflows"))
        cells = " | ".join(f"{count:,}" for count in counts)
        print(f"| {seen.get('name') or path.name} | {cells} | {max(0.0, seconds - start):.1f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
