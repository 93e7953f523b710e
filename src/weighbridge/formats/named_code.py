"""The Python modules that a model's configuration has a loader import.

Sources: `get_class_from_dynamic_module` of transformers (`auto_map`, `custom_pipelines`),
`_get_custom_components_and_folders` of diffusers (`model_index.json`), the `modules.json` of
sentence-transformers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from msgspec import Struct

from weighbridge.core.regex import regex

VISITED: Final = 2_000_000
_CLASS: Final = regex(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+")
_MODULE: Final = regex(r"[A-Za-z_]\w*(?:[./][A-Za-z_]\w*)*")
_OWN_TYPES: Final = ("sentence_transformers.",)
_INSTALLED: Final = frozenset(
    {"diffusers", "transformers", "onnxruntime.training", "optimum", "peft", "flax", "safetensors"}
)
"""Libraries that a component of diffusers names as they are."""


class NamedCode(Struct, frozen=True):
    """A class that is imported: `what` it is for, how it is `written`, the `repository` that it
    comes from (empty: the model's own), the `file` of the model that holds it (empty: unknown).

    `certain` is false where the loader takes a library of that name if there is no such file.
    """

    what: str
    written: str
    repository: str = ""
    file: str = ""
    certain: bool = True


def mappings(values: Iterable[Any]) -> Iterator[dict[Any, Any]]:
    """Every mapping in these values, each once, in order."""
    waiting = _holding(values)[::-1]
    seen: set[int] = set()
    while waiting and len(seen) < VISITED:
        value = waiting.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, dict):
            yield value
            waiting += _holding(value.values())[::-1]
        else:
            waiting += _holding(value)[::-1]


def _holding(values: Iterable[Any]) -> list[Any]:
    """Those of some values that are mappings or lists with more than plain values in them: a
    tokenizer has some hundred thousand merges, each a list of two texts."""
    return [
        v
        for v in values
        if isinstance(v, dict) or (isinstance(v, list) and any(type(i) in (dict, list) for i in v))
    ]


def named_code(roots: Iterable[Any], found: Iterable[dict[Any, Any]]) -> Iterator[NamedCode]:
    """Every class that a configuration names, with what it is for: by its roots, and by all the
    mappings that were `found` in them."""
    for root in roots:
        if isinstance(root, list):
            yield from _modules_of_sentences(root)
        elif isinstance(root, dict) and ("_diffusers_version" in root or "_class_name" in root):
            yield from _components(root)
    for here in found:
        classes = here.get("auto_map")
        if isinstance(classes, str):
            classes = {"auto_map": classes}
        for what, reference in classes.items() if isinstance(classes, dict) else ():
            yield from (_read(str(what), r) for r in _references(reference))
        pipelines = here.get("custom_pipelines")
        for task, entry in pipelines.items() if isinstance(pipelines, dict) else ():
            if isinstance(entry, dict):
                yield from (_read(f"pipeline {task}", r) for r in _references(entry.get("impl")))


def _read(what: str, written: str) -> NamedCode:
    if "--" in written:
        return NamedCode(what, written, repository=written.partition("--")[0])
    module, _, _ = written.rpartition(".")
    return NamedCode(what, written, file=_file(module))


def _file(module: str) -> str:
    return f"{module.replace('.', '/')}.py" if _MODULE.fullmatch(module) else ""


def _references(value: Any) -> Iterator[str]:
    """A class, or the slow and the fast tokenizer as a pair, either of which may be null."""
    for reference in value if isinstance(value, list) else [value]:
        if isinstance(reference, str) and reference:
            yield reference


def _modules_of_sentences(entries: list[Any]) -> Iterator[NamedCode]:
    """`modules.json` lists the steps of a pipeline, each with the class that is its `type`."""
    steps = [e for e in entries if isinstance(e, dict) and {"type", "path"} <= e.keys()]
    if len(steps) < len(entries):
        return
    for step in steps:
        kind = step["type"]
        if not isinstance(kind, str) or kind.startswith(_OWN_TYPES):
            continue
        if "--" in kind or _CLASS.fullmatch(kind):
            found = _read(f"module {step.get('name', '')}".rstrip(), kind)
            yield NamedCode(
                found.what, kind, found.repository, found.file, certain=kind.count(".") == 1
            )


def _components(index: dict[str, Any]) -> Iterator[NamedCode]:
    """A pipeline or component may be `[module, class]`, whose module is a file if there is one."""
    for component, entry in index.items():
        if not isinstance(entry, list) or len(entry) != 2:
            continue
        module, name = entry
        if not isinstance(module, str) or not isinstance(name, str) or module in _INSTALLED:
            continue
        own = component == "_class_name"
        file = _file(module if own else f"{component}/{module}")
        if file:
            what = "the pipeline" if own else f"component {component}"
            yield NamedCode(what, f"{module}.{name}", file=file, certain=own)
