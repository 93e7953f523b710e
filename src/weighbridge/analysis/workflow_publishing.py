"""What steps of a workflow publish: by the actions they use, by their scripts, by Python."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Final

from weighbridge.analysis.shell_kinds import Act, Kind
from weighbridge.analysis.shell_publishing import HUB
from weighbridge.analysis.workflow_views import StepView
from weighbridge.intel.actions import actions

PUSH: Final = "push="
"""The part of the outputs of a build that says whether they are pushed."""


def published(view: StepView) -> Iterator[str]:
    """What a step writes where others take it from."""
    for _, act in view.every(Kind.PUBLISH):
        if act.detail != "commit":
            yield act.detail
    if view.action is None:
        return
    name = view.action.name.lower()
    known = actions()
    inputs = {k.lower(): v.strip().lower() for k, v in view.step.inputs.items()}
    if what := known.publishes.get(name):
        files = known.release_files.get(name)
        yield what if files is None or any(inputs.get(f) for f in files) else "notes"
    for wanted, values, what in known.publishes_if.get(name, ()):
        given = {part.strip() for part in re.split(r"[,\n]", inputs.get(wanted, ""))}
        open_ended = any(part.startswith(("${{", f"{PUSH}${{{{")) for part in given)
        if not wanted or given & set(values.split("|")) or open_ended:
            yield what
            return


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
                sort = next((k.value for k in node.keywords if k.arg == "repo_type"), None)
                said = sort.value if isinstance(sort, ast.Constant) else None
                yield Act(Kind.PUBLISH, at, f"{name}(…)", HUB.get(str(said), "model"))
