"""An attack path as a drawing: what an outsider controls at the top, what is lost at the bottom."""

from __future__ import annotations

from weighbridge.core.evidence import AttackPath
from weighbridge.reports import reading, svg
from weighbridge.reports.printable import printable

DRAWN = 40
LABEL_LIMIT = 90
PLACE_LIMIT = 100
HEIGHT = 48
ROOM = 24
PAD = 14
NUMBER = 26


def draw(path: AttackPath) -> str:
    """The steps as inline SVG (pixels): numbered boxes with their places, the last one accused.
    The first `DRAWN`."""
    shapes: list[str] = []
    shown = path.steps[:DRAWN]
    width = 0.0
    for number, step in enumerate(shown):
        label = printable(step.label, LABEL_LIMIT) or "(no name)"
        y = 1.0 + number * (HEIGHT + ROOM)
        where = printable(reading.place(step.at), PLACE_LIMIT) if step.at is not None else ""
        style = "accused" if step is path.steps[-1] else ""
        across = max(map(svg.width_of, (label, where))) + NUMBER + 2 * PAD
        shapes.append(svg.box(1, y, across, HEIGHT, style))
        shapes.append(svg.text(1 + PAD, y + HEIGHT / 2 + 4, f"{number + 1}", "faint"))
        shapes.append(svg.text(1 + PAD + NUMBER, y + (20 if where else 28), label, "name"))
        if where:
            shapes.append(svg.text(1 + PAD + NUMBER, y + 37, where, "faint"))
        if number:
            shapes.append(svg.path(f"M27 {y - ROOM:.1f}V{y - 8:.1f}", style))
            shapes.append(svg.arrow_head(27, y, style))
        width = max(width, across)
    bottom = max(len(shown) * (HEIGHT + ROOM) - ROOM, 0) + 2
    if len(path.steps) > len(shown):
        more = f"and {len(path.steps) - len(shown):,} more steps"
        shapes.append(svg.text(1, bottom + 16, more, "faint"))
        bottom += 22
    return svg.picture(width + 2, bottom, printable(path.title), shapes)
