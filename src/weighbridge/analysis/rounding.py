"""Whether stored values are the rounding of an original, block by block.

A quantised block is a scale (and an offset) with a code for each element. Whatever scale a
quantiser chose, weighing elements by importance or not, it then took for each element the code
that comes nearest. That can be tested without knowing how the scale was chosen, and it is the
tight half of the test: `Fit` says against which scale. The other half is loose: the scale must
suit the values, or a row that was flattened or cut off would pass, every code of it being the
nearest that there is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from msgspec import Struct

from weighbridge.analysis.element_types import (
    HALF_ULP,
    Codes,
    ElementType,
    Fit,
    Flags,
    Floats,
    coded,
)

COARSE: Final = 1.5
"""Honest rows err by less than this, as a root mean square, in steps that are spread evenly over
the range of each sub-block."""
SHRUNK: Final = 0.2
"""Honest rows are made larger or smaller as a whole by less than this part of them: rounding errs
in no direction, and weights of importance only a little."""
LOST: Final = 0.7
"""Honest rows err by less than this part of their values, as a root mean square."""
DETOUR: Final = 2.0**-8
"""The relative error of a detour over bfloat16, which converters make on the way from 32."""
SINGLE: Final = 1e-3
"""What computing in single precision adds to a distance, in steps."""


class Rows(Struct, frozen=True):
    """What came of some rows. For each: how many of its `blocks` are not the rounding of the
    original, whether its scales do not suit it, the largest error (in steps; for plain types in
    units of what rounding explains), the mean squares of the error and of the original."""

    blocks: int
    beyond: Floats
    unsuited: Flags
    worst: Floats
    error: Floats
    energy: Floats


def compare(kind: ElementType, data: bytes, original: Floats, detour: float = 0.0) -> Rows:
    """Hold the stored rows in `data` against the original's values, of shape (rows, elements),
    that may have come over a type with the relative error `detour`."""
    import numpy as np

    with np.errstate(all="ignore"):  # foreign bytes hold infinities and what is no number
        if kind.coded is None:
            return _plain(kind, data, original, detour)
        codes = coded(kind, data)
        meant = original.reshape(codes.code.shape)
        values = codes.values()
        error = values - meant
        beyond = ~_rounded(kind.fit, codes, meant, np.abs(error), detour)
        rows = len(original)
        values = values.reshape(original.shape)
        steps = _even_steps(codes, meant)
        square = (steps * steps).reshape(rows, -1).mean(axis=1)
        error = np.abs(error).reshape(original.shape)
        left = np.maximum(error - np.float32(kind.least), 0)
        mean, energy = _square(left), _square(original)
        grown = np.einsum("ij,ij->i", values, original) / np.einsum("ij,ij->i", values, values)
        suited = (np.abs(grown - 1) <= SHRUNK) | (mean == 0) | (kind.fit in _TIGHT)
        widest = np.maximum(steps.reshape(rows, -1).max(axis=1), np.float32(1e-30))
        return Rows(
            blocks=original.shape[1] // kind.block,
            beyond=beyond.reshape(rows, -1).sum(axis=1),
            unsuited=~(suited & (mean <= COARSE**2 * square) & (mean <= LOST**2 * energy)),
            worst=error.max(axis=1) / widest,
            error=_square(error),
            energy=energy,
        )


def _rounded(fit: Fit, codes: Codes, meant: Floats, error: Floats, detour: float) -> Flags:
    """Whether each block is the rounding of what was meant. Most blocks are so plainly: every
    element within half a step; the others are looked at closely."""
    import numpy as np

    half = np.float32(np.diff(codes.levels).min() / 2)
    good = (error <= np.abs(codes.scale) * half).all(axis=(1, 2))
    left = ~good
    if left.any():
        of = meant[left]
        slack = np.abs(of) * np.float32(detour) + np.float32(HALF_ULP)
        good[left] = _FITS[fit](codes.some(left), of, slack)
        good[left] |= ~np.isfinite(of).all(axis=(1, 2))  # of infinities no rounding is defined
    return good


def _square(values: Floats) -> Floats:
    """The mean square of each row."""
    import numpy as np

    return np.einsum("ij,ij->i", values, values) / np.float32(values.shape[1])


def _plain(kind: ElementType, data: bytes, original: Floats, detour: float) -> Rows:
    """A type that stores each number by itself; a block is one element."""
    import numpy as np

    values = kind.decode(data).reshape(original.shape)
    error = np.abs(values - original)
    room = np.abs(original) * np.float32(kind.digits + detour) + np.float32(kind.least)
    same = (values == original) | (np.isnan(values) & np.isnan(original))
    beyond = ~(same | (error <= room * np.float32(1 + SINGLE)))
    worst = np.where(beyond, error / np.maximum(room, np.float32(1e-38)), 0)
    error = np.where(same, 0, error)
    return Rows(
        blocks=original.shape[1],
        beyond=beyond.sum(axis=1),
        unsuited=np.zeros(len(original), bool),
        worst=worst.max(axis=1, initial=0),
        error=_square(error),
        energy=_square(original),
    )


def _even_steps(codes: Codes, meant: Floats) -> Floats:
    """The step of each sub-block if its levels were spread evenly over its values: over their
    absolute values where the levels lie about zero, over the values and zero where there is an
    offset. Shape (blocks, sub-blocks, 1)."""
    import numpy as np

    levels = codes.levels
    steps = len(levels) - 1
    if levels[0] < 0:
        return 2 * np.abs(meant).max(axis=2, keepdims=True) / np.float32(steps)
    low = np.minimum(meant.min(axis=2, keepdims=True), 0)
    return (np.maximum(meant.max(axis=2, keepdims=True), 0) - low) / np.float32(steps)


# -- the tight half: a Boolean for each block ------------------------------------------------------


def _gaps(levels: Floats) -> tuple[Floats, Floats]:
    """Half the distance from each level to the one below and to the one above; none beyond the
    ends, where whatever lies further out is stored as the end."""
    import numpy as np

    half, none = np.diff(levels) / 2, np.array([np.inf], np.float32)
    return np.concatenate((none, half)), np.concatenate((half, none))


def _nearest(codes: Codes, meant: Floats, slack: Floats, *, early: bool = False) -> Flags:
    """Each code is the one that comes nearest, given the stored scale; with `early`, given one
    that half precision would round to the stored one."""
    import numpy as np

    below, above = _gaps(codes.levels)
    level = codes.levels[codes.code]
    away = (meant - codes.offset) / codes.scale - level
    room = slack / np.abs(codes.scale) + np.float32(SINGLE) * (1 + np.abs(level) / 16)
    if early:
        room += (np.abs(level) + 16) * _half_error(codes.unit)
    fits = (away <= above[codes.code] + room) & (-away <= below[codes.code] + room)
    return (fits | (codes.scale == 0)).all(axis=(1, 2))


def _half_error(number: Floats) -> Floats:
    """The largest relative error of having rounded to this half-precision number."""
    import numpy as np

    return np.maximum(np.float32(2.0**-11), np.float32(HALF_ULP) / np.abs(number))


def _line(codes: Codes, meant: Floats, slack: Floats) -> Flags:
    """There is one factor by which all values of a block round to its codes, and the stored scale
    is a mean of values over codes under it: within half and one and a half of its reciprocal."""
    import numpy as np

    below, above = _gaps(codes.levels)
    level = codes.levels[codes.code]
    # Turned so that the code is positive: `width` is then the value on the code's side.
    size, turned = np.abs(level), meant * np.sign(codes.scale)
    width = np.where(level > 0, turned, np.where(level < 0, -turned, np.abs(turned)))
    inner = np.where(level > 0, below[codes.code], above[codes.code])
    outer = np.where(level < 0, below[codes.code], above[codes.code])
    scale = np.abs(codes.scale)
    least = np.where(size > 0, (size - inner) / np.maximum(width + slack, 0), 0)
    most = np.where(width > slack, (size + outer) / (width - slack), np.inf)
    least = np.maximum(least.max(axis=2), 0.5 / scale[:, :, 0])
    most = np.minimum(most.min(axis=2), 1.5 / scale[:, :, 0])
    room = 1 + np.float32(SINGLE) + 2 * _half_error(scale[:, :, 0])
    return ((least <= most * room) | (scale[:, :, 0] == 0)).all(axis=1)


def _order(codes: Codes, meant: Floats, slack: Floats) -> Flags:
    """No value with a smaller code is larger than one with a larger code."""
    import numpy as np

    good = np.ones(len(meant), bool)
    low, high = meant - slack, meant + slack
    for edge in range(1, len(codes.levels)):
        under = np.where(codes.code < edge, low, -np.inf).max(axis=(1, 2))
        over = np.where(codes.code >= edge, high, np.inf).min(axis=(1, 2))
        good &= under <= over
    return good | (codes.scale == 0).all(axis=(1, 2))


def _early(codes: Codes, meant: Floats, slack: Floats) -> Flags:
    return _nearest(codes, meant, slack, early=True)


_TIGHT: Final = frozenset({Fit.STORED, Fit.EARLY})
"""Where the codes alone tell that a row is larger or smaller than it was."""
_FITS: Final[dict[Fit, Callable[[Codes, Floats, Floats], Flags]]] = {
    Fit.STORED: _nearest,
    Fit.EARLY: _early,
    Fit.LINE: _line,
    Fit.ORDER: _order,
}
