"""The names that a configuration asks a framework to import and call."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from msgspec import Struct

from weighbridge.core.regex import regex
from weighbridge.formats.text import Configuration
from weighbridge.formats.yaml import Yaml
from weighbridge.intel.configured import LOOKUPS, Trust, judge

_DOTTED: Final = regex(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*){1,20}")
_HYPER: Final = regex(r"!(?:new|name|apply|module|applyref):([\w.]+)")
_YAML_OBJECT: Final = regex(
    r"tag:yaml\.org,2002:python/(?:object/apply|object/new|object|name|module)[:]([\w.]+)"
)


class Named(Struct, frozen=True):
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
    yield from _in_mappings(document.mappings(), lines)
    if isinstance(document, Yaml):
        for node in document.tagged:
            found = _HYPER.fullmatch(node.tag) or _YAML_OBJECT.fullmatch(node.tag)
            if found:
                tag = node.tag.removeprefix("tag:yaml.org,2002:").partition(":")[0]
                yield _judged(found[1].strip("."), tag, node.line, _shown(node.value))


def _in_mappings(found: Iterable[dict[Any, Any]], lines: dict[int, int]) -> Iterator[Named]:
    for mapping in found:
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
