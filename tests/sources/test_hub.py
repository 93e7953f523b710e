"""Repositories on a Hub: what is read, at which commit, and every way in which a server fails."""

from __future__ import annotations

import json
import struct
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from hub_server import Hub, Repository, Sparse, serve
from weighbridge.core.finding import Gap, GapKind
from weighbridge.core.report import FileRecord
from weighbridge.engine import audit as engine
from weighbridge.engine.audit import Audited, TargetError
from weighbridge.engine.supervisor import Settings
from weighbridge.sources import http
from weighbridge.sources.hub import Name, token
from weighbridge.sources.remote import SourceError
from weighbridge.sources.target import Access

COMMIT = "a" * 40


def safetensors(size: int = 64) -> bytes:
    header = {"w": {"dtype": "F32", "shape": [size // 4], "data_offsets": [0, size]}}
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(size)


def repository(**more: Any) -> Repository:
    return Repository(
        {
            "README.md": b"---\nlicense: mit\n---\n# A model\n",
            "config.json": b'{"model_type": "llama"}',
            "model.safetensors": safetensors(8192),
        },
        **more,
    )


def look(hub: Hub, name: str = "org/name", **more: Any) -> Audited:
    hub.owners.setdefault("org", {"name": "org", "isVerified": False})
    with serve(hub) as endpoint:
        return engine.run(name, Settings(), None, Access(endpoint=endpoint, **more))


def real(audited: Audited) -> list[Gap]:
    return [g for g in audited.gaps if g.kind is not GapKind.NOT_GIVEN]


def record(audited: Audited, path: str) -> FileRecord:
    return next(f for f in audited.files if f.path == path)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No waiting between attempts, and no token of this machine's user."""
    monkeypatch.setattr(http, "PATIENCE", 5.0)
    monkeypatch.setattr(http, "BACK_OFF", 0.001)
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_TOKEN_PATH", "/nowhere/at/all")


def test_a_repository_is_audited() -> None:
    hub = Hub({"org/name": repository()})
    audited = look(hub)
    assert audited.target.kind == "hub"
    assert (audited.target.requested, audited.target.resolved) == (None, COMMIT)
    assert [f.formats for f in audited.files] == [("model-card",), ("json",), ("safetensors",)]
    assert real(audited) == []
    reads = {p for p in hub.seen if "/resolve/" in p}
    assert all(f"/resolve/{COMMIT}/" in p for p in reads)
    assert audited.coverage.transfer is not None
    assert 0 < audited.coverage.transfer.bytes <= hub.sent


def test_digests_are_computed_where_a_file_was_read_whole() -> None:
    audited = look(Hub({"org/name": repository()}))
    small, large = record(audited, "config.json"), record(audited, "model.safetensors")
    assert small.sha256 is not None
    assert small.declared is None
    assert large.declared is not None


def test_the_revision_that_was_asked_for_is_kept_apart_from_its_commit() -> None:
    audited = look(Hub({"org/name": repository(branches=("main", "v1"))}), "org/name@v1")
    assert (audited.target.requested, audited.target.resolved) == ("v1", COMMIT)


def test_data_sets_and_spaces_are_targets() -> None:
    for prefix in ("hf-dataset:", "hf-space:", "hf:"):
        assert look(Hub({"org/name": repository()}), prefix + "org/name").files


def test_a_large_repository_costs_little() -> None:
    header = safetensors(64)[:-64].replace(b"64", b"50000000000")
    hub = Hub({"org/name": Repository({"model.safetensors": Sparse(50 << 30, {0: header})})})
    audited = look(hub)
    assert record(audited, "model.safetensors").size == 50 << 30
    assert hub.sent < 1 << 20


def test_renamed_repositories_say_both_names() -> None:
    hub = Hub({"new/name": repository()}, renamed={"org/name": "new/name"})
    origin = look(hub).origin
    assert origin is not None
    assert (origin.asked, origin.id) == ("org/name", "new/name")


def test_the_token_goes_to_its_endpoint_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    owners = {"org": {"name": "org"}}
    hub, cdn = Hub({"org/name": repository()}, owners=owners), Hub({"org/name": repository()})
    cdn.redirect = False
    with serve(cdn) as elsewhere, serve(hub) as endpoint:
        monkeypatch.setenv("HF_TOKEN", "secret-of-the-user")
        monkeypatch.setenv("HF_ENDPOINT", endpoint)
        target = f"{elsewhere}/org/name/resolve/{COMMIT}/model.safetensors"

        def redirect(path: str, counts: Counter[str]) -> dict[str, Any] | None:
            away = path.endswith("model.safetensors") and "/resolve/" in path
            return {"status": 302, "headers": {"Location": target}} if away else None

        hub.fault = redirect
        audited = engine.run("org/name", Settings(), None, Access(endpoint=endpoint))
    assert real(audited) == []
    assert {t for _, t in hub.tokens} == {"Bearer secret-of-the-user"}
    assert {t for _, t in cdn.tokens} == {""}


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [("https://hub.example", None), ("https://huggingface.co/", "t")],
)
def test_whose_token_it_is(endpoint: str, expected: str | None) -> None:
    assert token(endpoint, {"HF_TOKEN": "t"}) == expected


NAMES = {
    "org/name": Name("org/name"),
    "org/name@v1": Name("org/name", "model", "v1"),
    "org/name@refs/pr/3": Name("org/name", "model", "refs/pr/3"),
    "hf:gpt2": Name("gpt2"),
    "hf://org/name": Name("org/name"),
    "hf-dataset:org/name@main": Name("org/name", "dataset", "main"),
    "gpt2": None,
    "a/b/c": None,
    "../x": None,
    "./org/name": None,
    "org/..": None,
    "org/na me": None,
    "org/name@": Name("org/name"),
    "org/name@a b": None,
    "s3:org/name": None,
}


@pytest.mark.parametrize("text", NAMES)
def test_names(text: str) -> None:
    assert Name.of(text) == NAMES[text]


def always(what: str, **wrong: Any) -> Any:
    return lambda path, counts: wrong if what in path else None


def first(what: str, times: int, **wrong: Any) -> Any:
    return lambda path, counts: wrong if what in path and counts[path] <= times else None


LARGE = "/cdn/org/name/resolve"
FILE_FAULTS = {
    "no range": (always(LARGE, **{"no range": True}), "whole file"),
    "another part": (always(LARGE, off=4), "another part"),
    "truncated": (always(LARGE, cut=True), "broke off"),
    "another commit": (always("resolve", commit="b" * 40), "another commit"),
    "another digest": (always("resolve", linked="0" * 64), "another sha256"),
    "500": (always(LARGE, status=500), "500"),
    "503": (always(LARGE, status=503), "503"),
    "429 for ever": (always(LARGE, status=429), "too many requests"),
    "403": (always(LARGE, status=403), "refused"),
    "404": (always(LARGE, status=404), "nothing of that name"),
    "in a circle": (
        lambda path, counts: (
            {"status": 302, "headers": {"Location": path}} if LARGE in path else None
        ),
        "redirected",
    ),
    "to plain files": (
        always(LARGE, status=302, headers={"Location": "file:///etc/passwd"}), "insecure",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", FILE_FAULTS)
def test_a_server_that_fails_for_one_file_costs_that_file(case: str) -> None:
    fault, words = FILE_FAULTS[case]
    audited = look(Hub({"org/name": two_parts()}, fault=fault))
    (gap,) = [g for g in real(audited) if g.at.path == "model.bin" and "payload-scan" in g.controls]
    assert words in gap.message
    assert gap.kind is GapKind.UNREADABLE


def two_parts() -> Repository:
    """A file that is read in two parts: a zip is looked at from both of its ends."""
    return Repository({"config.json": b"{}", "model.bin": b"PK\3\4" + bytes(3_000_000)})


def test_an_etag_that_changes_half_way_is_a_gap() -> None:
    def fault(path: str, counts: Counter[str]) -> dict[str, Any] | None:
        return {"etag": f"v{counts[path]}"} if LARGE in path else None

    audited = look(Hub({"org/name": two_parts()}, fault=fault))
    assert [g.message for g in real(audited) if "another ETag" in g.message]


def test_what_fails_for_a_while_is_asked_again() -> None:
    for status in (429, 500, 503):
        audited = look(
            Hub({"org/name": repository()}, fault=first("config.json", 2, status=status))
        )
        assert real(audited) == []


WHOLE_FAULTS = {
    "not there": (Hub({}), "401"),
    "gated": (Hub({"org/name": repository()}, gated={"org/name"}), "401"),
    "no json": (Hub({"org/name": repository()}, fault=always("/api/models", json=b"<html>")),
                "no JSON"),
    "no commit": (Hub({"org/name": repository(commit="HEAD")}), "names no commit"),
    "down": (Hub({"org/name": repository()}, fault=always("/api/", status=502)), "502"),
    "another name": (Hub({"org/name": repository(facts={"id": "../x"})}), "impossible name"),
}  # fmt: skip


@pytest.mark.parametrize("case", WHOLE_FAULTS)
def test_a_repository_that_cannot_be_had_is_an_error(case: str) -> None:
    hub, words = WHOLE_FAULTS[case]
    with pytest.raises(TargetError, match=words):
        look(hub)


def test_a_server_that_is_slow_costs_that_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "TIMEOUT", 0.2)
    audited = look(Hub({"org/name": two_parts()}, fault=always(LARGE, sleep=1.0)))
    (gap,) = [g for g in real(audited) if g.at.path == "model.bin" and "payload-scan" in g.controls]
    assert "no answer in time" in gap.message


def test_a_server_that_is_not_there() -> None:
    with pytest.raises(TargetError, match="cannot be reached"):
        engine.run("org/name", Settings(), None, Access(endpoint="http://127.0.0.1:9"))


def test_offline_asks_nobody() -> None:
    hub = Hub({"org/name": repository()})
    with pytest.raises(TargetError, match="offline"):
        look(hub, offline=True)
    assert hub.seen == []


def test_what_is_asked_for_beside_the_files_may_be_missing() -> None:
    for path in ("/commits/", "/paths-info/", "/overview"):
        origin = look(Hub({"org/name": repository()}, fault=always(path, status=403))).origin
        assert origin is not None
        assert origin.unknown


def test_names_that_leave_the_repository_are_gaps() -> None:
    hub = Hub({"org/name": Repository({"../x": b"1", "/etc/passwd": b"1", "ok.txt": b"text"})})
    audited = look(hub)
    assert [f.path for f in audited.files] == ["ok.txt"]
    assert len([g for g in real(audited) if "leaves" in g.message]) == 2


def test_listings_without_sizes_are_asked_page_by_page() -> None:
    files = {f"f{n:03}.txt": b"some text" for n in range(25)}
    hub = Hub({"org/name": Repository(dict(files))}, sizes=False, page=10)
    assert len(look(hub).files) == 25


def test_the_declared_base_is_beside_it() -> None:
    derived = repository()
    derived.files["README.md"] = b"---\nbase_model: org/base\n---\n"
    hub = Hub({"org/name": derived, "org/base": repository()})
    look(hub)
    assert any(p.startswith("/org/base/resolve/") for p in hub.seen)


def test_a_local_path_goes_before_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "org" / "name").mkdir(parents=True)
    (tmp_path / "org" / "name" / "a.txt").write_text("text")
    monkeypatch.chdir(tmp_path)
    hub = Hub({"org/name": repository()})
    assert look(hub).target.kind == "folder"
    assert hub.seen == []


def test_what_a_redirect_may_not_do() -> None:
    with pytest.raises(SourceError, match="begins with https"):
        http.Session("ftp://hub.example")
