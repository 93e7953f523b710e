"""What a Keras configuration says of its layers: their names and types, and how they are joined."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

from weighbridge.analysis.computation_graph import Shape
from weighbridge.analysis.tensorflow_writer import SMALL, TYPES

NESTED: Final = 20
"""How deep arguments are looked into."""
Config = Mapping[str, Any]


class Ref(Struct, frozen=True):
    """An output of a call of a layer, and what is said of its type and shape."""

    layer: str
    call: int
    output: int
    type: str = ""
    shape: Shape | None = None


class Cut(Struct, frozen=True):
    """A slice."""

    start: Any
    stop: Any
    step: Any


class Value(Struct, frozen=True):
    """A value among arguments, by its number."""

    number: int


def values_in(given: Any, depth: int = 0) -> Iterator[Value]:
    """The values among arguments, however deep."""
    if isinstance(given, Value):
        yield given
    elif isinstance(given, list | dict) and depth < NESTED:
        for item in given.values() if isinstance(given, dict) else given:
            yield from values_in(item, depth + 1)


def numbers_in(given: Any, depth: int = 0) -> Iterator[Any]:
    """The numbers among arguments, one after the other."""
    if isinstance(given, int | float):
        yield given
    elif isinstance(given, list | tuple) and depth < NESTED:
        for item in given:
            yield from numbers_in(item, depth + 1)


def sizes_of(given: Any) -> tuple[int, ...]:
    """The sizes of a list of lists, by its first items."""
    sizes: list[int] = []
    while isinstance(given, list) and len(sizes) < NESTED:
        sizes.append(len(given))
        given = given[0] if given else None
    return tuple(sizes)


def kind_of(numbers: Sequence[Any]) -> str:
    """The element type that numbers are kept in."""
    return "int64" if numbers and all(isinstance(n, int) for n in numbers) else "float32"


def config_of(layer: Config) -> Config:
    """A layer's configuration."""
    config = layer.get("config")
    return config if isinstance(config, dict) else {}


def name_of(layer: Config) -> str:
    """What a layer is called."""
    return str(layer.get("name") or config_of(layer).get("name") or layer.get("class_name") or "")


def is_own(module: str, layer: Config) -> bool:
    """Whether a layer is a class of the author's own, whatever it is called."""
    registered = layer.get("registered_name")
    if module:
        return not module.startswith(("keras", "tf_keras", "tensorflow"))
    return isinstance(registered, str) and bool(registered) and ">" in registered


def type_of(config: Config) -> str:
    """The element type of a layer's values."""
    said = config.get("dtype")
    if isinstance(said, dict):
        said = config_of(said).get("name")
    return said if isinstance(said, str) and said in TYPES else "float32"


def shape_of(said: Any, name: str) -> Shape | None:
    """A shape as a configuration says it; open sizes bear the name they are given."""
    if not isinstance(said, list | tuple) or len(said) > NESTED:
        return None
    return tuple(
        d if isinstance(d, int) and d >= 0 else ("batch" if not i else f"{name}.{i}")
        for i, d in enumerate(said)
    )


# How layers are joined --------------------------------------------------------------------------


def listed(said: Any, layers: Mapping[str, Config]) -> Iterator[Ref]:
    """The inputs or outputs of a model: one reference, or a list or mapping of them."""
    waiting = [said]
    while waiting:
        item = waiting.pop()
        ref = _old_reference(item, layers)
        if ref is not None:
            yield ref
        elif isinstance(item, list):
            waiting += reversed(item[:SMALL])
        elif isinstance(item, dict):
            waiting += reversed(list(item.values())[:SMALL])


def _old_reference(item: Any, layers: Mapping[str, Config]) -> Ref | None:
    """`[layer, call, output]`, as lists refer to a value."""
    if (
        isinstance(item, list)
        and len(item) >= 3
        and isinstance(item[0], str)
        and all(isinstance(n, int) for n in item[1:3])
        and item[0] in layers
    ):
        return Ref(item[0], item[1], item[2])
    return None


