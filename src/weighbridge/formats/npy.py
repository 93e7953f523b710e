"""NumPy's .npy: a header that is a Python literal, then raw elements, or a pickle of objects.

Format: NEP 1 and `numpy.lib.format`. The literal is parsed, not evaluated.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator
from typing import Any, Final

from weighbridge.core.document import Document, Malformed
from weighbridge.core.finding import Gap, GapKind
from weighbridge.core.format import Format, Limits, Loading, Sample
from weighbridge.core.location import Location
from weighbridge.core.tree import Blob, Piece

MAGIC: Final = b"\x93NUMPY"
HEADER_LIMIT: Final = 1 << 16


class Npy(Document, frozen=True, kw_only=True, eq=False):
    """The header. `objects`: the elements are Python objects, so what follows is a pickle;
    `fortran`: the first dimension is the fastest."""

    blob: Blob
    descr: Any
    shape: tuple[int, ...]
    objects: bool
    fortran: bool
    data: int

    def walk(self) -> Iterator[Blob | Gap]:
        """The pickle of an object array."""
        if self.objects:
            yield Piece("object array", self.blob, self.data, self.blob.size - self.data)


def _sniff(sample: Sample) -> bool:
    return sample.head.startswith(MAGIC) and len(sample.head) > 10


def _parse(blob: Blob, where: Location, limits: Limits) -> Npy:
    head = blob.read(0, 12)
    if len(head) < 10 or head[6] not in (1, 2, 3):
        raise Malformed("a version of the format that does not exist", 6)
    width = 2 if head[6] == 1 else 4
    length = int.from_bytes(head[8 : 8 + width], "little")
    data = 8 + width + length
    if length > HEADER_LIMIT or data > blob.size:
        raise Malformed("the header is too long", 8)
    text = blob.read(8 + width, length).decode("latin-1" if head[6] < 3 else "utf-8", "replace")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd escapes in foreign text
            header = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError) as error:
        raise Malformed(f"the header is not a literal: {str(error)[:80]}", 8 + width) from None
    if not isinstance(header, dict) or set(header) != {"descr", "fortran_order", "shape"}:
        raise Malformed("the header has other keys than descr, fortran_order, shape", 8 + width)
    shape = header["shape"]
    if not isinstance(shape, tuple) or not all(isinstance(n, int) and n >= 0 for n in shape):
        raise Malformed("the shape is not a tuple of sizes", 8 + width)
    objects = _has_objects(header["descr"], 8)
    gaps: list[Gap] = []
    if not objects:
        expected = _width(header["descr"], 8)
        for n in shape:
            expected *= n
        extra = blob.size - data - expected
        if expected and extra < 0:
            raise Malformed(f"{-extra:,} bytes of the array are missing", blob.size)
        if expected and extra:
            why = f"{extra:,} bytes follow the array and were not looked at"
            at = Location(where.path, where.inside, data + expected)
            gaps.append(Gap(kind=GapKind.UNSUPPORTED, message=why, at=at))
    return Npy(
        where=where,
        size=blob.size,
        seen=data,
        gaps=tuple(gaps),
        blob=blob,
        descr=header["descr"],
        shape=shape,
        objects=objects,
        fortran=header["fortran_order"] is True,
        data=data,
    )


def _has_objects(descr: Any, depth: int) -> bool:
    if isinstance(descr, str):
        return "O" in descr
    if not depth:
        return True
    if isinstance(descr, list | tuple):
        return any(
            _has_objects(part, depth - 1)
            for field in descr
            for part in ((field[1:2]) if isinstance(field, tuple) else (field,))
            if isinstance(part, str | list | tuple)
        )
    return True


def _width(descr: Any, depth: int) -> int:
    """Bytes per element, or 0 where the description does not say."""
    if isinstance(descr, str):
        digits = descr.lstrip("<>=|")[1:].split("[")[0]
        if descr.lstrip("<>=|")[:1] == "?":
            return 1
        width = int(digits) if digits.isdigit() and len(digits) < 12 else 0
        return width * 4 if descr.lstrip("<>=|")[:1] == "U" else width
    total = 0
    if isinstance(descr, list) and depth:
        for field in descr:
            if not isinstance(field, tuple) or len(field) < 2:
                return 0
            count = 1
            shape = field[2] if len(field) > 2 else ()
            for n in shape if isinstance(shape, tuple) else (shape,):
                count *= n if isinstance(n, int) else 0
            width = _width(field[1], depth - 1)
            if not width:
                return 0
            total += width * count
    return total


NPY = Format(
    name="npy",
    title="NumPy array",
    loading=Loading.DATA,
    sniff=_sniff,
    first=MAGIC[:1],
    parse=_parse,
    document=Npy,
    limits="Elements are not read; an object array is examined as the pickle that it is.",
)
