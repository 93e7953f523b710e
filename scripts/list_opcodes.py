"""Add the instructions of the running CPython, from its `opcode` module, to `intel/opcodes.json`.

    python3.13 scripts/list_opcodes.py src/weighbridge/intel/opcodes.json
    python3 scripts/list_opcodes.py src/weighbridge/intel/opcodes.json 3.6 3.7 3.8

The second form takes versions for which no interpreter is at hand from the package `xdis`.
`python3 … -` prints the table instead. Only the standard library is needed for the first form.
"""

from __future__ import annotations

import importlib
import json
import sys
from datetime import date
from types import ModuleType

RUN_TIME = ("ENTER_EXECUTOR", "RESERVED")
XDIS = "xdis.opcodes.opcode_3x.opcode_"
KINDS = ("const", "name", "jrel", "jabs", "local", "free", "compare")
MAGIC = {
    "3.6": (3360, 3379), "3.7": (3390, 3399), "3.8": (3400, 3419), "3.9": (3420, 3429),
    "3.10": (3430, 3449), "3.11": (3450, 3499), "3.12": (3500, 3549), "3.13": (3550, 3599),
    "3.14": (3600, 3649),
}  # fmt: skip
"""The first two bytes of a `.pyc` file, as a number: the ranges that each release set aside."""


def rows(opcode: ModuleType) -> list[str]:
    """One row for each instruction that a code object can hold: number, name, kind, caches."""
    caches = getattr(opcode, "_inline_cache_entries", {})
    if not isinstance(caches, dict):
        caches = {opcode.opname[n]: count for n, count in enumerate(caches) if count}
    found = []
    for name, number in sorted(opcode.opmap.items(), key=lambda item: item[1]):
        made_at_run_time = name.startswith("INSTRUMENTED_") or name in (
            "ENTER_EXECUTOR",
            "RESERVED",
        )
        if number > 255 or made_at_run_time or number in getattr(opcode, "_specialized", ()):
            continue
        kinds = [k for k in KINDS if number in getattr(opcode, "has" + k)]
        found.append(f"{number} {name} {kinds[0] if kinds else '-'} {caches.get(name, 0)}")
    return found


def table(version: str, opcode: ModuleType) -> dict[str, object]:
    """What is known of one version."""
    return {
        "magic": MAGIC[version],
        "arguments": opcode.HAVE_ARGUMENT,
        "compare": " ".join(o.replace(" ", "-") for o in opcode.cmp_op),
        "instructions": rows(opcode),
    }


def main() -> None:
    """Merge into the file that is named first."""
    path, *versions = sys.argv[1:]
    if versions:
        tables = {
            v: table(
                v, importlib.import_module("xdis.opcodes.opcode_3x.opcode_" + v.replace(".", ""))
            )
            for v in versions
        }
    else:
        own = "{}.{}".format(*sys.version_info[:2])
        tables = {own: table(own, importlib.import_module("opcode"))}
    if path == "-":
        print(json.dumps(tables))
        return
    try:
        with open(path, encoding="utf-8") as file:
            known = json.load(file)["versions"]
    except OSError:
        known = {}
    known.update(tables)
    ordered = sorted(known.items(), key=lambda item: [int(n) for n in item[0].split(".")])
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"reviewed": date.today().isoformat(), "versions": dict(ordered)}, file, indent=1)
        file.write("\n")


if __name__ == "__main__":
    main()
