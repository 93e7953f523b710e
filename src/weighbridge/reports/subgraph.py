"""A part of a graph as a drawing: in layers from top to bottom, along its edges.

The method is Sugiyama's: each node below all that lead to it, an edge over several layers led
through a bend in each of them, the nodes of a layer ordered by the mean place of those above.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import pairwise

from weighbridge.core.evidence import Edge, Subgraph
from weighbridge.reports import svg
from weighbridge.reports.printable import printable

DRAWN = 60
DRAWN_EDGES = 200
LABEL_LIMIT = 40
HEIGHT = 32
ROOM = 46
BESIDE = 26
PAD = 14
BEND = 12

Route = tuple[Edge, tuple[str, ...]]
"""An edge, and the names of what it goes through: its source, its bends, its target."""


def draw(graph: Subgraph) -> str:
    """The graph as inline SVG (pixels). What is not drawn, because there is much, is counted."""
    nodes = {node.id: node for node in graph.nodes[:DRAWN]}
    edges = [edge for edge in graph.edges if edge.source in nodes and edge.target in nodes]
    labels = {id: printable(node.label, LABEL_LIMIT) or "(no name)" for id, node in nodes.items()}
    depth = _depths(tuple(nodes), edges)
    rows: list[list[str]] = [[] for _ in range(1 + max(depth.values(), default=-1))]
    for id, row in depth.items():
        rows[row].append(id)
    routes = [_route(number, edge, depth, rows) for number, edge in enumerate(edges[:DRAWN_EDGES])]
    _order(rows, routes)
    widths: defaultdict[str, float] = defaultdict(lambda: float(BEND))
    widths.update({id: svg.width_of(label) + 2 * PAD for id, label in labels.items()})
    places, right = _places(rows, widths)

    shapes = []
    for edge, route in routes:
        style = _style(edge.role)
        points = [places[id] for id in route]
        shapes.append(svg.path(_curve(points), style))
        shapes.append(svg.arrow_head(*points[-1], style))
        if edge.label:
            label = printable(edge.label, LABEL_LIMIT)
            x = (points[0][0] + points[1][0]) / 2 + 6
            shapes.append(svg.text(x, points[0][1] + HEIGHT + ROOM / 2 + 4, label, "label"))
            right = max(right, x + svg.width_of(label))
    for id, label in labels.items():
        (x, y), w = places[id], widths[id]
        shapes.append(svg.box(x - w / 2, y, w, HEIGHT, _style(nodes[id].role)))
        shapes.append(svg.text(x, y + HEIGHT / 2 + 4, label, "name", "middle"))
    bottom = max(len(rows) * (HEIGHT + ROOM) - ROOM, 0) + 2
    left_out = len(graph.nodes) - len(nodes), len(graph.edges) - len(routes)
    if any(left_out):
        more = f"and {left_out[0]:,} more nodes, {left_out[1]:,} more edges"
        shapes.append(svg.text(1, bottom + 16, more, "faint"))
        bottom, right = bottom + 22, max(right, svg.width_of(more))
    return svg.picture(right + 2, bottom, printable(graph.title), shapes)


def _style(role: str) -> str:
    return "accused" if role == "accused" else ""


def _depths(ids: Sequence[str], edges: Sequence[Edge]) -> dict[str, int]:
    """The layer of each node: one below the deepest that leads to it. An edge that closes a cycle
    does not count."""
    sources: dict[str, list[str]] = defaultdict(list)
    for edge in edges:
        sources[edge.target].append(edge.source)
    depth: dict[str, int] = {}
    begun: set[str] = set()
    for start in ids:
        waiting = [start]
        while waiting:
            id = waiting[-1]
            fresh = [] if id in begun else [s for s in sources[id] if s not in begun and s != id]
            begun.add(id)
            if fresh:
                waiting.extend(dict.fromkeys(fresh))
                continue
            waiting.pop()
            if id not in depth:
                depth[id] = 1 + max((depth[s] for s in sources[id] if s in depth), default=-1)
    return {id: depth[id] for id in ids}


def _route(number: int, edge: Edge, depth: Mapping[str, int], rows: list[list[str]]) -> Route:
    bends = []
    for row in range(depth[edge.source] + 1, depth[edge.target]):
        bends.append(f"\0{number}.{row}")  # no node's id: nothing printable begins so
        rows[row].append(bends[-1])
    return edge, (edge.source, *bends, edge.target)


def _order(rows: list[list[str]], routes: Sequence[Route]) -> None:
    above: dict[str, list[str]] = defaultdict(list)
    for _, route in routes:
        for upper, lower in pairwise(route):
            above[lower].append(upper)
    at: dict[str, float] = {}
    for row in rows:
        means = {}
        for number, id in enumerate(row):
            seen = [at[upper] for upper in above[id] if upper in at]
            means[id] = sum(seen) / len(seen) if seen else (number + 0.5) / len(row)
        row.sort(key=means.__getitem__)
        at.update({id: (number + 0.5) / len(row) for number, id in enumerate(row)})


def _places(
    rows: Sequence[Sequence[str]], widths: Mapping[str, float]
) -> tuple[dict[str, tuple[float, float]], float]:
    """The middle of the upper edge of each node and bend, and how wide all is."""
    breadths = [sum(widths[id] for id in row) + BESIDE * (len(row) - 1) for row in rows]
    whole = max(breadths, default=0.0)
    places = {}
    for number, row in enumerate(rows):
        x = 1 + (whole - breadths[number]) / 2
        for id in row:
            places[id] = (x + widths[id] / 2, 1.0 + number * (HEIGHT + ROOM))
            x += widths[id] + BESIDE
    return places, whole


def _curve(points: Sequence[tuple[float, float]]) -> str:
    x, y = points[0][0], points[0][1] + HEIGHT
    data = f"M{x:.1f} {y:.1f}"
    for number, (next_x, next_y) in enumerate(points[1:], 2):
        end = next_y - 8 if number == len(points) else next_y
        reach = ROOM / 2 if end > y else ROOM
        data += f"C{x:.1f} {y + reach:.1f} {next_x:.1f} {end - reach:.1f} {next_x:.1f} {end:.1f}"
        if number < len(points):
            data += f"V{next_y + HEIGHT:.1f}"
        x, y = next_x, next_y + HEIGHT
    return data
