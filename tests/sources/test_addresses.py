"""Addresses and buckets: read in parts, and never believed."""

from __future__ import annotations

import json
import struct
import sys
from collections import Counter
from typing import Any

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from hub_server import Hub, Repository, Sparse, serve
from weighbridge.core.finding import Gap
from weighbridge.engine import audit as engine
from weighbridge.engine.audit import Audited, TargetError
from weighbridge.engine.supervisor import Settings
from weighbridge.sources import http, url
from weighbridge.sources.bucket import Reader
from weighbridge.sources.remote import RemoteFile, SourceError
from weighbridge.sources.target import Access, open_target

PLACE = "/org/name/resolve/main/"
EVIL = b"cos\nsystem\n(S'echo harmless'\ntR."


def safetensors(size: int) -> bytes:
    header = {"w": {"dtype": "F32", "shape": [size // 4], "data_offsets": [0, size]}}
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "PATIENCE", 5.0)
    monkeypatch.setattr(http.Session, "sleep", staticmethod(lambda seconds: None))


def look(content: bytes | Sparse, fault: Any = None, name: str = "model.bin") -> Audited:
    hub = Hub({"org/name": Repository({name: content})}, fault=fault)
    with serve(hub) as endpoint:
        return engine.run(f"{endpoint}{PLACE}{name}?signature=secret", Settings(jobs=1))


def always(**wrong: Any) -> Any:
    return lambda path, counts: wrong


def later(**wrong: Any) -> Any:
    """Go wrong from the second request for a file on: the first one measures it."""

    def fault(path: str, counts: Counter[str]) -> dict[str, Any] | None:
        return wrong if counts[path] > 1 else None

    return fault


def test_a_file_is_read_in_parts() -> None:
    size = 3 << 30
    head = safetensors(size)
    audited = look(Sparse(size + len(head), {0: head}), name="model.safetensors")
    assert audited.files[0].formats == ("safetensors",)
    assert audited.coverage.transfer is not None
    assert audited.coverage.transfer.bytes < 1 << 20
    assert audited.target.kind == "url"
    assert audited.origin is not None
    assert "plain http" in audited.origin.unknown["transport"]
    assert "secret" not in audited.target.id + str(audited.origin)


def test_a_small_file_is_hashed_and_judged() -> None:
    audited = look(EVIL)
    assert audited.files[0].sha256 is not None
    assert "pickle-acting-call" in {f.check for f in audited.findings}


def test_a_server_without_parts_is_read_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    audited = look(EVIL, always(**{"no range": True}))
    assert "pickle-acting-call" in {f.check for f in audited.findings}
    monkeypatch.setattr(url, "WHOLE", 1 << 10)
    with pytest.raises(TargetError, match="more than 1,024 bytes"):
        look(bytes(5_000), always(**{"no range": True}))


def test_an_empty_file_is_one() -> None:
    fault = always(status=416, headers={"Content-Range": "bytes */0"})
    assert look(b"", fault).files[0].formats == ("empty",)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"off": 1}, "another part"),
        ({"cut": True}, "broke off"),
        ({"etag": "f" * 32}, "changed while it was read"),
        ({"no range": True}, "changed|whole file instead of a part"),
        ({"status": 403}, "access is refused"),
        ({"status": 500}, "answers 500"),
    ],
)
def test_a_server_that_lies_costs_the_file(wrong: dict[str, Any], said: str) -> None:
    audited = look(Sparse(20 << 20, {0: EVIL}), later(**wrong))
    gaps = [g.message for g in audited.gaps if g.at.path == "model.bin"]
    assert any(part in message for message in gaps for part in said.split("|"))
    assert audited.files[0].sha256 is None


