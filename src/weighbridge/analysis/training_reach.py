"""What is within reach of code that comes in from outside: credentials that the file reads, weights
that it writes or hands to a hub."""

from __future__ import annotations

import ast
from typing import Final

from weighbridge.analysis.connections import Connections
from weighbridge.analysis.python_values import Names
from weighbridge.analysis.training_kinds import Kind, Met
from weighbridge.formats.python_source import Nodes

ACCUSABLE: Final = frozenset({
    Kind.LOAD, Kind.RECEIVED, Kind.FETCHED_CODE, Kind.TRUST, Kind.DATA_SCRIPT, Kind.COMMAND,
    Kind.INSTALL_ANY, Kind.COLLECTOR, Kind.BUILD,
})  # fmt: skip
"""What lets something in, or out."""
KEPT: Final = 3
"""How many of each sort are told."""
_PUSHES: Final = frozenset({"push_to_hub", "upload_folder", "upload_file", "upload_large_folder",
                            "create_commit", "save_to_hub", "push_to_hub_merged"})  # fmt: skip
_SAVES: Final = frozenset({"save_pretrained", "save_model", "save_weights", "save_checkpoint",
                           "save_pretrained_merged"})  # fmt: skip
_SAVERS: Final = frozenset({"torch.save", "safetensors.torch.save_file", "safetensors.save_file",
                            "safetensors.numpy.save_file", "joblib.dump", "dill.dump"})  # fmt: skip


def within_reach(nodes: Nodes, names: Names, connections: Connections) -> list[Met]:
    """The first few of each sort, in the order of their lines."""
    holds: dict[str, Met] = {}
    writes: dict[str, Met] = {}
    for node in nodes.all:
        if isinstance(node, ast.Subscript):
            if (name := connections.credential(node)) and isinstance(node.ctx, ast.Load):
                _first(holds, Met(Kind.HOLDS, node.lineno, "", name))
        elif isinstance(node, ast.Call):
            if name := connections.credential(node):
                _first(holds, Met(Kind.HOLDS, node.lineno, "", name))
            elif does := _writes(node, names):
                pushes = ("pushes",) if does in _PUSHES else ()
                _first(writes, Met(Kind.WRITES, node.lineno, does, does, pushes))
    kept = (sorted(found.values(), key=lambda m: m.line)[:KEPT] for found in (holds, writes))
    return [met for found in kept for met in found]


def _first(found: dict[str, Met], met: Met) -> None:
    before = found.get(met.detail)
    if before is None or met.line < before.line:
        found[met.detail] = met


def _writes(node: ast.Call, names: Names) -> str:
    name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
    name = node.func.id if isinstance(node.func, ast.Name) else name
    if name in _PUSHES or name in _SAVES:
        return name
    if name in ("save", "save_file", "dump"):
        path = names.callee(node)
        if path is not None and path.dotted in _SAVERS:
            return path.dotted
    return ""
