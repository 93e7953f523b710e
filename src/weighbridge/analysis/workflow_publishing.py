"""What steps of a workflow publish: by the actions they use, by their scripts, by Python."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

from weighbridge.analysis.shell_kinds import Act, Kind
from weighbridge.analysis.workflow_views import StepView
from weighbridge.intel.actions import actions


def published(view: StepView) -> Iterator[str]:
    """What a step writes where others take it from."""
    for _, act in view.every(Kind.PUBLISH):
        if act.detail != "commit":
            yield act.detail
    if view.action is None:
        return
    name = view.action.name.lower()
    known = actions()
    if what := known.publishes.get(name):
        yield what
    if condition := known.publishes_if.get(name):
        wanted, values, what = condition
        given = next((v for k, v in view.step.inputs.items() if k.lower() == wanted), "").lower()
        literal = {v.strip() for v in values.split("|")}
        if not wanted or given.strip() in literal or "${{" in given:
            yield what


_UPLOADS: Final = frozenset(("push_to_hub", "upload_folder", "upload_file", "upload_large_folder",
                             "create_commit", "save_to_hub"))  # fmt: skip


def python_acts(text: str, line: int) -> Iterator[Act]:
    """What a Python script does that matters here: it uploads, or asks for a permission."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
            name = node.func.id if isinstance(node.func, ast.Name) else name
            if name in _UPLOADS:
                at = node.lineno + line - 1
                yield Act(Kind.PUBLISH, at, f"{name}(…)", "model")
