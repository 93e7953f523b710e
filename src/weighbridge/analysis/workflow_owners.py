"""Whose the repository is that a workflow belongs to, by what stands in it."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable
from typing import Final

from weighbridge.core.fact import Automation
from weighbridge.core.location import within
from weighbridge.core.regex import regex

_PROJECT: Final = regex(
    r"(?:url|homepage|repository|source)\w{0,20}[\"']?\s{0,9}[=:]\s{0,9}[\"']"
    r"https://github\.com/([\w-]{1,100})/",
    re.IGNORECASE,
)
_BADGE: Final = regex(
    r"github\.com/([\w-]{1,100})/[\w.-]{1,100}/(?:actions/)?workflows/[^\s)]{1,100}badge\.svg"
)
_DECLARES: Final = {
    "pyproject.toml": _PROJECT,
    "setup.py": _PROJECT,
    "package.json": _PROJECT,
    "README.md": _BADGE,
}
"""Where a repository says whose it is."""


def root_of(path: str) -> tuple[str, str]:
    """The part and the folder in which a workflow's repository begins."""
    part, inner = within(path)
    return part, re.split(r"(?:^|/)\.github/workflows/", inner, maxsplit=1)[0]


def lies_within(root: tuple[str, str], roots: set[tuple[str, str]]) -> bool:
    """Whether another repository is around this one: GitHub runs the outer one's workflows."""
    part, folder = root
    return any(
        p == part and f != folder and (not f or folder.startswith(f"{f}/")) for p, f in roots
    )


def owners_of(
    root: tuple[str, str], workflows: Iterable[Automation], text_of: Callable[[str], str]
) -> frozenset[str]:
    """Who a repository belongs to, as its workflows and project files say. `text_of` gives the
    text of a file of it, empty where there is none."""
    found: set[str] = set()
    for workflow in workflows:
        texts = [j.condition for j in workflow.jobs] + [
            s.condition for j in workflow.jobs for s in j.steps
        ]
        for text in texts:
            found |= set(re.findall(r"github\.repository(?:_owner)?\s*==\s*'([\w.-]+)", text))
    prefix = f"{root[0]}:" if root[0] else ""
    for name, pattern in _DECLARES.items():
        found |= set(pattern.findall(text_of(prefix + posixpath.join(root[1], name)))[:20])
    return frozenset(found)
