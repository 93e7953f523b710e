"""Jinja source to a syntax tree, and which strings are templates at all. Nothing is rendered.

Source: https://jinja.palletsprojects.com/en/stable/templates/, with the tags that chat templates
add to it: `generation`, `break`, `continue`, `do`.
"""

from __future__ import annotations

import re
import warnings
from functools import cache
from typing import TYPE_CHECKING, Final

from weighbridge.core.document import Malformed
from weighbridge.core.later import Later
from weighbridge.core.regex import regex

if TYPE_CHECKING:
    import jinja2
    from jinja2 import Environment, nodes
    from jinja2.parser import Parser
else:
    jinja2, nodes = Later("jinja2"), Later("jinja2.nodes")

ROLE: Final = "chat-template"
"""The role of a blob that its container declares to be a template."""
LOOSE: Final = "template-like"
"""The role of a string that is a template by its form, under a key that does not say so."""

LIMIT: Final = 1 << 20
"""How long a template may be, in bytes; the longest in use have some 30 thousand."""
DEPTH: Final = 200
"""How deep its tree may be."""
NODES: Final = 100_000

MARK: Final = regex(r"\{%[-+]?\s*\w|\{\{[-+]?\s*[\w'\"(\[{]|\{#")
_STATEMENT: Final = regex(r"\{%[-+]?\s*[a-z]\w*|\{\{[-+]?\s*[\w'\"(\[{][^{}]{0,4000}\}\}")


@cache
def _environment() -> Environment:
    """What reads templates; it never renders. Jinja is loaded when the first one is met."""
    from jinja2.ext import Extension

    class Generation(Extension):
        """`{% generation %}` marks what the assistant said; here it is just its body."""

        tags = frozenset({"generation"})  # type: ignore[assignment]

        def parse(self, parser: Parser) -> list[nodes.Node]:
            """Read up to `endgeneration`."""
            next(parser.stream)
            return parser.parse_statements(("name:endgeneration",), drop_needle=True)

    return jinja2.Environment(
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.loopcontrols", "jinja2.ext.do", Generation],
    )


def parse(source: str) -> nodes.Template:
    """The tree of a template, its nodes linked to nothing that could run.

    Raises `Malformed` for what Jinja does not accept and for what is too large or too deep.
    """
    if len(source) > LIMIT:
        raise Malformed(f"a template of more than {LIMIT:,} characters")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an unknown escape in a string is not ours to mend
            tree = _environment().parse(source)
    except jinja2.TemplateError as error:
        line = getattr(error, "lineno", None)
        at = f" on line {line}" if line else ""
        raise Malformed(f"no Jinja template: {error.message}{at}") from None
    except (ValueError, OverflowError, RecursionError) as error:
        why = "it is nested too deep" if isinstance(error, RecursionError) else str(error)
        raise Malformed(f"no Jinja template: {why}") from None
    level: list[nodes.Node] = [tree]
    count = 0
    for _ in range(DEPTH):
        level = [child for node in level for child in node.iter_child_nodes()]
        count += len(level)
        if not level or count > NODES:
            break
    if level:
        raise Malformed("a template whose tree is too deep or too large")
    return tree


def is_template(text: str) -> bool:
    """Whether a string is a template: it holds a statement or an expression, and Jinja takes it."""
    if not _STATEMENT.search(text):
        return False
    try:
        tree = parse(text)
    except Malformed:
        return False
    return any(not isinstance(n, nodes.Output) for n in tree.body) or any(
        not isinstance(n, nodes.TemplateData) for o in tree.body for n in o.iter_child_nodes()
    )


_DECLARES: Final = regex(r"template|prompt|jinja", re.IGNORECASE)


def role_of(key: str, text: str) -> str:
    """The role of a string under a key, empty where it is no template.

    A key that says so is believed even if Jinja does not take the text: that is then a gap.
    """
    if not MARK.search(text):
        return ""
    if "chat_template" in key:
        return ROLE
    if not is_template(text):
        return ""
    return ROLE if _DECLARES.search(key) else LOOSE
