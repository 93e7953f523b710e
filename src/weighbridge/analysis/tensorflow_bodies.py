"""The nodes of a TensorFlow graph or function: what stands for what, and in which order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from msgspec import Struct, field

from weighbridge.analysis.tensorflow_operators import OUTPUTS, SILENT
from weighbridge.formats import tensorflow as tf
from weighbridge.formats.tensorflow import Node

_NO_ENDS: Final = SILENT | {
    "ReadVariableOp",
    "VarIsInitializedOp",
    "NextIteration",
    "Switch",
    "_SwitchN",
}
"""What stands at no end of a graph, though nothing may need it."""
ASSIGNING: Final = frozenset({
    "AssignVariableOp", "AssignAddVariableOp", "AssignSubVariableOp", "Assign", "AssignAdd",
    "AssignSub", "ScatterUpdate", "ResourceScatterUpdate", "ResourceScatterAdd",
})  # fmt: skip


SWITCHES: Final = frozenset({"Switch", "RefSwitch", "_SwitchN"})
"""What hands a value to one of several branches."""


class Frame(Struct):
    """A loop as TensorFlow 1 has it: the `Merge` that each of its variables begins with and the
    `NextIteration` that leads back to it, and what says whether there is another turn."""

    test: str
    variables: dict[str, str] = field(default_factory=dict)


class Body(Struct):
    """The nodes of a graph or function by name, how many outputs of each are asked for, and the
    loops among them."""

    nodes: dict[str, Node]
    wanted: dict[str, int] = field(default_factory=dict)
    exits: dict[str, tuple[str, Frame]] = field(default_factory=dict)
    """For each `Exit`, the `Merge` of its variable and the loop."""
    branches: bool = False


def body_of(nodes: Sequence[Node]) -> Body:
    """The nodes of a graph or function, and what is asked of them."""
    made = Body({node.name: node for node in nodes})
    frames: dict[str, Frame] = {}
    for node in nodes:
        if node.op in SWITCHES:
            made.branches = True
        for reference in node.inputs:
            name, _, rest = reference.partition(":")
            source = made.nodes.get(name)
            if source is not None:
                place = place_of(source, rest, {})
                if place < 10_000:
                    made.wanted[name] = max(made.wanted.get(name, 0), place + 1)
        if node.op in ("Switch", "RefSwitch") and len(node.inputs) > 1:
            merge = made.nodes.get(node_of(node.inputs[0]))
            for back in merge.inputs if merge is not None else ():
                if merge is not None and op_of(made, back).endswith("NextIteration"):
                    test = node.inputs[1]
                    frame = frames.setdefault(test, Frame(test))
                    frame.variables[merge.name] = node_of(back)
    for node in nodes:
        if node.op.endswith("Exit") and node.inputs:
            switch = made.nodes.get(node_of(node.inputs[0]))
            if switch is not None and len(switch.inputs) > 1 and switch.inputs[1] in frames:
                made.exits[node.name] = node_of(switch.inputs[0]), frames[switch.inputs[1]]
    return made


def node_of(reference: str) -> str:
    """The node that a reference is to."""
    return reference.lstrip("^").partition(":")[0]


def op_of(body: Body, reference: str) -> str:
    """The operator of the node that a reference is to; empty where there is none."""
    node = body.nodes.get(node_of(reference))
    return node.op if node is not None else ""


def place_of(node: Node, rest: str, functions: Mapping[str, tf.Function]) -> int:
    """The number of an output from what stands behind the name of its node."""
    name, _, number = rest.rpartition(":")
    place = int(number) if number.isascii() and number.isdecimal() and len(number) < 7 else 0
    if not name:
        return place
    function = functions.get(node.op)
    named = [o.name for o in function.outputs] if function else list(OUTPUTS.get(node.op, ()))
    return place + (named.index(name) if name in named else 0)


def _needs(body: Body, node: Node) -> Iterator[str]:
    """What has to be laid out before a node."""
    merges = node.op in ("Merge", "RefMerge")
    _, frame = body.exits.get(node.name, ("", None))
    for reference in (*node.inputs, *(frame.variables.values() if frame is not None else ())):
        source = node_of(reference)
        if source in body.nodes and not (merges and op_of(body, source).endswith("NextIteration")):
            yield source


def in_order(body: Body, wanted: Sequence[str]) -> Iterator[str]:
    """The nodes that some need, each after those that it needs; loops lead back where a variable
    of theirs begins."""
    done: set[str] = set()
    begun: set[str] = set()
    for first in wanted:
        waiting = [first]
        while waiting:
            name = waiting[-1]
            node = body.nodes.get(name)
            if node is None or name in done:
                waiting.pop()
                continue
            needed: list[str] = []
            if name not in begun:
                begun.add(name)
                needed = [source for source in _needs(body, node) if source not in begun]
            if needed:
                waiting.extend(needed)
                continue
            waiting.pop()
            done.add(name)
            yield name


def _trains(node: Node) -> bool:
    """Whether a step is part of training, of saving or of watching, by its operator."""
    op = node.op
    return (
        op.endswith(("Grad", "GradV2", "Summary", "SummaryV2"))
        or op.startswith(("Apply", "ResourceApply", "Save", "Restore", "SparseApply"))
        or ("Backprop" in op and op not in ("Conv2DBackpropInput", "Conv3DBackpropInputV2"))
        or op in ASSIGNING
    )


def ends(nodes: Sequence[Node]) -> Iterator[str]:
    """Nodes of a graph without signatures that nothing but training needs."""
    readers: dict[str, list[str]] = {}
    for node in nodes:
        for reference in node.inputs:
            if not reference.startswith("^"):
                readers.setdefault(node_of(reference), []).append(node.name)
    waiting = [node.name for node in nodes if _trains(node)]
    trained = set(waiting)
    while waiting:
        for reader in readers.get(waiting.pop(), ()):
            if reader not in trained:
                trained.add(reader)
                waiting.append(reader)
    for node in nodes:
        if node.name in trained or node.op in _NO_ENDS or not node.inputs:
            continue
        if all(reader in trained for reader in readers.get(node.name, ())):
            yield node.name
