"""What TorchScript's code calls that is no operator on tensors: lists, mappings, plain numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final, Protocol

from weighbridge.analysis.aten import UNKNOWN, Ref
from weighbridge.analysis.graph_writer import OPERATIONS, Writer

UNROLLED: Final = 64
"""Up to how many times a loop is gone through; one that goes on for longer is followed once."""


class Raised(Exception):
    """The code raises an exception here."""


class OptionalRef(Ref):
    """A tensor that may be left out."""


class Reader(Protocol):
    """What reads the code."""

    @property
    def w(self) -> Writer:
        """The graph that is written."""

    def decided(self, test: Any) -> bool | None:
        """Whether a condition holds, where shapes and constants say so."""

    def known_number(self, value: Any) -> int | None:
        """A whole number, where it is known."""

    def item(self, owner: Any, key: Any) -> Any:
        """An element of a list, a mapping or a tensor."""


def _is(reader: Reader, given: list[Any]) -> Any:
    first, second = given
    if any(isinstance(v, OptionalRef) or v is UNKNOWN for v in given):
        return UNKNOWN
    if first is None or second is None:
        return first is second
    return UNKNOWN


def _is_not(reader: Reader, given: list[Any]) -> Any:
    found = _is(reader, given)
    return found if found is UNKNOWN else not found


def _negated(reader: Reader, given: list[Any]) -> Any:
    known = reader.decided(given[0])
    if known is None:
        return given[0] if given[0] is UNKNOWN else NotImplemented
    return not known


def _append(reader: Reader, given: list[Any]) -> Any:
    if isinstance(given[0], list):
        given[0].append(given[1])
    return given[0]


def _extend(reader: Reader, given: list[Any]) -> Any:
    if isinstance(given[0], list) and isinstance(given[1], list):
        given[0].extend(given[1][:OPERATIONS])
    return given[0]


def _pop(reader: Reader, given: list[Any]) -> Any:
    place = given[1] if len(given) > 1 and isinstance(given[1], int) else -1
    if isinstance(given[0], list) and given[0] and -len(given[0]) <= place < len(given[0]):
        return given[0].pop(place)
    return UNKNOWN


def _insert(reader: Reader, given: list[Any]) -> Any:
    if isinstance(given[0], list) and isinstance(given[1], int):
        given[0].insert(given[1], given[2])
    return given[0]


def _both(work: Callable[[list[Any], Any], Any]) -> Callable[[Reader, list[Any]], Any]:
    """An operator on lists; one on numbers or tensors is torch's own."""

    def rule(reader: Reader, given: list[Any]) -> Any:
        if len(given) > 1 and any(isinstance(g, str) for g in given):
            return UNKNOWN  # a text that is put together
        if len(given) < 2 or not isinstance(given[0], list):
            return NotImplemented
        made = work(given[0], given[1])
        return made if made is not None and len(made) <= OPERATIONS else UNKNOWN

    return rule


def _contains(reader: Reader, given: list[Any]) -> Any:
    """Whether a list or a mapping has something: a comparison with each of its numbers, where that
    is known only when it runs."""
    owner, key = given[0], given[1]
    if not isinstance(owner, dict | list):
        return UNKNOWN
    if not isinstance(key, Ref):
        if isinstance(owner, list) and any(isinstance(v, Ref) for v in owner):
            return UNKNOWN
        return key in owner if isinstance(key, str | int | float) else UNKNOWN
    w, numbers = reader.w, [v for v in owner if isinstance(v, int | float)]
    if len(numbers) != len(owner) or not 0 < len(numbers) <= UNROLLED:
        return UNKNOWN
    made = w.op("Equal", key.number, w.number(numbers[0]))
    for number in numbers[1:]:
        made = w.op("Or", made, w.op("Equal", key.number, w.number(number)))
    return Ref(made)


def _raise(reader: Reader, given: list[Any]) -> Any:
    raise Raised


