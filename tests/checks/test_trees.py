"""Decision trees: numbers that lead out or in a circle are told, whatever library's they are."""

from __future__ import annotations

import json
import re
import struct
from pathlib import Path
from typing import Any

import pytest

from flatbuffers import Raw, flatbuffer, i32, vector
from weighbridge.core.document import Malformed
from weighbridge.core.finding import GapKind
from weighbridge.core.format import Limits, Sample
from weighbridge.core.location import Location
from weighbridge.core.report import Examined
from weighbridge.core.tree import Held
from weighbridge.engine.examine import examine
from weighbridge.engine.ruleset import load
from weighbridge.formats.ubjson import UBJSON, Numbers, Ubjson

BENIGN = Path(__file__).parents[1] / "benign" / "files"


def look(data: bytes, name: str = "model") -> Examined:
    return examine(Held(name, data), load(), Limits())


def said(data: bytes) -> list[str]:
    found = [f for f in look(data).findings if f.check == "tree-structure"]
    return [f"{f.action.value} {f.symbol}" for f in found]


def key(name: str) -> bytes:
    return b"L" + struct.pack(">q", len(name)) + name.encode()


def ubjson(value: Any) -> bytes:
    """As XGBoost writes it: lists of whole numbers in typed arrays."""
    if isinstance(value, dict):
        return b"{" + b"".join(key(k) + ubjson(v) for k, v in value.items()) + b"}"
    if isinstance(value, list):
        if value and all(type(n) is int for n in value):
            head = b"[$l#L" + struct.pack(">q", len(value))
            return head + struct.pack(f">{len(value)}i", *value)
        return b"[#L" + struct.pack(">q", len(value)) + b"".join(map(ubjson, value))
    return b"S" + key(value)


def model(left: list[int], right: list[int], features: list[int], **more: Any) -> dict[str, Any]:
    tree = {
        "left_children": left,
        "right_children": right,
        "split_indices": features,
        "tree_param": {"num_nodes": str(more.get("nodes", len(left)))},
    }
    booster = {"model": {"trees": [tree]}, "name": "gbtree"}
    if more.get("dart"):
        booster = {"gbtree": booster, "name": "dart"}
    return {"learner": {"gradient_booster": booster, "learner_model_param": {"num_feature": "3"}}}


CASES = {
    "fine": (model([1, -1, -1], [2, -1, -1], [2, 0, 0]), []),
    "fine dart": (model([1, -1, -1], [2, -1, -1], [2, 0, 0], dart=True), []),
    "child": (model([1, -1, -1], [9_999, -1, -1], [0, 0, 0]), ["review child"]),
    "negative": (model([1, -1, -1], [-7, -1, -1], [0, 0, 0]), ["review child"]),
    "itself": (model([0, -1, -1], [2, -1, -1], [0, 0, 0]), ["review circle"]),
    "back": (model([1, 0, -1], [2, 2, -1], [0, 0, 0]), ["review circle"]),
    "two parents": (model([1, -1, -1], [1, -1, -1], [0, 0, 0]), ["review circle"]),
    "feature": (model([1, -1, -1], [2, -1, -1], [3, 0, 0]), ["review feature"]),
    "leaves' features do not matter": (model([1, -1, -1], [2, -1, -1], [0, 9, 9]), []),
    "length": (model([1, -1, -1], [2, -1], [0, 0, 0]), ["review length"]),
    "count": (model([1, -1, -1], [2, -1, -1], [0, 0, 0], nodes=4), ["review length"]),
    "in a dart": (model([1, -1, -1], [7, -1, -1], [0, 0, 0], dart=True), ["review child"]),
}


@pytest.mark.parametrize("case", CASES)
def test_xgboost(case: str) -> None:
    value, expected = CASES[case]
    for data in (ubjson(value), json.dumps(value).encode()):
        assert said(data) == expected


def binary(left: list[int], right: list[int], features: list[int]) -> bytes:
    nodes = len(left)
    name = b"".join(struct.pack("<Q", len(n)) + n for n in (b"reg:squarederror", b"gbtree"))
    data = b"binf" + struct.pack("<fIiii", 0.5, 3, 0, 0, 0).ljust(136, b"\0") + name
    data += struct.pack("<i", 1).ljust(160, b"\0") + struct.pack("<6i", 1, nodes, 0, 0, 3, 0).ljust(
        148, b"\0"
    )
    for node in zip(left, right, features, strict=True):
        data += struct.pack("<iiiIf", -1, *node, 0.5)
    return data + bytes(16 * nodes) + bytes(4)


def test_xgboost_binary() -> None:
    fine = binary([1, -1, -1], [2, -1, -1], [1 << 31, 0, 0])
    assert look(fine).record.formats == ("xgboost-binary",)
    assert look(fine).gaps == ()
    assert said(fine) == []
    assert said(binary([1, -1, -1], [1 << 20, -1, -1], [0, 0, 0])) == ["review child"]
    assert [g.kind for g in look(fine[:-40]).gaps] == [GapKind.MALFORMED]
    assert [g.kind for g in look(fine + b"more").gaps] == [GapKind.MALFORMED]


LIGHTGBM = (BENIGN / "lightgbm/boosters/binary.txt").read_text()


