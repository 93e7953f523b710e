"""What is known of the names that a pickle can import: reviewed lists, read once.

Three lists decide, in this order: `needed` (a model file needs the name; importing and calling it
only rebuilds data), `judged` (legitimate, but able to act through its arguments: the analysis
looks at those), `acting` (executes, imports, reads, writes, connects, or changes the interpreter).
A name on none of them is unknown, which is a reason to look, not to trust.
"""

from __future__ import annotations

from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Final

import msgspec

from weighbridge.core.report import Intel

FOLDER: Final = Path(__file__).parent / "names"


class Standing(StrEnum):
    """What a model's use of a name means."""

    NEEDED = "needed"
    JUDGED = "judged"
    ACTING = "acting"
    UNKNOWN = "unknown"


class Name(msgspec.Struct, frozen=True):
    """A classed name: `why` is the library and reason, or the effect (`execute`, `connect` …)."""

    standing: Standing
    why: str


class _Needed(msgspec.Struct):
    reviewed: str
    library: str
    why: str
    names: dict[str, frozenset[str]]


class _Acting(msgspec.Struct):
    reviewed: str
    library: str
    names: dict[str, dict[str, str]]


class _Judged(msgspec.Struct):
    reviewed: str
    names: dict[str, str]


class _Lists(msgspec.Struct):
    needed: dict[str, list[tuple[str, frozenset[str]]]]
    """The names of each module and the library that needs them; a later library comes first."""
    judged: dict[str, str]
    acting: dict[str, dict[str, str]]
    reviewed: str


REACHES_OUT: Final = frozenset(
    {
        "__base__", "__bases__", "__builtins__", "__class__", "__closure__", "__code__",
        "__dict__", "__func__", "__getattribute__", "__globals__", "__import__", "__init__",
        "__loader__", "__mro__", "__reduce__", "__reduce_ex__", "__self__", "__spec__",
        "__subclasses__", "__wrapped__", "cr_frame", "f_back", "f_builtins", "f_globals",
        "func_globals", "gi_frame", "mro", "tb_frame",
    }
)  # fmt: skip
"""Attributes from which anything in the process can be reached."""


@cache
def _lists() -> _Lists:
    needed: dict[str, list[tuple[str, frozenset[str]]]] = {}
    acting: dict[str, dict[str, str]] = {}
    judged = msgspec.json.decode((FOLDER / "judged.json").read_bytes(), type=_Judged)
    dates = [judged.reviewed]
    for path in sorted(FOLDER.glob("needed/*.json")):
        entry = msgspec.json.decode(path.read_bytes(), type=_Needed)
        dates.append(entry.reviewed)
        for module, names in entry.names.items():
            needed.setdefault(module, []).insert(0, (entry.library, names))
    for path in sorted(FOLDER.glob("acting/*.json")):
        known = msgspec.json.decode(path.read_bytes(), type=_Acting)
        dates.append(known.reviewed)
        for module, effects in known.names.items():
            acting.setdefault(module, {}).update(effects)
    return _Lists(needed, judged.names, acting, min(dates))


def load() -> Intel:
    """Read the lists now (the jail that they are used in cannot open files); their oldest date."""
    return Intel(name="names that models use", date=_lists().reviewed)


@cache
def classify(module: str, name: str) -> Name:
    """What importing `name` from `module` means. `name` may be a dotted path.

    Python 2 spellings are read as the unpickler maps them (`_compat_pickle`).
    """
    if module.partition(".")[0] == "__torch__":
        # TorchScript: a type that the archive's own code defines; no such module can be imported.
        return Name(Standing.NEEDED, "torch")
    lists = _lists()
    for spelling in dict.fromkeys(((module, name), _python3(module, name))):
        for library, names in lists.needed.get(spelling[0], ()):
            if spelling[1] in names:
                return Name(Standing.NEEDED, library)
        judged = lists.judged.get(".".join(spelling))
        if judged is not None:
            return Name(Standing.JUDGED, judged)
        effect = _effect(*spelling)
        if effect is not None:
            return Name(Standing.ACTING, effect)
    return Name(Standing.UNKNOWN, "")


def module_effect(module: str) -> str | None:
    """The effect of a module whose every name acts, or None."""
    return _effect(module, "*")


def _python3(module: str, name: str) -> tuple[str, str]:
    if (module, name) in NAME_MAPPING:
        return NAME_MAPPING[module, name]
    return IMPORT_MAPPING.get(module, module), name


def _effect(module: str, name: str) -> str | None:
    """The effect of a name, or of the first thing that acts on the way along a dotted path."""
    acting = _lists().acting
    parts = name.split(".")
    if any(part in REACHES_OUT for part in parts):
        return "execute"
    found = acting.get(module, {})
    for end in range(len(parts), 0, -1):
        effect = found.get(".".join(parts[:end]))
        if effect is not None:
            return effect
    if "*" in found:
        return found["*"]
    packages = module.split(".")
    for end in range(len(packages), 0, -1):
        whole = acting.get(".".join(packages[:end]) + ".*", {})
        effect = whole.get(name) or whole.get("*")
        if effect is not None:
            return effect
    # `numpy.f2py.os` + `system`: a module that another one imported, reached by its attribute.
    path = [*packages, *parts]
    for start in range(1, len(path) - 1):
        for middle in range(start + 1, len(path)):
            inner = acting.get(".".join(path[start:middle]), {})
            rest = ".".join(path[middle:])
            effect = inner.get(rest) or inner.get("*")
            if effect is not None and ".".join(path[start:middle]) in _ROOT_MODULES:
                return effect
    return None


_ROOT_MODULES: Final = frozenset(
    {"os", "nt", "posix", "sys", "subprocess", "builtins", "importlib", "shutil", "socket",
     "pty", "runpy", "ctypes", "pickle", "marshal", "tempfile", "code", "types", "inspect"}
)  # fmt: skip
"""Modules that are recognised when they are reached through another module's attributes."""