def _range(reader: Reader, given: list[Any]) -> Any:
    known = [reader.known_number(g) for g in given]
    if known and all(k is not None for k in known):
        bounds = range(*[k for k in known if k is not None][:3])
        return list(bounds) if len(bounds) <= UNROLLED else UNKNOWN
    return UNKNOWN


def _as_list(reader: Reader, given: list[Any]) -> Any:
    if isinstance(given[0], dict):
        return list(given[0])
    return list(given[0]) if isinstance(given[0], list) else UNKNOWN


def _unwrap(reader: Reader, given: list[Any]) -> Any:
    found = given[0]
    if isinstance(found, OptionalRef):
        return Ref(found.number)
    return found


def _number(kind: Callable[[Any], Any]) -> Callable[[Reader, list[Any]], Any]:
    def rule(reader: Reader, given: list[Any]) -> Any:
        value = given[0] if given else UNKNOWN
        if isinstance(value, Ref):
            known = reader.w.known(value.number)
            if known is not None and len(known) == 1 and isinstance(known[0], int | float):
                return kind(known[0])
            if kind is bool:
                return Ref(reader.w.truth(value.number))
            return value
        if isinstance(value, int | float):
            return kind(value)
        if kind is float and value in ("inf", "-inf", "nan"):
            return float(value)
        return UNKNOWN

    return rule


def _of_tensor(reader: Reader, given: list[Any]) -> Any:
    return NotImplemented if isinstance(given[0], Ref) else UNKNOWN


def _keys(work: Callable[[dict[Any, Any]], Iterator[Any]]) -> Callable[[Reader, list[Any]], Any]:
    def rule(reader: Reader, given: list[Any]) -> Any:
        return list(work(given[0])) if isinstance(given[0], dict) else UNKNOWN

    return rule


def _plain(value: Any) -> Callable[[Reader, list[Any]], Any]:
    return lambda reader, given: value


BUILTIN: Final[dict[str, Callable[[Reader, list[Any]], Any]]] = {
    "__is__": _is, "__isnot__": _is_not, "__not__": _negated, "append": _append,
    "extend": _extend, "pop": _pop, "insert": _insert, "__contains__": _contains,
    "RaiseException": _raise, "__range_length": _range, "list": _as_list, "keys": _keys(iter),
    "values": _keys(lambda d: iter(d.values())),
    "items": _keys(lambda d: iter([[k, v] for k, v in d.items()])),
    "add": _both(lambda a, b: [*a, *b] if isinstance(b, list) else None),
    "mul": _both(lambda a, b: a * b if isinstance(b, int) and b < 10_000 else None),
    "__getitem__": lambda r, g: r.item(g[0], g[1]), "unchecked_unwrap_optional": _unwrap,
    "unwrap_optional": _unwrap, "_unwrap_optional": _unwrap, "int": _number(int),
    "float": _number(float), "bool": _number(bool), "Int": _number(int), "Float": _number(float),
    "Bool": _number(bool), "NumToTensor": _unwrap, "device": _plain(UNKNOWN),
    "format": _plain(UNKNOWN), "str": _plain(UNKNOWN), "layout": _plain(0), "warn": _plain(None),
    "is_cuda": _plain(False), "requires_grad": _plain(False), "is_scripting": _plain(True),
    "get_autocast_dtype": _plain(UNKNOWN), "is_autocast_enabled": _plain(False),
    "is_grad_enabled": _plain(False), "has_torch_function": _plain(False), "dtype": _of_tensor,
    "is_nested": _plain(False), "is_floating_point": lambda r, g: (
        r.w.type(g[0].number).startswith("float") if isinstance(g[0], Ref) and
        r.w.type(g[0].number) else UNKNOWN),
    "is_contiguous": _plain(True), "print": _plain(None), "is_quantized": _plain(False),
    "is_mkldnn": _plain(False),
    # A quicker way to the same for batches of unequal lengths.
    "_nested_tensor_from_mask_left_aligned": _plain(False), "_profile_guard": _plain(None),
    "enter": _plain(None),
}  # fmt: skip
"""By name: what is called, with the arguments in order; `NotImplemented` hands them on to torch's
operator of that name."""