def call_of(layer: Config, number: int, layers: Mapping[str, Config]) -> tuple[list[Any], Any]:
    """The arguments of a call of a layer, with references."""
    nodes = layer.get("inbound_nodes")
    if not isinstance(nodes, list) or not nodes:
        return [], {}
    node = nodes[number] if 0 <= number < len(nodes) else nodes[-1]
    if isinstance(node, dict):
        args, kwargs = node.get("args"), node.get("kwargs")
        read = [_read(a, layers) for a in args] if isinstance(args, list) else []
        return read, _read(kwargs if isinstance(kwargs, dict) else {}, layers)
    found: list[Any] = []
    named: dict[str, Any] = {}
    tensors = [node] if _old_reference(node, layers) else node if isinstance(node, list) else []
    for item in tensors:
        ref = _old_reference(item, layers)
        constant = isinstance(item, list) and item[:1] == ["_CONSTANT_VALUE"] and len(item) > 2
        if ref is not None or constant:
            found.append(ref if ref is not None else item[2])
            if len(item) > 3 and isinstance(item[3], dict):
                named |= _read(item[3], layers)
        elif isinstance(item, list):
            found.append([_old_reference(i, layers) or i for i in item])
    return found, named


def _read(given: Any, layers: Mapping[str, Config], depth: int = 0) -> Any:
    """An argument with references, slices and constants for what stands for them."""
    if depth > NESTED:
        return None
    if isinstance(given, list):
        ref = _old_reference(given, layers)
        return ref if ref is not None else [_read(g, layers, depth + 1) for g in given]
    if not isinstance(given, dict):
        return given
    kind, config = given.get("class_name"), given.get("config")
    if kind == "__keras_tensor__" and isinstance(config, dict):
        ref = _old_reference(config.get("keras_history"), layers)
        if ref is None:
            return None
        type = str(config.get("dtype", ""))
        return Ref(ref.layer, ref.call, ref.output, type, shape_of(config.get("shape"), ref.layer))
    if kind in ("__tensor__", "__numpy__") and isinstance(config, dict):
        return config.get("value")
    if kind == "__slice__" and isinstance(config, dict):
        return Cut(config.get("start"), config.get("stop"), config.get("step"))
    if kind == "__ellipsis__":
        return Ellipsis
    if set(given) == {"start", "stop", "step"}:
        return Cut(given["start"], given["stop"], given["step"])
    return {k: _read(v, layers, depth + 1) for k, v in given.items()}


def _refs(given: Any, depth: int = 0) -> Iterator[Ref]:
    if isinstance(given, Ref):
        yield given
    elif isinstance(given, list | dict) and depth < NESTED:
        for item in given.values() if isinstance(given, dict) else given:
            yield from _refs(item, depth + 1)


def in_order(layers: Mapping[str, Config], wanted: Sequence[Ref]) -> Iterator[tuple[str, int]]:
    """The calls of layers that some outputs need, each after those that it needs."""
    done: set[tuple[str, int]] = set()
    begun: set[tuple[str, int]] = set()
    for first in wanted:
        waiting = [(first.layer, first.call)]
        while waiting:
            call = waiting[-1]
            if call in done or call[0] not in layers:
                waiting.pop()
                continue
            needed: list[tuple[str, int]] = []
            if call not in begun:
                begun.add(call)
                found = _refs(list(call_of(layers[call[0]], call[1], layers)))
                needed = [(r.layer, r.call) for r in found if (r.layer, r.call) not in begun]
            if needed:
                waiting.extend(needed)
                continue
            waiting.pop()
            done.add(call)
            yield call


def layers_of(config: Config) -> list[Any]:
    """The layers of a model's configuration."""
    layers = config.get("layers")
    return layers if isinstance(layers, list) else []
