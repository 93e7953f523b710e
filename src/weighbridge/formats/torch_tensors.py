"""Where the tensors of an archive lie: those of a torch zip, and the arrays of an npz.

A torch archive is a pickle that names its tensors and says of each which storage it is a view of,
from which element, with which sizes and strides (`torch/_utils.py`, `torch/serialization.py`); the
storages are members. The pickle is followed on symbols, as everywhere; nothing is built.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from weighbridge.core.document import Malformed
from weighbridge.core.fact import TensorEntry
from weighbridge.core.format import Limits
from weighbridge.core.location import Location
from weighbridge.core.regex import regex
from weighbridge.core.tree import Blob
from weighbridge.formats.npy import NPY, Npy
from weighbridge.formats.pickle_machine import Machine, Run
from weighbridge.formats.pickle_values import Call, Global, Mutable, PersistentId, Value
from weighbridge.formats.text import encodable

PICKLE_LIMIT: Final = 16 << 20
"""A state dict of a hundred thousand tensors is smaller."""
ITEMS_KEPT: Final = 400_000
ARRAYS: Final = 10_000
NESTING: Final = 3
LARGEST: Final = 1 << 62
"""No tensor, and no dimension of one, is larger than this."""
_STORAGES: Final = {
    "FloatStorage": "F32", "HalfStorage": "F16", "BFloat16Storage": "BF16",
    "DoubleStorage": "F64", "LongStorage": "I64", "IntStorage": "I32", "ShortStorage": "I16",
    "CharStorage": "I8", "ByteStorage": "U8", "BoolStorage": "BOOL",
}  # fmt: skip
_DTYPES: Final = {
    "float32": "F32", "float16": "F16", "bfloat16": "BF16", "float64": "F64", "int64": "I64",
    "int32": "I32", "int16": "I16", "int8": "I8", "uint8": "U8", "uint16": "U16", "uint32": "U32",
    "uint64": "U64", "bool": "BOOL", "float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2",
}  # fmt: skip
_NUMPY: Final = {
    "<f4": "F32", "<f2": "F16", "<f8": "F64", "<i8": "I64", "<i4": "I32", "<i2": "I16",
    "|i1": "I8", "|u1": "U8", "|b1": "BOOL", "<u2": "U16", "<u4": "U32", "<u8": "U64",
}  # fmt: skip
WIDTHS: Final = {
    "F32": 4, "F16": 2, "BF16": 2, "F64": 8, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1,
    "BOOL": 1, "U16": 2, "U32": 4, "U64": 8, "F8_E4M3": 1, "F8_E5M2": 1,
}  # fmt: skip


class Member(NamedTuple):
    """A member of an archive: its bytes when it is opened, and where they begin in the archive's
    own (None where they are compressed)."""

    blob: Blob
    start: int | None


def torch_tensors(members: Mapping[str, Member], root: str) -> Iterator[TensorEntry]:
    """The tensors that `<root>data.pkl` names. Raises `Malformed` where it is no whole pickle."""
    pickled = members[f"{root}data.pkl"].blob
    order = members.get(f"{root}byteorder")
    if pickled.size > PICKLE_LIMIT or (order is not None and order.blob.read(0, 3) == b"big"):
        return
    machine = _Filled(pickled, Limits())
    stream = machine.stream(0)
    if stream.broken is not None:
        raise Malformed(f"not a whole pickle: {stream.broken}", stream.end)
    found = list(_named(machine, machine.top(), NESTING))
    for name, call in found:
        entry = _placed(name, call, members, root)
        if entry is not None:
            yield entry


class _Filled(Machine):
    """Keeps what fills ordered dictionaries too, which the other readers of pickles need not
    know."""

    def __init__(self, blob: Blob, limits: Limits) -> None:
        super().__init__(blob, limits)
        self.filled: dict[int, list[Value]] = {}
        self.room = ITEMS_KEPT

    def fill(self, target: Value, items: list[Value], offset: int, how: str) -> None:
        """See `Machine.fill`."""
        spelled: list[Value] = []
        for item in items:
            spelled += item.values() if type(item) is Run else [item]
        self.room -= len(spelled)
        if self.room >= 0 and type(target) in (Call, Mutable):
            self.filled.setdefault(id(target), []).extend(spelled)
        super().fill(target, items, offset, how)


def _named(machine: _Filled, value: Value, depth: int) -> Iterator[tuple[str, Call]]:
    """The tensors of a state dict by name; where the outermost mapping holds none itself, those of
    the mappings in it."""
    items = machine.filled.get(id(value), [])
    inner: list[Value] = []
    found = False
    for key, held in zip(items[::2], items[1::2], strict=False):
        tensor = _tensor(held)
        if isinstance(key, str) and tensor is not None:
            found = True
            yield key, tensor
        elif type(held) in (Call, Mutable):
            inner.append(held)
    if not found and depth:
        for held in inner:
            yield from _named(machine, held, depth - 1)


def _tensor(value: Value) -> Call | None:
    for _ in range(4):
        if type(value) is not Call or type(value.callee) is not Global:
            return None
        name = value.callee.name
        if name in ("_rebuild_tensor_v2", "_rebuild_tensor_v3"):
            return value
        if name not in ("_rebuild_parameter", "_rebuild_from_type_v2") or not value.args:
            return None
        value = value.args[0] if name == "_rebuild_parameter" else None
    return None


def _placed(name: str, call: Call, members: Mapping[str, Member], root: str) -> TensorEntry | None:
    if len(call.args) < 4:
        return None
    storage, offset, shape, strides = call.args[:4]
    if type(storage) is not PersistentId or type(storage.id) is not tuple or len(storage.id) < 5:
        return None
    dtype = _dtype(storage.id[1], call.args[6] if len(call.args) > 6 else None)
    if not (_sizes(shape) and _sizes(strides) and _sizes((offset,)) and dtype):
        return None
    width = WIDTHS[dtype]
    count = 1
    for n in shape:
        count *= n
    member = members.get(f"{root}data/{storage.id[2]}")
    start = -1
    if (
        member is not None
        and member.start is not None
        and len(shape) == len(strides)
        and _contiguous(shape, strides)
        and (offset + count) * width <= member.blob.size
    ):
        start = member.start + offset * width
    if count * width >= LARGEST:
        return None
    return TensorEntry(encodable(name), dtype, shape, start, count * width)


def _sizes(value: Any) -> bool:
    return type(value) is tuple and all(type(n) is int and 0 <= n < LARGEST for n in value)


def _dtype(storage: Value, dtype: Value) -> str | None:
    if type(storage) is not Global:
        return None
    if type(dtype) is Global and isinstance(dtype.name, str):
        return _DTYPES.get(dtype.name)
    return _STORAGES.get(storage.name) if isinstance(storage.name, str) else None


def _contiguous(shape: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    """Whether the elements lie one after the other, the last dimension fastest."""
    expected = 1
    for n, stride in zip(reversed(shape), reversed(strides), strict=True):
        if n != 1 and stride != expected:
            return False
        expected *= n
    return True


def arrays(members: Mapping[str, Member]) -> Iterator[TensorEntry]:
    """The arrays of an npz."""
    for path, member in list(members.items())[:ARRAYS]:
        if not path.endswith(".npy"):
            continue
        assert NPY.parse is not None
        try:
            array = NPY.parse(member.blob, Location(path), Limits())
        except Malformed:
            continue
        assert isinstance(array, Npy)
        dtype = _NUMPY.get(array.descr) if isinstance(array.descr, str) else None
        if dtype is None or array.objects or not _sizes(array.shape):
            continue
        count = 1
        for n in array.shape:
            count *= n
        if count * WIDTHS[dtype] >= LARGEST:
            continue
        start = -1
        if member.start is not None and (not array.fortran or len(array.shape) < 2):
            start = member.start + array.data
        yield TensorEntry(
            encodable(path.removesuffix(".npy")), dtype, array.shape, start, count * WIDTHS[dtype]
        )


ROOT: Final = regex(r"((?:[^/]+/)?)data\.pkl")
"""The pickle of a torch archive, and the folder that everything in it is in."""
