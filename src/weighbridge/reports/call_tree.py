"""A tree of calls as lines of text, and as a drawing."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from weighbridge.core.evidence import CallNode
from weighbridge.reports import svg
from weighbridge.reports.printable import printable

NAME_LIMIT = 90
ARGUMENTS_LIMIT = 110


class Call(Struct, frozen=True):
    """One call of the tree in the order in which it is read: the accused first, then its feeders.

    `depth` is 0 for the root, `parent` the index of the call that it feeds, `last` whether no
    further call feeds the same one. The texts are `printable()`.
    """

    depth: int
    parent: int | None
    last: bool
    name: str
    arguments: str
    made_by: str
    offset: int
    reason: str
    accused: bool


def calls(root: CallNode) -> Iterator[Call]:
    """The calls of a tree, each before those that feed it. However deep, it does not recurse."""
    waiting: list[tuple[CallNode, int, int | None, bool]] = [(root, 0, None, True)]
    index = 0
    while waiting:
        node, depth, parent, last = waiting.pop()
        yield Call(
            depth=depth,
            parent=parent,
            last=last,
            name=printable(node.name, NAME_LIMIT) or "(no name)",
            arguments=printable(", ".join(node.arguments), ARGUMENTS_LIMIT),
            made_by=printable(node.how, NAME_LIMIT),
            offset=node.offset,
            reason=printable(node.reason, ARGUMENTS_LIMIT),
            accused=node.accused,
        )
        waiting.extend(
            (feeder, depth + 1, index, position == len(node.calls) - 1)
            for position, feeder in reversed(tuple(enumerate(node.calls)))
        )
        index += 1


INDENT = 30
GAP = 14
PAD = 12
LINE = 19
DRAWN = 120
DEEPEST = 40


def draw(root: CallNode, title: str) -> str:
    """The tree as inline SVG: a box for each call, those that feed it below and to the right.

    Pixels; at most `DRAWN` calls, of which what is left out is counted. Styled by the page's
    classes, so that one drawing serves light, dark and paper.
    """
    shapes: list[str] = []
    boxes: list[tuple[float, float]] = []  # left edge and bottom edge
    y = width = 1.0
    left_out = 0
    for number, call in enumerate(calls(root)):
        if number >= DRAWN:
            left_out += 1
            continue
        rows = [
            (call.name, "name"),
            (f"({call.arguments})" if call.arguments else "", "said"),
            (f"{call.made_by} @ byte {call.offset:,}", "faint"),
            (call.reason, "why"),
        ]
        rows = [(text, style) for text, style in rows if text]
        x = 1 + min(call.depth, DEEPEST) * INDENT
        w = 2 * PAD + max(svg.width_of(text) for text, _ in rows)
        h = PAD + len(rows) * LINE
        boxes.append((x, y + h))
        if call.parent is not None:
            shapes.append(_elbow(*boxes[call.parent], x, y))
        shapes.append(svg.box(x, y, w, h, "accused" if call.accused else ""))
        for row, (text, style) in enumerate(rows):
            shapes.append(svg.text(x + PAD, y + PAD / 2 + (row + 0.72) * LINE, text, style))
        width = max(width, x + w)
        y += h + GAP
    if left_out:
        shapes.append(svg.text(1, y + LINE / 2, f"and {left_out:,} more calls", "faint"))
        y += LINE
    return svg.picture(width + 1, y - GAP + 1 + (GAP if left_out else 0), title, shapes)


def _elbow(left: float, bottom: float, x: float, y: float) -> str:
    """A line from below the box that is fed to the left of the one that feeds it."""
    down, across = left + INDENT / 2, y + (PAD + LINE) / 2
    return svg.path(f"M{down:.1f} {bottom:.1f}V{across - 7:.1f}q0 7 7 7H{x:.1f}", "")