@pytest.mark.parametrize(
    ("wrong", "said"), [({"off": 1}, "another part"), ({"status": 404}, "nothing of that name")]
)
def test_a_file_that_cannot_be_measured_is_no_target(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(TargetError, match=said):
        look(b"x" * 9, always(**wrong))


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("https://ann:secret@host/x", "password"),
        ("https://host:port/x", "no address"),
        ("https:///x", "no host"),
        ("s3://", "expected"),
    ],
)
def test_an_address_that_is_not_used(address: str, said: str) -> None:
    with pytest.raises(SourceError, match=said):
        open_target(address)


@pytest.mark.parametrize("address", ["https://host/x", "http://host/x", "s3://a/b", "gs://a/b"])
def test_no_network_is_used_where_none_may_be(address: str) -> None:
    with pytest.raises(OSError, match="offline"):
        open_target(address, Access(offline=True))


# -- buckets ---------------------------------------------------------------------------------------


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> MemoryFileSystem:
    """A bucket in memory that answers to `s3://`."""

    class Memory(MemoryFileSystem):  # type: ignore[misc]
        protocol = "s3"
        store: dict[str, Any] = {}  # noqa: RUF012 - fsspec's own way
        pseudo_dirs = [""]  # noqa: RUF012

    monkeypatch.setitem(sys.modules["fsspec.registry"]._registry, "s3", Memory)
    files = Memory()
    files.pipe({"/models/org/model.bin": EVIL, "/models/org/sub/README.md": b"words"})
    return files


def test_a_prefix_is_a_folder(bucket: MemoryFileSystem) -> None:
    audited = engine.run("s3://models/org", Settings(jobs=1))
    assert [f.path for f in audited.files] == ["model.bin", "sub/README.md"]
    assert "pickle-acting-call" in {f.check for f in audited.findings}
    assert audited.coverage.transfer is not None
    assert audited.coverage.transfer.bytes >= len(EVIL) + 5
    assert audited.target.kind == "bucket"


def test_an_object_is_a_file(bucket: MemoryFileSystem) -> None:
    audited = engine.run("s3://models/org/model.bin", Settings(jobs=1))
    assert [f.path for f in audited.files] == ["model.bin"]
    assert audited.files[0].sha256 is not None


def test_what_is_not_there_is_no_target(bucket: MemoryFileSystem) -> None:
    with pytest.raises(TargetError, match="nothing of that name"):
        engine.run("s3://models/other", Settings(jobs=1))


def test_an_object_that_changes_is_not_believed(bucket: MemoryFileSystem) -> None:
    found = [b for b in open_target("s3://models/org").walk() if isinstance(b, RemoteFile)]
    bucket.pipe("/models/org/model.bin", EVIL + b"more")
    with pytest.raises(SourceError, match="changed while it was read"):
        found[0].read(0, 4)


def test_a_store_that_sends_another_part_is_not_believed(
    bucket: MemoryFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [b for b in open_target("s3://models/org").walk() if isinstance(b, RemoteFile)]
    monkeypatch.setattr(type(bucket), "cat_file", lambda *_, **__: b"all of it, always")
    with pytest.raises(SourceError, match="another part"):
        found[0].read(0, 4)


def test_names_that_leave_the_prefix_are_a_gap(bucket: MemoryFileSystem) -> None:
    bucket.store["/models/org/../../x"] = bucket.store["/models/org/model.bin"]
    found = list(open_target("s3://models/org").walk())
    assert [g.at.path for g in found if isinstance(g, Gap)] == ["../../x"]


@pytest.mark.parametrize(("scheme", "library"), [("s3", "s3fs"), ("gs", "gcsfs")])
def test_what_is_missing_is_named(
    scheme: str, library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(SourceError, match=rf"weighbridge\[fsspec\], and {library}"):
        open_target(f"{scheme}://bucket/key")


def test_whatever_a_library_raises_is_an_error_of_the_source(bucket: MemoryFileSystem) -> None:
    reader = Reader("s3")

    def broken() -> None:
        raise RuntimeError("no credentials\nat line 5")

    with pytest.raises(SourceError, match=r"x: RuntimeError: no credentials$"):
        reader.ask(broken, "x")