@pytest.mark.parametrize(
    ("find", "put", "expected"),
    [
        (r"left_child=\S+", "left_child=77", ["review child"]),
        (r"left_child=\S+", "left_child=0", ["review circle"]),
        (r"left_child=\S+", "left_child=-99", ["review child"]),
        (r"split_feature=\S+", "split_feature=4", ["review feature"]),
        (r"num_leaves=\S+", "num_leaves=70", ["review length"]),
        (r"left_child=\S+", "left_child=x", ["review length"]),
        (r"num_cat=0", "num_cat=0", []),
    ],
)
def test_lightgbm(find: str, put: str, expected: list[str]) -> None:
    data = re.sub(find, put, LIGHTGBM, count=1).encode()
    assert look(data).record.formats == ("lightgbm",)
    assert said(data) == expected


def test_lightgbm_that_was_cut() -> None:
    cut = LIGHTGBM[: LIGHTGBM.index("end of trees")].encode()
    assert [g.kind for g in look(cut).gaps] == [GapKind.MALFORMED]


def catboost(sizes: list[int], splits: list[int], leaves: int, **more: Any) -> bytes:
    trees = {
        0: i32(1),
        1: vector("i", *splits),
        2: vector("i", *sizes),
        5: [{1: i32(0), 3: vector("f", *range(8))}],
        8: vector("d", *range(leaves)),
    }
    if "steps" in more:
        steps = Raw(struct.pack(f"<{len(more['steps'])}H", *more["steps"]))
        steps.elements = len(more["steps"]) // 2
        trees |= {10: steps, 11: vector("I", *range(steps.elements))}
    core = flatbuffer({0: "FlabuffersModel_v1", 1: trees, 2: [], 3: []}, bytes(4))
    return b"CBM1" + struct.pack("<I", len(core)) + core


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (catboost([2, 1], [0, 1, 7], 6), []),
        (catboost([2, 9], [0, 1, 7], 6), ["review child", "review length"]),
        (catboost([2, 1], [0, 1, 8], 6), ["review feature"]),
        (catboost([2, 1], [0, -1, 7], 6), ["review feature"]),
        (catboost([2, 1], [0, 1, 7], 5), ["review length"]),
        (catboost([3], [0, 1, 7], 3, steps=[1, 2, 0, 0, 0, 0]), []),
        (catboost([3], [0, 1, 7], 3, steps=[1, 900, 0, 0, 0, 0]), ["review child"]),
    ],
)
def test_catboost(data: bytes, expected: list[str]) -> None:
    assert look(data).record.formats == ("catboost",)
    assert said(data) == expected


def test_catboost_cut_off_is_a_gap() -> None:
    data = catboost([2, 1], [0, 1, 7], 6)
    assert [g.kind for g in look(data[:-9]).gaps] == [GapKind.MALFORMED]


def read(data: bytes) -> Ubjson:
    assert UBJSON.sniff(Sample(Held("m", data)))
    assert UBJSON.parse is not None
    document = UBJSON.parse(Held("m", data), Location("m"), Limits())
    assert isinstance(document, Ubjson)
    return document


def test_every_kind_of_value() -> None:
    data = (
        b"{i\x01ai\xffi\x01bU\xffi\x01cI\x01\x00i\x01dl\x00\x01\x00\x00i\x01eTi\x01fFi\x01gZ"
        b"i\x01hCxi\x01iSi\x03abci\x01jD?\xf0\0\0\0\0\0\0i\x01kd?\x80\0\0i\x01l[TNF]"
        b"i\x01m[$i#i\x02\x05\xfbi\x01n{$T#i\x01i\x01z}"
    )
    value = read(data).value
    numbers = value.pop("m")
    assert isinstance(numbers, Numbers)
    assert list(numbers.values()) == [5, -5]
    assert value == {
        "a": -1, "b": 255, "c": 256, "d": 65_536, "e": True, "f": False, "g": None, "h": "x",
        "i": "abc", "j": 1.0, "k": 1.0, "l": [True, False], "n": {"z": True},
    }  # fmt: skip


@pytest.mark.parametrize(
    "data",
    [
        b"{i\x01a[$Z#L\x7f\xff\xff\xff\xff\xff\xff\xff",
        b"{i\x01a[#L\x7f\xff\xff\xff\xff\xff\xff\xff",
        b"{i\x01a[$d#L\x00\x00\x00\x01\x00\x00\x00\x00",
        b"{i\x01aSL\xff\xff\xff\xff\xff\xff\xff\xff",
        b"{i\x01a" + b"[" * 9_000,
        b"{i\x01a{",
        b"{i\x01aT",
    ],
)
def test_malformed_ubjson(data: bytes) -> None:
    with pytest.raises(Malformed):
        read(data)


def test_what_follows_is_told() -> None:
    examined = look(ubjson(CASES["fine"][0]) + b"\x7fELF")
    assert [g.kind for g in examined.gaps] == [GapKind.MALFORMED]


@pytest.mark.parametrize("text", ["{input}\n" + "x " * 90, "{Large words} and more of them", "{U}"])
def test_text_is_no_ubjson(text: str) -> None:
    assert not UBJSON.sniff(Sample(Held("x", text.encode())))
