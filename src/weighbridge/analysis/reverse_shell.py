"""A shell whose input and output are tied to a network connection."""

from __future__ import annotations

import ast

from weighbridge.analysis.python_acts import Act, Acts


def reverse_shell(acts: Acts) -> Act | None:
    """A socket in a scope that also duplicates descriptors or starts a program with pipes."""
    for act in acts.with_effect("connect"):
        if not act.name.startswith(("socket.", "asyncio.open_connection")):
            continue
        beside = [a for a in acts.with_effect("execute") if a.scope == act.scope]
        if any(a.name == "pty.spawn" or _talks(a.node) for a in beside):
            return act
    return None


def _talks(node: ast.AST) -> bool:
    """Whether a call hands the program's input and output to something (`stdin=`, a shell)."""
    names = {n.arg for n in ast.walk(node) if isinstance(n, ast.keyword)}
    shells = ("/bin/sh", "/bin/bash", "sh", "bash", "cmd", "cmd.exe", "powershell")
    spoken = any(isinstance(n, ast.Constant) and n.value in shells for n in ast.walk(node))
    return "stdin" in names or "stdout" in names or spoken
