"""GGUF: what a header may say, and what a reader in C would stumble over."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from weighbridge.core.document import Malformed
from weighbridge.core.format import Limits
from weighbridge.core.location import Location
from weighbridge.core.tree import Blob, Held
from weighbridge.engine.examine import examine
from weighbridge.engine.ruleset import load
from weighbridge.formats.gguf import GGUF, Gguf

Tensor = tuple[str, tuple[int, ...], int, int]
W: Tensor = ("w", (4, 2), 0, 0)


def text(value: str, order: str = "<") -> bytes:
    data = value.encode()
    return struct.pack(order + "Q", len(data)) + data


def value(made: Any, order: str = "<") -> bytes:
    if isinstance(made, str):
        return struct.pack(order + "I", 8) + text(made, order)
    if isinstance(made, list):
        body = b"".join(value(v, order)[4:] for v in made)
        kind = 8 if made and isinstance(made[0], str) else 4
        return struct.pack(order + "IIQ", 9, kind, len(made)) + body
    return struct.pack(order + "II", 4, made)


def gguf(
    pairs: list[tuple[str, Any]],
    tensors: list[Tensor],
    data: int = 32,
    version: int = 3,
    order: str = "<",
) -> bytes:
    """A file with `data` bytes behind the aligned header."""
    body = b"GGUF" + struct.pack(order + "IQQ", version, len(tensors), len(pairs))
    for key, made in pairs:
        body += text(key, order) + value(made, order)
    for name, shape, kind, offset in tensors:
        body += text(name, order) + struct.pack(order + f"I{len(shape)}Q", len(shape), *shape)
        body += struct.pack(order + "IQ", kind, offset)
    return body + bytes(-len(body) % 32) + bytes(data)


PAIRS: list[tuple[str, Any]] = [
    ("general.architecture", "llama"),
    ("tokenizer.ggml.tokens", [f"t{i}" for i in range(300)]),
    ("tokenizer.ggml.token_type", list(range(300))),
]


def parse(data: bytes) -> Gguf:
    assert GGUF.parse is not None
    document = GGUF.parse(Held("m.gguf", data), Location("m.gguf"), Limits())
    assert isinstance(document, Gguf)
    return document


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_plain_file(order: str) -> None:
    document = parse(gguf(PAIRS, [W], order=order))
    assert document.flaws == ()
    assert document.pairs["general.architecture"] == "llama"
    assert document.pairs["tokenizer.ggml.tokens"][:2] == ["t0", "t1"]
    assert [(t.name, t.type, t.shape, t.size) for t in document.tensors] == [
        ("w", "F32", (4, 2), 32)
    ]
    assert document.size - document.data == 32


@pytest.mark.parametrize(
    ("made", "said", "action"),
    [
        (gguf([*PAIRS, PAIRS[0]], [W]), "stands twice", "review"),
        (gguf(PAIRS, [W, W]), "two tensors are called", "review"),
        (gguf(PAIRS, [W, ("v", (4, 2), 0, 0)]), "begins inside", "review"),
        (gguf(PAIRS, [("w", (4, 200), 0, 0)]), "behind the file", "review"),
        (gguf(PAIRS, [("w", (4, 2), 999, 0)]), "unknown type", "review"),
        (gguf(PAIRS, [("w", (33, 1), 2, 0)]), "no whole Q4_0 blocks", "review"),
        (gguf(PAIRS, [W, ("v", (4, 2), 0, 96)], data=128), "are in none", "review"),
        (gguf(PAIRS, [W], data=4096), "follow the last tensor", "review"),
        (gguf(PAIRS, [("w", (4, 2), 0, 7)], data=64), "not aligned", "review"),
        (gguf([("general.alignment", 33)], [W]), "power of two", "review"),
        (gguf(PAIRS, [("w", (1 << 62, 4), 0, 0)]), "overflows", "block"),
        (gguf(PAIRS, [("w", (4, 2), 0, (1 << 64) - 32)]), "overflows", "block"),
    ],
)
def test_what_breaks_a_rule(made: bytes, said: str, action: str) -> None:
    found = examine(Held("m.gguf", made), load(), Limits()).findings
    assert [f.action.value for f in found if said in f.message] == [action]


@pytest.mark.parametrize(
    "made",
    [
        gguf(PAIRS, [W])[:40],
        b"GGUF" + struct.pack("<IQQ", 3, 0, 1 << 60),
        b"GGUF" + struct.pack("<IQQ", 9, 0, 0),
        b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + text("k") + struct.pack("<IIQ", 9, 8, 1 << 50),
        b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q", 1 << 50),
        b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + text("k") + struct.pack("<IIQ", 9, 9, 1) * 9,
    ],
)
def test_malformed(made: bytes) -> None:
    with pytest.raises(Malformed):
        parse(made)


def test_templates_are_handed_on() -> None:
    pairs = [("tokenizer.chat_template", "{{ x }}"), ("tokenizer.chat_template.tool", "{{ y }}"),
             ("tokenizer.chat_templates", ["tool"])]  # fmt: skip
    members = [m for m in parse(gguf([*PAIRS, *pairs], [W])).walk() if isinstance(m, Blob)]
    assert [(m.path, m.role, m.read(0, 99)) for m in members] == [
        ("tokenizer.chat_template", "chat-template", b"{{ x }}"),
        ("tokenizer.chat_template.tool", "chat-template", b"{{ y }}"),
    ]
