"""The names that a configuration asks a framework to import and call."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from weighbridge.formats.text import Configuration
from weighbridge.formats.yaml import Yaml
from weighbridge.intel.configured import LOOKUPS, Trust, judge

VISITED: Final = 2_000_000
_DOTTED: Final = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*){1,20}")
_HYPER: Final = re.compile(r"!(?:new|name|apply|module|applyref):([\w.]+)")
_YAML_OBJECT: Final = re.compile(
    r"tag:yaml\.org,2002:python/(?:object/apply|object/new|object|name|module)[:]([\w.]+)"
)


@dataclass(frozen=True, slots=True)
class Named:
    """A name and what says it: `key` (`_target_`, a tag), the line where known, what goes with
    it (shortened), and how it is judged."""

    name: str
    key: str
    line: int | None
    beside: tuple[str, ...]
    trust: Trust
    effect: str


def named(document: Configuration) -> Iterator[Named]:
    """The names in a configuration, in order."""
    lines = document.lines if isinstance(document, Yaml) else {}
    yield from _in_values([value for _, value in document.roots()], lines)
    if isinstance(document, Yaml):
        for node in document.tagged:
            found = _HYPER.fullmatch(node.tag) or _YAML_OBJECT.fullmatch(node.tag)
            if found:
                tag = node.tag.removeprefix("tag:yaml.org,2002:").partition(":")[0]
                yield _judged(found[1].strip("."), tag, node.line, _shown(node.value))


def mappings(values: Iterable[Any]) -> Iterator[dict[Any, Any]]:
    """Every mapping in these values, each once, in order."""
    waiting = list(values)[::-1]
    seen: set[int] = set()
    visited = 0
    while waiting and visited < VISITED:
        value = waiting.pop()
        visited += 1
        if not isinstance(value, dict | list) or id(value) in seen or _is_pair(value):
            continue
        seen.add(id(value))
        if isinstance(value, dict):
            yield value
            waiting += list(value.values())[::-1]
        else:
            waiting += value[::-1]


def _is_pair(value: Any) -> bool:
    """Whether it is a short list of plain values: a vocabulary has half a million of them, and to
    remember each that was seen would take more memory than they do."""
    return (
        isinstance(value, list)
        and len(value) < 4
        and not any(isinstance(item, dict | list) for item in value)
    )


def _in_values(values: list[Any], lines: dict[int, int]) -> Iterator[Named]:
    for mapping in mappings(values):
        line = lines.get(id(mapping))
        for key in ("_target_", "target"):
            name = mapping.get(key)
            if not isinstance(name, str) or (key == "target" and not _instantiates(mapping)):
                continue
            yield _judged(name.strip(), key, line, _shown(mapping))
            if name in LOOKUPS:
                inner = mapping.get("path", "(a path that stands elsewhere)")
                yield _judged(str(inner).strip(), f"path of {name}", line, _shown(mapping))


def _instantiates(mapping: dict[Any, Any]) -> bool:
    """`target` is a word of many meanings; it names a class beside `params` (latent diffusion) or
    in a configuration that NeMo wrote."""
    name = mapping["target"]
    return bool(_DOTTED.fullmatch(name)) and ("params" in mapping or "nemo_version" in mapping)


def _judged(name: str, key: str, line: int | None, beside: tuple[str, ...]) -> Named:
    trust, effect = judge(name)
    return Named(name, key, line, beside, trust, effect)


def _shown(value: Any) -> tuple[str, ...]:
    if isinstance(value, dict):
        pairs = list(value.items())[:8]
        return tuple(f"{str(k)[:60]}: {_short(v)}" for k, v in pairs)
    if isinstance(value, list):
        return tuple(_short(v) for v in value[:8])
    return (_short(value),) if value != "" else ()


def _short(value: Any) -> str:
    if isinstance(value, dict):
        return f"({len(value)} entries)"
    if isinstance(value, list):
        return "[" + ", ".join(_short(v) for v in value[:4]) + (", …]" if value[4:] else "]")
    return str(value)[:200]
