"""Archives: what two readers see apart, what leaves the folder, what hides deep inside."""

from __future__ import annotations

import bz2
import gzip
import io
import struct
import tarfile
import warnings
import zipfile
from collections.abc import Callable

import pytest

from pickles import RUNS
from weighbridge.core.finding import Action
from weighbridge.core.format import Limits
from weighbridge.core.report import Examined
from weighbridge.core.tree import Held
from weighbridge.engine.examine import examine
from weighbridge.engine.ruleset import load


def look(data: bytes, limits: Limits | None = None) -> Examined:
    return examine(Held("m.bin", data), load(), limits or Limits())


def said(examined: Examined, check: str) -> list[Action]:
    return [f.action for f in examined.findings if f.check == check]


def runs(examined: Examined) -> bool:
    return any(f.symbol == "os.system" and f.action is Action.BLOCK for f in examined.findings)


def packed(*members: tuple[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", method) as archive:
        for name, data in members:
            archive.writestr(zipfile.ZipInfo(name), data)
    return made.getvalue()


PLAIN = packed(("a/data.pkl", RUNS), ("a/version", b"3\n"))


def patched(data: bytes, find: bytes, offset: int, value: bytes, last: bool = False) -> bytes:
    at = (data.rfind(find) if last else data.find(find)) + offset
    return data[:at] + value + data[at + len(value) :]


def both_flags(data: bytes, bit: int) -> bytes:
    data = patched(data, b"PK\x03\x04", 6, struct.pack("<H", bit))
    return patched(data, b"PK\x01\x02", 8, struct.pack("<H", bit))


def large_ended(data: bytes, directory: int | None = None) -> bytes:
    """The archive with an end record for large ones as well, as torch writes it always; it says
    that the directory is elsewhere, where `directory` is given."""
    end = data.rfind(b"PK\x05\x06")
    count, size, offset = struct.unpack_from("<HLL", data, end + 10)
    place = offset if directory is None else directory
    record = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, size, place)
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, end, 1)
    return data[:end] + record + locator + data[end:]


def two_directories() -> bytes:
    """One where the end record says, and one of the same length right before that record."""
    end = PLAIN.rfind(b"PK\x05\x06")
    return PLAIN[:end] + PLAIN[PLAIN.find(b"PK\x01\x02") : end] + PLAIN[end:]


HIDDEN: dict[str, Callable[[], bytes]] = {
    "flag 0x1 in both": lambda: both_flags(PLAIN, 0x1),
    "flag 0x40 in both": lambda: both_flags(PLAIN, 0x40),
    "flag 0x1 in the directory": lambda: patched(PLAIN, b"PK\x01\x02", 8, b"\x01\x00"),
    "wrong checksum": lambda: patched(PLAIN, b"PK\x01\x02", 16, b"\x00\x00\x00\x01"),
    "other name in the local header": lambda: patched(PLAIN, b"a/data.pkl", 0, b"b/data.pkl"),
    "bytes before": lambda: b"#!/bin/true\n" * 9 + PLAIN,
    "bytes after": lambda: PLAIN + b"x" * 300,
    "deflated": lambda: packed(("w", RUNS), method=zipfile.ZIP_DEFLATED),
    "bzip2": lambda: packed(("w", RUNS), method=zipfile.ZIP_BZIP2),
    "lzma": lambda: packed(("w", RUNS), method=zipfile.ZIP_LZMA),
    "no directory": lambda: PLAIN[: PLAIN.find(b"PK\x01\x02")],
    "zip in tar in gzip": lambda: gzip.compress(tarred(("inner.zip", PLAIN))),
    "seven times compressed": lambda: bz2.compress(gzip.compress(gzip.compress(
        bz2.compress(gzip.compress(bz2.compress(gzip.compress(RUNS))))))),
    "name like a storage": lambda: packed(("a/data.pkl", b"N."), ("a/data/0", RUNS)),
}  # fmt: skip


def tarred(*members: tuple[str, bytes]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return made.getvalue()


@pytest.mark.parametrize("case", HIDDEN)
def test_nothing_hides_a_member(case: str) -> None:
    examined = look(HIDDEN[case]())
    assert runs(examined), (examined.findings, examined.gaps)


with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    TWICE = packed(("a", b"x"), ("a", b"y"))

DISAGREEMENT = {
    "plain": (PLAIN, []),
    "duplicate": (TWICE, [Action.BLOCK]),
    "case variant": (packed(("a", b"x"), ("A", b"y")), [Action.BLOCK]),
    "other name": (HIDDEN["other name in the local header"](), [Action.BLOCK]),
    "checksum": (HIDDEN["wrong checksum"](), [Action.REVIEW]),
    "prefix": (HIDDEN["bytes before"](), [Action.REVIEW]),
    "appended": (HIDDEN["bytes after"](), [Action.REVIEW]),
    "a first entry as long as the end records": (large_ended(packed(("n" * 30, b"x"))), []),
    "a first entry as long as nothing": (large_ended(packed(("n" * 31, b"x"))), []),
}


@pytest.mark.parametrize("case", DISAGREEMENT)
def test_disagreement(case: str) -> None:
    data, expected = DISAGREEMENT[case]
    assert said(look(data), "archive-disagreement") == expected


@pytest.mark.parametrize("data", [large_ended(PLAIN, 5), two_directories()])
def test_directories_that_readers_find_in_different_places(data: bytes) -> None:
    assert Action.BLOCK in said(look(data), "archive-disagreement")


@pytest.mark.parametrize(
    ("name", "leaves"),
    [
        ("a/b", False), ("../x", True), ("a/../../x", True), ("/etc/x", True), ("C:\\x", True),
        ("a\\..\\..\\x", True), ("a/../b", False), ("..a/b", False),
    ],
)  # fmt: skip
def test_escape(name: str, leaves: bool) -> None:
    for data in (packed((name, b"text")), tarred((name, b"text"))):
        assert bool(said(look(data), "archive-escape")) is leaves


def test_links_that_lead_out() -> None:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for name, target in (("in", "other"), ("out", "../../secret"), ("root", "/etc/x")):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, target
            archive.addfile(info)
    found = [f.symbol for f in look(made.getvalue()).findings if f.check == "archive-escape"]
    assert found == ["out", "root"]


def test_budgets_end_in_gaps() -> None:
    deep = RUNS
    for _ in range(12):
        deep = gzip.compress(deep)
    assert [g.kind for g in look(deep).gaps] == ["too-large"]
    many = packed(*((f"m{i}", b"text") for i in range(50)))
    assert [g.kind for g in look(many, Limits(entries=10)).gaps] == ["too-large"]
    bomb = gzip.compress(bytes(200 << 20), 9)
    assert {g.kind for g in look(bomb, Limits(ratio=100)).gaps} & {"malformed", "too-large"}
