"""How stored elements become numbers: plain types, and the blocks of ggml's quantised ones.

Layouts: ggml `src/ggml-common.h` and `docs/gguf.md`; bfloat16 is the upper half of a float32; the
eight-bit floats are those of https://arxiv.org/abs/2209.05433. NumPy does the work and is loaded
at the first use: it comes with the extra `deep`.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from enum import Enum, auto
from functools import cache
from typing import Any, Final, TypeAlias

from msgspec import Struct

Bytes: TypeAlias = Any
"""An array of unsigned bytes."""
Floats: TypeAlias = Any
"""An array of single-precision numbers."""
Flags: TypeAlias = Any
"""An array of Booleans. (What NumPy says of its arrays' types is too wide to be of use here.)"""

EXTRA: Final = "deep"
"""The extra that brings NumPy."""


def available() -> bool:
    """Whether NumPy is installed."""
    return importlib.util.find_spec("numpy") is not None


def prepare() -> None:
    """Load NumPy, where it is installed: a jailed child can't open its files any more. One thread
    is enough for it."""
    if available():
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
        importlib.import_module("numpy")


class Codes(Struct, frozen=True):
    """Blocks taken apart: an element is `scale × levels[code] + offset` of its sub-block.

    `code` has the shape (blocks, sub-blocks, elements), `scale` and `offset` (blocks, sub-blocks,
    1); `levels` are in rising order. `unit` (blocks, 1, 1) is the half-precision number that the
    block's scales are multiples of.
    """

    code: Bytes
    scale: Floats
    offset: Floats
    levels: Floats
    unit: Floats

    def values(self) -> Floats:
        """The elements, in the shape of `code`."""
        import numpy as np

        levels = self.levels
        if levels[-1] - levels[0] == len(levels) - 1:  # whole numbers: no table is needed
            made = self.code.astype(np.float32)
            if levels[0]:
                made += levels[0]
        else:
            made = levels[self.code]
        made *= self.scale
        if self.offset.any():
            made += self.offset
        return made

    def some(self, chosen: Flags) -> Codes:
        """Only the chosen blocks."""
        scale, offset = self.scale[chosen], self.offset[chosen]
        return Codes(self.code[chosen], scale, offset, self.levels, self.unit[chosen])


class Fit(Enum):
    """Against what the codes of a block were rounded, by every quantiser of ggml (with weights of
    importance or without). Measured with its library, see docs/lineage.md."""

    STORED = auto()
    """The scale as it is stored: each code is the nearest one."""
    EARLY = auto()
    """The scale before it was rounded to half precision."""
    LINE = auto()
    """Some scale; the stored one was fitted to the codes afterwards."""
    ORDER = auto()
    """Some scale and offset: all that is sure is that the codes rise with the values."""


class ElementType(Struct, frozen=True):
    """A way to store elements: `block` of them in `width` bytes.

    `plain` turns bytes of shape (blocks, width) into numbers, `coded` takes them apart; one of the
    two is there. Of a plain type, `digits` is the largest relative error of storing a number (half
    a unit in the last place; 0: none that matters) and `least` the largest absolute one, near zero.
    Of a coded one `fit` says how codes were chosen and `least` is what can be lost where the scale
    is too small for half precision.
    """

    name: str
    block: int
    width: int
    plain: Callable[[Bytes], Floats] | None = None
    coded: Callable[[Bytes], Codes] | None = None
    digits: float = 0.0
    least: float = 0.0
    fit: Fit = Fit.STORED

    def decode(self, data: bytes) -> Floats:
        """The numbers of whole blocks, in order, as one row."""
        import numpy as np

        raw = np.frombuffer(data, np.uint8).reshape(-1, self.width)
        with np.errstate(all="ignore"):  # foreign bytes hold infinities and what is no number
            if self.coded is not None:
                return self.coded(raw).values().reshape(-1)
            assert self.plain is not None
            return self.plain(raw).reshape(-1)


def _as(code: str) -> Callable[[Bytes], Floats]:
    """Little-endian numbers of a kind that NumPy knows."""

    def decode(raw: Bytes) -> Floats:
        import numpy as np

        return raw.reshape(-1).view(np.dtype(code).newbyteorder("<")).astype(np.float32)

    return decode


def _bf16(raw: Bytes) -> Floats:
    import numpy as np

    return (raw.reshape(-1).view("<u2").astype(np.uint32) << 16).view(np.float32)


def _small(exponent: int, *, infinite: bool) -> Callable[[Bytes], Floats]:
    """Eight-bit floats with so many bits of exponent; where `infinite` they have infinities, like
    the larger types, and otherwise only all ones is no number."""

    @cache
    def table() -> Floats:
        import numpy as np

        fraction = 7 - exponent
        bias = (1 << (exponent - 1)) - 1
        made = np.zeros(256, np.float32)
        for byte in range(256):
            power, rest = (byte & 0x7F) >> fraction, byte & ((1 << fraction) - 1)
            lead = 1 if power else 0
            value = (lead + rest / (1 << fraction)) * 2.0 ** (max(power, 1) - bias)
            if infinite and power == (1 << exponent) - 1:
                value = float("nan") if rest else float("inf")
            elif not infinite and byte & 0x7F == 0x7F:
                value = float("nan")
            made[byte] = -value if byte & 0x80 else value
        return made

    return lambda raw: table()[raw.reshape(-1)]


# -- blocks ----------------------------------------------------------------------------------------


def _half(raw: Bytes, start: int) -> Floats:
    """A half-precision number of each block, as (blocks, 1, 1)."""
    import numpy as np

    two = np.ascontiguousarray(raw[:, start : start + 2])
    return two.view("<f2").astype(np.float32).reshape(-1, 1, 1)


def _whole(first: int, last: int) -> Floats:
    import numpy as np

    return np.arange(first, last + 1, dtype=np.float32)


def _nibbles(packed: Bytes) -> Bytes:
    """Low halves, then high halves, along the last axis."""
    import numpy as np

    return np.concatenate((packed & 15, packed >> 4), axis=-1)


def _bits(packed: Bytes, width: int) -> Bytes:
    """The fields of so many bits in each byte, as one more axis before the last: the lowest
    first."""
    import numpy as np

    shifts = np.arange(0, 8, width, dtype=np.uint8)[:, None]
    return (packed[..., None, :] >> shifts) & np.uint8((1 << width) - 1)


def _legacy(bits: int, *, minimum: bool) -> Callable[[Bytes], Codes]:
    """Q4_0, Q4_1, Q5_0, Q5_1: 32 elements, one scale, with `minimum` an offset beside it."""

    def take_apart(raw: Bytes) -> Codes:
        import numpy as np

        start = 4 if minimum else 2
        scale = _half(raw, 0)
        offset = _half(raw, 2) if minimum else np.zeros_like(scale)
        code = _nibbles(raw[:, start + (4 if bits == 5 else 0) :])
        if bits == 5:
            high = np.unpackbits(raw[:, start : start + 4], axis=-1, bitorder="little")
            code = code | (high << 4)
        lowest = 0 if minimum else -(1 << (bits - 1))
        levels = _whole(lowest, lowest + (1 << bits) - 1)
        return Codes(code[:, None, :], scale, offset, levels, scale)

    return take_apart


def _q8_0(raw: Bytes) -> Codes:
    import numpy as np

    scale = _half(raw, 0)
    code = raw[:, None, 2:] ^ np.uint8(128)
    return Codes(code, scale, np.zeros_like(scale), _whole(-128, 127), scale)


def _q2_k(raw: Bytes) -> Codes:
    packed = raw[:, :16, None]
    code = _bits(raw[:, 16:80].reshape(-1, 2, 32), 2).reshape(-1, 16, 16)
    unit, least = _half(raw, 80), _half(raw, 82)
    return Codes(code, unit * (packed & 15), -least * (packed >> 4), _whole(0, 3), unit)


def _q3_k(raw: Bytes) -> Codes:
    import numpy as np

    high = _bits(raw[:, None, :32], 1).reshape(-1, 16, 16)
    code = _bits(raw[:, 32:96].reshape(-1, 2, 32), 2).reshape(-1, 16, 16) | (high << 2)
    low = _nibbles(raw[:, 96:104])
    upper = _bits(raw[:, 104:108], 2).reshape(-1, 16)
    factor = (low | (upper << 4)).astype(np.float32)[:, :, None] - 32
    unit = _half(raw, 108)
    scale = unit * factor
    return Codes(code, scale, np.zeros_like(scale), _whole(-4, 3), unit)


def _six_bits(raw: Bytes) -> tuple[Bytes, Bytes]:
    """Eight scales and eight minima of six bits each, in twelve bytes."""
    import numpy as np

    a, b, c = raw[:, :4], raw[:, 4:8], raw[:, 8:12]
    scales = np.concatenate((a & 63, (c & 15) | ((a >> 6) << 4)), axis=1)
    minima = np.concatenate((b & 63, (c >> 4) | ((b >> 6) << 4)), axis=1)
    return scales[:, :, None], minima[:, :, None]


def _q4_k(raw: Bytes) -> Codes:
    scales, minima = _six_bits(raw[:, 4:16])
    code = _bits(raw[:, 16:].reshape(-1, 4, 32), 4).reshape(-1, 8, 32)
    unit = _half(raw, 0)
    return Codes(code, unit * scales, -_half(raw, 2) * minima, _whole(0, 15), unit)


def _q5_k(raw: Bytes) -> Codes:
    scales, minima = _six_bits(raw[:, 4:16])
    high = _bits(raw[:, None, 16:48], 1).reshape(-1, 8, 32)
    code = _bits(raw[:, 48:].reshape(-1, 4, 32), 4).reshape(-1, 8, 32) | (high << 4)
    unit = _half(raw, 0)
    return Codes(code, unit * scales, -_half(raw, 2) * minima, _whole(0, 31), unit)


def _q6_k(raw: Bytes) -> Codes:
    import numpy as np

    low = _bits(raw[:, :128].reshape(-1, 2, 64), 4).reshape(-1, 16, 16)
    high = _bits(raw[:, 128:192].reshape(-1, 2, 32), 2).reshape(-1, 16, 16)
    factor = np.ascontiguousarray(raw[:, 192:208]).view(np.int8).astype(np.float32)[:, :, None]
    unit = _half(raw, 208)
    scale = unit * factor
    return Codes(low | (high << 4), scale, np.zeros_like(scale), _whole(-32, 31), unit)


_IQ4: Final = (-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113)
"""The levels of ggml's four-bit types that are not spaced evenly."""


def _iq4_levels() -> Floats:
    import numpy as np

    return np.array(_IQ4, np.float32)


def _iq4_nl(raw: Bytes) -> Codes:
    import numpy as np

    scale = _half(raw, 0)
    code = _nibbles(raw[:, 2:])[:, None, :]
    return Codes(code, scale, np.zeros_like(scale), _iq4_levels(), scale)


def _iq4_xs(raw: Bytes) -> Codes:
    import numpy as np

    upper = _bits(raw[:, 2:4, None], 2).reshape(-1, 8)
    lower = _bits(raw[:, 4:8, None], 4).reshape(-1, 8)
    factor = (lower | (upper << 4)).astype(np.float32)[:, :, None] - 32
    unit = _half(raw, 0)
    scale = unit * factor
    code = _nibbles(raw[:, 8:].reshape(-1, 8, 16))
    return Codes(code, scale, np.zeros_like(scale), _iq4_levels(), unit)


HALF_ULP: Final = 2.0**-25
"""The largest absolute error of a half-precision number near zero."""


def _blocks(
    name: str, block: int, width: int, coded: Callable[[Bytes], Codes], fit: Fit, reach: int
) -> ElementType:
    """A quantised type; `reach` is the largest multiple of the block's unit that a value can be."""
    return ElementType(name, block, width, coded=coded, fit=fit, least=2 * reach * HALF_ULP)


_ALL: Final = (
    ElementType("F64", 1, 8, _as("f8")),
    ElementType("F32", 1, 4, _as("f4")),
    ElementType("F16", 1, 2, _as("f2"), digits=2.0**-11, least=HALF_ULP),
    ElementType("BF16", 1, 2, _bf16, digits=2.0**-8, least=2.0**-134),
    ElementType("F8_E4M3", 1, 1, _small(4, infinite=False), digits=2.0**-4, least=2.0**-10),
    ElementType("F8_E5M2", 1, 1, _small(5, infinite=True), digits=2.0**-3, least=2.0**-17),
    ElementType("I8", 1, 1, _as("i1")),
    ElementType("U8", 1, 1, _as("u1")),
    ElementType("I16", 1, 2, _as("i2")),
    ElementType("U16", 1, 2, _as("u2")),
    ElementType("I32", 1, 4, _as("i4")),
    ElementType("U32", 1, 4, _as("u4")),
    ElementType("I64", 1, 8, _as("i8")),
    ElementType("U64", 1, 8, _as("u8")),
    ElementType("BOOL", 1, 1, _as("u1")),
    _blocks("Q4_0", 32, 18, _legacy(4, minimum=False), Fit.LINE, 8),
    _blocks("Q4_1", 32, 20, _legacy(4, minimum=True), Fit.ORDER, 15),
    _blocks("Q5_0", 32, 22, _legacy(5, minimum=False), Fit.LINE, 16),
    _blocks("Q5_1", 32, 24, _legacy(5, minimum=True), Fit.ORDER, 31),
    _blocks("Q8_0", 32, 34, _q8_0, Fit.EARLY, 127),
    _blocks("Q2_K", 256, 84, _q2_k, Fit.STORED, 15 * 3),
    _blocks("Q3_K", 256, 110, _q3_k, Fit.STORED, 32 * 4),
    _blocks("Q4_K", 256, 144, _q4_k, Fit.STORED, 63 * 15),
    _blocks("Q5_K", 256, 176, _q5_k, Fit.STORED, 63 * 31),
    _blocks("Q6_K", 256, 210, _q6_k, Fit.STORED, 128 * 32),
    _blocks("IQ4_NL", 32, 18, _iq4_nl, Fit.EARLY, 127),
    _blocks("IQ4_XS", 256, 136, _iq4_xs, Fit.EARLY, 32 * 127),
)
TYPES: Final[dict[str, ElementType]] = {t.name: t for t in _ALL}
"""The element types that are read, by the names that safetensors and GGUF give them."""


def coded(kind: ElementType, data: bytes) -> Codes:
    """The blocks of `data` taken apart (`Codes`); `kind` is one of those that has blocks."""
    import numpy as np

    assert kind.coded is not None
    with np.errstate(all="ignore"):
        return kind.coded(np.frombuffer(data, np.uint8).reshape(-1, kind.width))
