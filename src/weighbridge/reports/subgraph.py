"""A part of a graph as a drawing: in layers from top to bottom, along its edges."""

from __future__ import annotations

from collections import defaultdict

from weighbridge.core.evidence import Edge, Subgraph
from weighbridge.reports import svg
from weighbridge.reports.printable import printable

DRAWN = 60
LABEL_LIMIT = 40
HEIGHT = 32
ROOM = 46
BESIDE = 26
PAD = 14


def draw(graph: Subgraph) -> str:
    """The graph as inline SVG (pixels). The first `DRAWN` nodes are drawn; the rest is counted."""
    labels = {n.id: printable(n.label, LABEL_LIMIT) or "(no name)" for n in graph.nodes[:DRAWN]}
    roles = {n.id: _style(n.role) for n in graph.nodes[:DRAWN]}
    edges = [e for e in graph.edges if e.source in labels and e.target in labels]
    rows = _ordered(_layers(list(labels), edges), edges)
    widths = {id: svg.width_of(label) + 2 * PAD for id, label in labels.items()}
    whole = max((_breadth(row, widths) for row in rows), default=0.0)
    places: dict[str, tuple[float, float]] = {}
    for number, row in enumerate(rows):
        x = 1 + (whole - _breadth(row, widths)) / 2
        for id in row:
            places[id] = (x + widths[id] / 2, 1 + number * (HEIGHT + ROOM))
            x += widths[id] + BESIDE
    shapes = [shape for edge in edges for shape in _edge(edge, places)]
    for id, (x, y) in places.items():
        shapes.append(svg.box(x - widths[id] / 2, y, widths[id], HEIGHT, roles[id]))
        shapes.append(svg.text(x, y + HEIGHT / 2 + 4, labels[id], "name", "middle"))
    bottom = max(len(rows) * (HEIGHT + ROOM) - ROOM, 0) + 2
    left_out = len(graph.nodes) - len(labels)
    if left_out > 0:
        shapes.append(svg.text(1, bottom + 16, f"and {left_out:,} more nodes", "faint"))
        bottom += 22
    right = max(
        (x + len(e.label[:LABEL_LIMIT]) * svg.CHARACTER for e, x in _labelled(edges, places)),
        default=0.0,
    )
    return svg.picture(max(whole + 2, right), bottom, printable(graph.title), shapes)


def _labelled(
    edges: list[Edge], places: dict[str, tuple[float, float]]
) -> list[tuple[Edge, float]]:
    return [(e, max(places[e.source][0], places[e.target][0]) + 12) for e in edges if e.label]


def _style(role: str) -> str:
    return "accused" if role == "accused" else ""


def _layers(ids: list[str], edges: list[Edge]) -> list[list[str]]:
    """Each node one layer below the deepest that leads to it. An edge that closes a cycle does not
    count."""
    sources: dict[str, list[str]] = defaultdict(list)
    for edge in edges:
        if edge.source != edge.target:
            sources[edge.target].append(edge.source)
    depth: dict[str, int] = {}
    for start in ids:
        waiting = [(start, False)]
        under_way: set[str] = set()
        while waiting:
            id, sources_done = waiting.pop()
            if sources_done:
                depth[id] = 1 + max((depth.get(s, -1) for s in sources[id]), default=-1)
                under_way.discard(id)
            elif id not in depth and id not in under_way:
                under_way.add(id)
                waiting.append((id, True))
                waiting.extend((s, False) for s in sources[id])
    rows: list[list[str]] = [[] for _ in range(1 + max(depth.values(), default=-1))]
    for id in ids:
        rows[depth[id]].append(id)
    return rows


def _ordered(rows: list[list[str]], edges: list[Edge]) -> list[list[str]]:
    """The nodes of each layer by the mean position of those that lead to them (barycentre)."""
    at: dict[str, float] = {}
    for row in rows:
        means = {}
        for number, id in enumerate(row):
            above = [at[e.source] for e in edges if e.target == id and e.source in at]
            means[id] = sum(above) / len(above) if above else number / max(len(row), 1)
        row.sort(key=lambda id: means[id])
        at.update({id: (number + 0.5) / len(row) for number, id in enumerate(row)})
    return rows


def _breadth(row: list[str], widths: dict[str, float]) -> float:
    return sum(widths[id] for id in row) + BESIDE * max(len(row) - 1, 0)


def _edge(edge: Edge, places: dict[str, tuple[float, float]]) -> list[str]:
    (x1, top), (x2, y2) = places[edge.source], places[edge.target]
    style = _style(edge.role)
    y1 = top + HEIGHT
    bend = ROOM / 2 if y2 > y1 else ROOM
    shapes = [
        svg.path(
            f"M{x1:.1f} {y1:.1f}C{x1:.1f} {y1 + bend:.1f} {x2:.1f} {y2 - bend:.1f} "
            f"{x2:.1f} {y2 - 8:.1f}",
            style,
        ),
        svg.arrow_head(x2, y2, style),
    ]
    if edge.label:
        label = printable(edge.label, LABEL_LIMIT)
        shapes.append(svg.text((x1 + x2) / 2 + 8, (y1 + y2) / 2 + 4, label, f"faint {style}"))
    return shapes
