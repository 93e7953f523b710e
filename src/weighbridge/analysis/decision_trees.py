"""Decision trees of several libraries in one form, and what is wrong with their numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from msgspec import Struct

from weighbridge.core.document import Document
from weighbridge.formats.catboost import CatBoost
from weighbridge.formats.lightgbm import LightGbm, TextTree
from weighbridge.formats.text import Json
from weighbridge.formats.ubjson import Numbers, Ubjson
from weighbridge.formats.xgboost import XgboostBinary

LEAF: Final = -1


class Tree(Struct, frozen=True):
    """Nodes by number, the first is the root. `left` and `right` are children; what is below
    `nodes` counts is none, `LEAF` says that there is none. `features` is what each node asks about,
    out of `known` (0: not said)."""

    left: Sequence[int]
    right: Sequence[int]
    features: Sequence[int]
    known: int = 0


class Flaw(Struct, frozen=True):
    """Something wrong with a tree: `kind` names the rule."""

    kind: str
    tree: int
    message: str


def flaws(document: Document) -> Iterator[Flaw]:
    """What is wrong with the trees of a model; nothing for other documents."""
    if isinstance(document, Json | Ubjson):
        yield from _xgboost(document.value)
    elif isinstance(document, XgboostBinary):
        for i, tree in enumerate(document.trees):
            yield from _walked(i, Tree(tree.left, tree.right, tree.features, document.features))
    elif isinstance(document, LightGbm):
        known = document.settings.get("max_feature_idx", "")
        for i, text in enumerate(document.trees):
            yield from _lightgbm(i, text, int(known) + 1 if known.isdecimal() else 0)
    elif isinstance(document, CatBoost):
        yield from _catboost(document)


def _walked(number: int, tree: Tree) -> Iterator[Flaw]:
    """Children that do not exist, a way back to a node that was passed, a feature too many. Since
    no node has two parents and the root none, nothing that is reached goes in a circle."""
    nodes = len(tree.left)
    if len(tree.right) != nodes or len(tree.features) < nodes:
        yield Flaw("length", number, "its arrays are of different lengths")
        return
    reached = bytearray(nodes)
    waiting = [0] if nodes else []
    reached[:1] = b"\1" * len(waiting)
    while waiting:
        node = waiting.pop()
        children = tree.left[node], tree.right[node]
        if children[0] == LEAF:
            continue
        if tree.known and not 0 <= tree.features[node] < tree.known:
            what = f"node {node:,} asks for feature {tree.features[node]:,} of {tree.known:,}"
            yield Flaw("feature", number, what)
            return
        for child in children:
            if not 0 <= child < nodes:
                yield Flaw("child", number, f"node {node:,} leads to node {child:,} of {nodes:,}")
                return
            if reached[child]:
                yield Flaw("circle", number, f"node {node:,} leads back to node {child:,}")
                return
            reached[child] = 1
            waiting.append(child)


def _at(value: Any, *keys: str) -> Any:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _whole(value: Any) -> int:
    """A number, as XGBoost writes its parameters: text. 0 where it is none."""
    if isinstance(value, int):
        return value
    return int(value) if isinstance(value, str) and value.isdecimal() and len(value) < 12 else 0


def _numbers(value: Any) -> Sequence[int] | None:
    if isinstance(value, Numbers):
        return value.values() if value.code not in "fd" else None
    if isinstance(value, list) and all(type(n) is int for n in value):
        return value
    return None


def _xgboost(value: Any) -> Iterator[Flaw]:
    learner = _at(value, "learner")
    booster = _at(learner, "gradient_booster")
    trees = _at(booster, "model", "trees") or _at(booster, "gbtree", "model", "trees")
    if not isinstance(trees, list):
        return
    known = _whole(_at(learner, "learner_model_param", "num_feature"))
    for i, tree in enumerate(trees):
        arrays = [
            _numbers(_at(tree, key)) for key in ("left_children", "right_children", "split_indices")
        ]
        left, right, features = arrays
        if left is None or right is None or features is None:
            yield Flaw("length", i, "it lacks its children or its features")
            continue
        nodes = _whole(_at(tree, "tree_param", "num_nodes"))
        if nodes != len(left):
            yield Flaw("length", i, f"it has {len(left):,} nodes and says {nodes:,}")
        yield from _walked(i, Tree(left, right, features, known))


def _lightgbm(number: int, tree: TextTree, known: int) -> Iterator[Flaw]:
    """Children of inner nodes are inner nodes, or leaves as `~leaf`; here leaves get numbers of
    their own behind the inner nodes."""
    if tree.flaw:
        yield Flaw("length", number, tree.flaw)
        return
    inner = tree.leaves - 1
    if tree.leaves < 1 or len(tree.left) < inner or tree.values < tree.leaves:
        yield Flaw("length", number, f"its arrays are too short for {tree.leaves:,} leaves")
        return
    if inner < 1:
        return

    def placed(children: tuple[int, ...]) -> list[int]:
        # A leaf that does not exist gets a number that does not either.
        return [c if c >= 0 else inner + ~c for c in children[:inner]] + [LEAF] * tree.leaves

    wrong = [c for c in (*tree.left[:inner], *tree.right[:inner]) if c >= inner]
    if wrong:
        yield Flaw("child", number, f"a node leads to node {wrong[0]:,} of {inner:,}")
        return
    features = (*tree.features[:inner], *([0] * tree.leaves))
    yield from _walked(number, Tree(placed(tree.left), placed(tree.right), features, known))


def _catboost(model: CatBoost) -> Iterator[Flaw]:
    starts = model.starts or _summed(model.sizes)
    for i, (size, start) in enumerate(zip(model.sizes, starts, strict=False)):
        if size < 0 or start < 0 or start + size > len(model.splits):
            what = f"its splits {start:,} to {start + size:,} of {len(model.splits):,} do not exist"
            yield Flaw("child", i, what)
    wrong = [n for n in model.splits if n < 0 or (model.known and n >= model.known)]
    if wrong:
        yield Flaw("feature", 0, f"a split asks for condition {wrong[0]:,} of {model.known:,}")
    nodes = len(model.steps) // 2
    for node in range(nodes):
        for step in model.steps[2 * node : 2 * node + 2]:
            if node + step >= nodes:
                yield Flaw("child", 0, f"node {node:,} leads to node {node + step:,} of {nodes:,}")
                return
    if nodes and len(model.leaf_ids) != nodes:
        yield Flaw("length", 0, f"{nodes:,} nodes and {len(model.leaf_ids):,} numbers of leaves")
    if not nodes and model.outputs > 0 and all(0 <= n < 32 for n in model.sizes):
        needs = sum(1 << n for n in model.sizes) * model.outputs
        if needs > model.leaves:
            yield Flaw("length", 0, f"{needs:,} leaf values are needed, {model.leaves:,} are there")


def _summed(sizes: tuple[int, ...]) -> list[int]:
    made, at = [], 0
    for size in sizes:
        made.append(at)
        at += size
    return made
