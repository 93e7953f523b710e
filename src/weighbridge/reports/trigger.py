"""What was put into an input to flip a switch: pixels and tokens as a drawing, all as lines."""

from __future__ import annotations

from weighbridge.core.evidence import TriggerInput
from weighbridge.reports import svg
from weighbridge.reports.printable import printable

CELLS = 4_096
"""How many pixels are drawn."""
SIDE = 320
"""How large a picture is drawn, in pixels of the page."""
TOKENS = 40
WIDE = 46


def rows(trigger: TriggerInput, limit: int) -> tuple[list[str], int]:
    """The first `limit` lines of what stands where, and how many are left out."""
    shape = "×".join(map(str, trigger.shape))
    made = [
        f"{printable(trigger.type, 20)} [{shape}], between {trigger.low:g} and {trigger.high:g}, "
        f"{trigger.changed:,} places changed"
    ]
    pairs = list(zip(trigger.places, trigger.numbers, strict=False))
    made += [f"{_index(place, trigger.shape)} = {number:.6g}" for place, number in pairs]
    return made[:limit], max(0, len(made) - limit) + max(0, trigger.changed - len(pairs))


def _index(place: int, shape: tuple[int, ...]) -> str:
    out: list[int] = []
    for size in reversed(shape):
        out.append(place % size if size else 0)
        place //= size or 1
    return f"[{', '.join(map(str, reversed(out)))}]"


def is_drawn(trigger: TriggerInput) -> bool:
    """Whether there is a drawing of it: of pictures and of tokens."""
    if not trigger.places or len(trigger.places) != len(trigger.numbers):
        return False
    if trigger.sort == "picture":
        return len(trigger.shape) >= 3 and all(size > 0 for size in trigger.shape)
    return trigger.sort == "tokens" and len(trigger.shape) >= 1


def draw(trigger: TriggerInput) -> str:
    """The pixels in their colours, the others left empty; or the tokens in a row. Inline SVG."""
    return _picture(trigger) if trigger.sort == "picture" else _tokens(trigger)


def _picture(trigger: TriggerInput) -> str:
    *_, channels, height, width = trigger.shape
    pixels: dict[tuple[int, int], dict[int, float]] = {}
    scale = (trigger.high - trigger.low) or 1.0
    for place, number in zip(trigger.places, trigger.numbers, strict=True):
        if place >= channels * height * width:
            continue  # the second picture of a batch, and so on
        channel, rest = divmod(place, height * width)
        at = divmod(rest, width)
        pixels.setdefault(at, {})[channel] = min(1.0, max(0.0, (number - trigger.low) / scale))
    if not pixels:
        return svg.picture(1, 1, "nothing", ())
    top, left = min(r for r, _ in pixels), min(c for _, c in pixels)
    bottom, right = max(r for r, _ in pixels), max(c for _, c in pixels)
    cell = max(3.0, min(24.0, SIDE / max(bottom - top + 1, right - left + 1)))
    across, down = (right - left + 1) * cell, (bottom - top + 1) * cell
    shapes = [svg.cell(0.5, 0.5, across, down, "")]
    for (row, column), parts in list(pixels.items())[:CELLS]:
        colour = _colour(parts, channels)
        shapes.append(svg.cell(0.5 + (column - left) * cell, 0.5 + (row - top) * cell, cell, cell,
                               colour))  # fmt: skip
    words = f"rows {top}–{bottom}, columns {left}–{right} of {height}×{width}"
    shapes.append(svg.text(0, down + 20, words, "label"))
    wide = max(across + 1, svg.width_of(words))
    return svg.picture(wide, down + 28, printable(f"{trigger.title}: {words}", 200), shapes)


def _colour(parts: dict[int, float], channels: int) -> str:
    if channels == 3:
        levels = [parts.get(channel, 0.5) for channel in range(3)]
    else:
        levels = [sum(parts.values()) / len(parts)] * 3
    return "#" + "".join(f"{round(level * 255):02x}" for level in levels)


def _tokens(trigger: TriggerInput) -> str:
    length = trigger.shape[-1]
    stand = dict(zip(trigger.places, trigger.numbers, strict=True))
    shapes: list[str] = []
    shown = range(min(length, TOKENS))
    per_row = 12
    for place in shown:
        x, y = place % per_row * WIDE, place // per_row * 52
        number = stand.get(place)
        style = "accused" if number is not None else ""
        shapes.append(svg.text(x + WIDE / 2 - 2, y + 12, str(place), "label", "middle"))
        shapes.append(svg.box(x + 1, y + 18, WIDE - 6, 26, style))
        words = f"{number:.0f}" if number is not None else "·"
        shapes.append(svg.text(x + WIDE / 2 - 2, y + 35, words, "name", "middle"))
    lines = (len(shown) - 1) // per_row + 1
    title = printable(f"{trigger.title}: token ids by their place", 200)
    return svg.picture(min(len(shown), per_row) * WIDE + 2, lines * 52, title, shapes)
