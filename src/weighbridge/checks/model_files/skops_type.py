"""Check `skops-type`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from weighbridge.core.check import check
from weighbridge.core.evidence import Table, Text
from weighbridge.core.finding import Action, Finding
from weighbridge.formats.named_code import mappings
from weighbridge.formats.text import Json
from weighbridge.intel.configured import Trust, judge
from weighbridge.intel.names import REACHES_OUT

SHOWN: Final = 50
_LOADER, _CLASS, _MODULE = "__loader__", "__class__", "__module__"


@check("skops-type", control="payload-scan", reads=Json)
def skops_type(document: Json) -> Iterator[Finding]:
    """A skops file needs a type that skops does not trust, or hides which one it needs.

    ## Why it matters
    skops builds the objects that its schema names. It asks before it uses a type that is not on
    its list, but versions before 0.12 and 0.13 could be made to ask about one name and to use
    another, and whoever answers `trusted=unknown_types` is not asked at all.

    ## What to do
    Do not load a file that names something that acts or that hides a name. For a type that nobody
    has reviewed, find the package it comes from and read it before you trust it. Load with the
    newest skops.

    ## Limits
    What a trusted type does with its values is not known.

    ## References
    - https://skops.readthedocs.io/en/stable/persistence.html
    - https://nvd.nist.gov/vuln/detail/CVE-2025-54412
    - https://nvd.nist.gov/vuln/detail/CVE-2025-54413
    """
    root = document.value
    if not isinstance(root, dict) or not {_LOADER, _CLASS, _MODULE} <= root.keys():
        return
    unreviewed: dict[str, None] = {}
    told: set[str] = set()
    for node in mappings([root]):
        if not isinstance(node.get(_LOADER), str):
            continue
        hidden = _hidden(node)
        if hidden and hidden not in told:
            told.add(hidden)
            yield Finding(
                message=hidden,
                at=document.where,
                action=Action.BLOCK,
                symbol=hidden[:200],
                evidence=(Text("The node", text=_shown(node)),),
            )
        for name in _names(node):
            trust, effect = judge(name)
            if trust is Trust.UNREVIEWED:
                unreviewed[name] = None
            elif trust is Trust.ACTING and name not in told:
                told.add(name)
                yield Finding(
                    message=f"loading this file uses {name[:120]}, which can act ({effect})",
                    at=document.where,
                    action=Action.BLOCK,
                    symbol=name[:200],
                    evidence=(Text("The node", text=_shown(node)),),
                )
    if unreviewed:
        first = next(iter(unreviewed))
        more = f" and {len(unreviewed) - 1:,} more types" if len(unreviewed) > 1 else ""
        rows = tuple((name[:200],) for name in list(unreviewed)[:SHOWN])
        yield Finding(
            message=f"loading this file needs a type that nobody has reviewed: {first[:120]}{more}",
            at=document.where,
            action=Action.REVIEW,
            symbol="unreviewed types",
            evidence=(Table("Types", columns=("name",), rows=rows),),
        )


def _names(node: dict[str, Any]) -> Iterator[str]:
    """What a node imports: its class, and a function's own path."""
    module, name, content = node.get(_MODULE), node.get(_CLASS), node.get("content")
    if isinstance(content, dict) and isinstance(content.get("function"), str):
        yield f"{content.get('module_path')}.{content['function']}"
    elif isinstance(module, str) and isinstance(name, str) and node[_LOADER] not in _OWN:
        yield f"{module}.{name}"


_OWN: Final = frozenset({"MethodNode", "OperatorFuncNode", "BuiltinFunctionNode"})
"""Loaders that judge what they hold; `_hidden` looks at those."""


def _hidden(node: dict[str, Any]) -> str:
    """Why a node would use something else than it says, or the empty string."""
    loader, content = node[_LOADER], node.get("content")
    claimed = f"{node.get(_MODULE)}.{node.get(_CLASS)}"
    if loader == "OperatorFuncNode" and node.get(_MODULE) not in ("operator", "_operator"):
        return f"a node says that it is {claimed[:100]} and is a function of operator"
    if loader == "OperatorFuncNode" and node.get(_CLASS) == "methodcaller":
        return "a node calls a method by its name (operator.methodcaller)"
    if loader == "MethodNode" and isinstance(content, dict):
        method, owner = str(content.get("func", "")), content.get("obj")
        if REACHES_OUT.intersection(method.split(".")):
            return f"a method is taken from an object by the name {method[:100]}"
        if isinstance(owner, dict) and isinstance(owner.get(_CLASS), str):
            held = f"{owner.get(_MODULE)}.{owner.get(_CLASS)}"
            if node.get(_MODULE) and claimed != held and "method" not in str(node.get(_CLASS)):
                return f"a node says that it is {claimed[:100]} and is a method of {held[:100]}"
    return ""


def _shown(node: dict[str, Any]) -> str:
    return "\n".join(f"{k}: {str(v)[:300]}" for k, v in list(node.items())[:10])
