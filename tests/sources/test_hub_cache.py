"""What the Hub's client left behind: snapshots, repositories, the whole cache, downloads.

The layout is what these calls of huggingface_hub 2.4 wrote against the Hub of `hub_server.py`:
`snapshot_download("org/name", cache_dir=…)` and `snapshot_download("org/name", local_dir=…)`.
"""

from __future__ import annotations

import hashlib
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hub_caches
from hub_server import git_name
from weighbridge.apps.cli.main import main
from weighbridge.core.finding import Action, Gap
from weighbridge.core.origin import Declared
from weighbridge.core.tree import Blob, Copy
from weighbridge.engine import audit as engine
from weighbridge.engine.audit import Audited
from weighbridge.engine.supervisor import Settings
from weighbridge.sources.hub_cache import cache_folder
from weighbridge.sources.remote import SourceError
from weighbridge.sources.target import Source, open_target

ONE, TWO = "1" * 40, "2" * 40
SMALL, BIG = b'{"model_type": "llama"}', b"\x80\x04K\x01." + bytes(100)
FILES = {"config.json": SMALL, "sub/weights.bin": BIG}


class Payload:
    def __reduce__(self) -> Any:
        return os.system, ("echo harmless",)


def met(source: Source) -> tuple[dict[str, Blob], list[Gap]]:
    blobs, gaps = {}, []
    for found in source.walk():
        if isinstance(found, Gap):
            gaps.append(found)
        else:
            blobs[found.path] = found
    return blobs, gaps


def declared(source: Source) -> dict[str, Declared]:
    assert source.origin is not None
    return {d.path: d for d in source.origin.files}


def run(target: object) -> Audited:
    return engine.run(str(target), Settings(jobs=1))


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("trees", [True, False])
def test_a_snapshot_says_its_commit_and_the_digest_of_every_file(
    tmp_path: Path, trees: bool
) -> None:
    place = hub_caches.repository(tmp_path, "org/name", {ONE: FILES}, trees=trees)
    source = open_target(str(place / "snapshots" / ONE))
    blobs, gaps = met(source)
    origin = source.origin
    assert origin is not None
    assert (origin.kind, origin.id, origin.commit) == ("hub-cache", "org/name", ONE)
    assert (origin.requested, origin.sort) == ("main", "model")
    assert declared(source)["config.json"].git == git_name(SMALL)
    assert declared(source)["sub/weights.bin"].sha256 == sha256(BIG)
    assert sorted(blobs) == sorted(FILES)
    assert not gaps


def test_a_folder_or_a_file_of_a_snapshot_is_named_within_it(tmp_path: Path) -> None:
    place = hub_caches.repository(tmp_path, "org/name", {ONE: FILES})
    folder = open_target(str(place / "snapshots" / ONE / "sub"))
    file = open_target(str(place / "snapshots" / ONE / "sub" / "weights.bin"))
    for source in (folder, file):
        assert list(declared(source)) == ["weights.bin"]
        assert list(met(source)[0]) == ["weights.bin"]


def test_the_audit_computes_what_the_records_say(tmp_path: Path) -> None:
    place = hub_caches.repository(tmp_path, "org/name", {ONE: FILES})
    audited = run(place / "snapshots" / ONE)
    assert audited.target.kind == "hub-cache"
    assert audited.target.resolved == ONE
    records = {f.path: f for f in audited.files}
    assert records["config.json"].git == git_name(SMALL)
    assert records["sub/weights.bin"].sha256 == sha256(BIG)


def test_a_blob_that_repositories_share_is_followed(tmp_path: Path) -> None:
    place = hub_caches.repository(tmp_path, "org/name", {ONE: FILES})
    hub_caches.share(tmp_path, place, BIG)
    for target in (place / "snapshots" / ONE, place, tmp_path):
        audited = run(target)
        weights = next(f for f in audited.files if f.path.endswith("weights.bin"))
        assert weights.sha256 == sha256(BIG)
        assert [f.path for f in audited.files if "blobs" in f.path] == []


@pytest.mark.parametrize("where", ["out", "other repository", "store unmarked", "blobs elsewhere"])
def test_a_link_that_leaves_the_repository_is_not_followed(tmp_path: Path, where: str) -> None:
    cache = tmp_path / "cache"
    place = hub_caches.repository(cache, "org/name", {ONE: FILES})
    other = hub_caches.repository(cache, "org/other", {ONE: {"x": b"y" * 99}})
    (tmp_path / "secret").write_text("secret")
    link = place / "snapshots" / ONE / "sub" / "weights.bin"
    if where == "out":
        link.unlink()
        link.symlink_to(tmp_path / "secret")
    elif where == "other repository":
        link.unlink()
        link.symlink_to(other / "blobs" / hub_caches.etag(b"y" * 99))
    elif where == "store unmarked":
        hub_caches.share(cache, place, BIG)
        (cache / "blobs" / ".huggingface-shared-blobs").unlink()
    else:
        (place / "blobs").rename(tmp_path / "elsewhere")
        (place / "blobs").symlink_to(tmp_path / "elsewhere")
    blobs, gaps = met(open_target(str(place / "snapshots" / ONE)))
    assert "sub/weights.bin" not in blobs
    assert "sub/weights.bin" in {g.at.path for g in gaps}
    assert all("leaves" in g.message for g in gaps)


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    place = hub_caches.repository(tmp_path, "org/name", {ONE: FILES})
    link = place / "snapshots" / ONE / "sub" / "weights.bin"
    link.resolve().unlink()
    _, gaps = met(open_target(str(place / "snapshots" / ONE)))
    assert [g.at.path for g in gaps] == ["sub/weights.bin"]
    link.unlink()
    source = open_target(str(place / "snapshots" / ONE))
    assert not met(source)[1]
    assert [e.why for e in source.left_out] == ["not downloaded: sub/weights.bin"]
    (place / "blobs" / f"{hub_caches.etag(BIG)}.0a1b2c3d.incomplete").write_bytes(BIG[:9])
    _, gaps = met(open_target(str(place / "snapshots" / ONE)))
    assert [(g.at.path, g.message) for g in gaps] == [
        ("sub/weights.bin", "its download was not finished")
    ]


def test_a_repository_holds_all_its_revisions_and_a_shared_file_is_examined_once(
    tmp_path: Path,
) -> None:
    evil = pickle.dumps(Payload()) + bytes(64)
    files = {ONE: {"a.bin": evil, "config.json": SMALL}, TWO: {"a.bin": evil}}
    place = hub_caches.repository(tmp_path, "org/name", files, refs={"main": TWO, "refs/pr/1": ONE})
    source = open_target(str(place))
    blobs, gaps = met(source)
    first, second = f"snapshots/{ONE}/a.bin", f"snapshots/{TWO}/a.bin"
    assert not gaps
    assert isinstance(blobs[second], Copy)
    assert not isinstance(blobs[first], Copy)
    audited = run(place)
    assert {f.path: f.sha256 for f in audited.files}[second] == sha256(evil)
    found = [f for f in audited.findings if f.check == "pickle-acting-call"]
    assert [f.at.path for f in found] == [first]
    assert [r.at.path for r in found[0].related] == [second]
    assert source.origin is not None
    assert source.origin.commit is None
    assert ONE in source.origin.unknown["commit"]


def test_the_same_blob_under_another_recorded_digest_is_examined_for_itself(
    tmp_path: Path,
) -> None:
    place = hub_caches.repository(tmp_path, "org/name", {ONE: {"a": BIG}, TWO: {"a": BIG}})
    hub_caches.tree(place / "trees" / f"{TWO}.json", {"a": hub_caches.listed(b"z" * 200)})
    blobs, _ = met(source := open_target(str(place)))
    assert not any(isinstance(b, Copy) for b in blobs.values())
    assert declared(source)[f"snapshots/{TWO}/a"].sha256 == sha256(b"z" * 200)


def test_a_reference_to_a_revision_that_is_not_here_is_a_gap(tmp_path: Path) -> None:
    place = hub_caches.repository(tmp_path, "org/name", {ONE: FILES}, refs={"main": TWO})
    (place / "refs" / "odd").write_text("no commit")
    _, gaps = met(open_target(str(place)))
    assert sorted((g.at.path, g.message) for g in gaps) == [
        ("refs/main", f"it names the commit {TWO}, which is not in the cache"),
        ("refs/odd", "it names no commit"),
    ]


def test_the_whole_cache_is_one_target(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hub_caches.repository(tmp_path, "org/one", {ONE: FILES})
    two = hub_caches.repository(tmp_path, "org/two", {TWO: {"README.md": b"words"}})
    lost = b"orphan" * 20
    (two / "blobs" / hub_caches.etag(lost)).write_bytes(lost)
    (two / "blobs" / f"{'c' * 64}.incomplete").write_bytes(b"half")
    orphan = f"models--org--two/blobs/{hub_caches.etag(lost)}"
    source = open_target(f"hub-cache:{tmp_path}")
    blobs, gaps = met(source)
    assert sorted(blobs) == sorted([
        f"models--org--one/snapshots/{ONE}/config.json",
        f"models--org--one/snapshots/{ONE}/sub/weights.bin",
        f"models--org--two/snapshots/{TWO}/README.md",
        orphan,
    ])  # fmt: skip
    assert declared(source)[orphan].sha256 == sha256(lost)
    assert orphan in {e.path for e in source.left_out}
    assert [g.at.path for g in gaps] == [f"models--org--two/blobs/{'c' * 64}.incomplete"]
    assert main(["audit", "--cache", str(tmp_path), "--jobs", "1", "--quiet"]) == 3
    assert orphan.removeprefix("models--") in capsys.readouterr().out.replace("\n", "")
    assert sorted(met(open_target(str(tmp_path)))[0]) == sorted(blobs)


def test_what_is_no_record_is_examined_like_any_file(tmp_path: Path) -> None:
    place = hub_caches.repository(tmp_path, "org/name", {ONE: FILES})
    (place / "refs" / "evil").write_bytes(pickle.dumps(Payload()))
    (place / "trees" / f"{TWO}.json").write_bytes(pickle.dumps(Payload()))
    (place / ".no_exist" / ONE).mkdir(parents=True)
    (place / ".no_exist" / ONE / "absent.json").touch()
    (place / ".no_exist" / ONE / "evil").write_bytes(pickle.dumps(Payload()))
    (tmp_path / ".locks" / "evil").write_bytes(pickle.dumps(Payload()))
    blobs, _ = met(open_target(str(tmp_path)))
    folder = "models--org--name"
    assert {p for p in blobs if "snapshots" not in p} == {
        f"{folder}/refs/evil", f"{folder}/trees/{TWO}.json", f"{folder}/.no_exist/{ONE}/evil",
        ".locks/evil",
    }  # fmt: skip


def test_the_cache_is_where_the_client_looks_for_it() -> None:
    home = Path("~").expanduser()
    for environment, expected in (
        ({"HF_HUB_CACHE": "/a", "HF_HOME": "/b"}, Path("/a")),
        ({"HUGGINGFACE_HUB_CACHE": "/c"}, Path("/c")),
        ({"HF_HOME": "/b"}, Path("/b/hub")),
        ({"XDG_CACHE_HOME": "/d"}, Path("/d/huggingface/hub")),
        ({}, home / ".cache/huggingface/hub"),
    ):
        assert cache_folder(environment) == expected


@pytest.mark.parametrize("arguments", [[], ["x", "--cache", "y"], ["--cache", "/nothing/here"]])
def test_a_command_without_a_target_is_refused(arguments: list[str]) -> None:
    assert main(["audit", *arguments]) == 2


def test_a_download_into_a_folder_says_its_commit(tmp_path: Path) -> None:
    hub_caches.download(tmp_path, ONE, FILES)
    source = open_target(str(tmp_path))
    blobs, gaps = met(source)
    origin = source.origin
    assert origin is not None
    assert (origin.kind, origin.commit) == ("hub-folder", ONE)
    assert "id" in origin.unknown
    assert declared(source)["sub/weights.bin"].sha256 == sha256(BIG)
    assert declared(source)["config.json"].git == git_name(SMALL)
    assert sorted(blobs) == ["config.json", "sub/weights.bin"]
    assert not gaps


def test_a_download_that_is_unfinished_mixed_or_contradicts_itself(tmp_path: Path) -> None:
    hub_caches.download(tmp_path, ONE, FILES)
    hub_caches.download(tmp_path, TWO, {"more.bin": b"m" * 99}, trees=False)
    records = tmp_path / ".cache" / "huggingface"
    hub_caches.tree(
        records / "trees" / f"{ONE}.json", {"sub/weights.bin": hub_caches.listed(b"q" * 99)}
    )
    (records / "download" / "abc.def.incomplete").write_bytes(b"half")
    (records / "download" / "evil.metadata").write_bytes(pickle.dumps(Payload()))
    source = open_target(str(tmp_path))
    blobs, gaps = met(source)
    assert source.origin is not None
    assert source.origin.commit is None
    assert declared(source)["more.bin"].sha256 == sha256(b"m" * 99)
    assert declared(source)["sub/weights.bin"].sha256 == sha256(b"q" * 99)
    assert sorted(g.at.path for g in gaps) == [
        ".cache/huggingface/download/abc.def.incomplete",
        ".cache/huggingface/download/evil.metadata",
        "sub/weights.bin",
    ]
    assert ".cache/huggingface/download/evil.metadata" in blobs


@pytest.mark.parametrize("record", ["trees", "refs", "snapshots"])
def test_records_behind_a_link_are_not_read(tmp_path: Path, record: str) -> None:
    place = hub_caches.repository(tmp_path / "cache", "org/name", {ONE: FILES})
    (place / record).rename(tmp_path / "elsewhere")
    (place / record).symlink_to(tmp_path / "elsewhere")
    source = open_target(str(place))
    blobs, gaps = met(source)
    assert record in {g.at.path for g in gaps}
    assert source.origin is not None
    if record == "refs":
        assert source.origin.requested is None
    elif record == "snapshots":
        assert all("blobs" in p for p in blobs)
    else:
        assert any("behind a link" in g.message for g in gaps)


def test_the_records_of_a_download_behind_a_link_are_not_read(tmp_path: Path) -> None:
    hub_caches.download(tmp_path / "local", ONE, FILES)
    (tmp_path / "local" / ".cache").rename(tmp_path / "elsewhere")
    (tmp_path / "local" / ".cache").symlink_to(tmp_path / "elsewhere")
    assert open_target(str(tmp_path / "local")).origin is None


@pytest.mark.parametrize(
    "listing",
    [
        b"[]", b"{", b"\xff", b'{"format_version": 2}', b'{"format_version": 1, "files": {"a": 1}}',
        b'{"format_version": 1, "files": {"a": {"size": 1, "blob_id": 7}}}', b"[" * 100_000,
        b'{"format_version": 1, "files": {"a": {"size": -1, "blob_id": "x", "lfs_sha256": "y"}}}',
    ],
)  # fmt: skip
def test_a_listing_that_is_none_is_a_gap(tmp_path: Path, listing: bytes) -> None:
    place = hub_caches.repository(tmp_path, "org/name", {ONE: FILES})
    (place / "trees" / f"{ONE}.json").write_bytes(listing)
    source = open_target(str(place / "snapshots" / ONE))
    blobs, gaps = met(source)
    assert len(blobs) == 2
    assert [g.at.path for g in gaps] == ["."]
    assert declared(source)["sub/weights.bin"].sha256 == sha256(BIG)


@given(data=st.binary(max_size=300), name=st.sampled_from(["tree", "ref", "metadata"]))
@settings(max_examples=60, deadline=None)
def test_any_record_is_read_or_said(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, name: str
) -> None:
    cache = tmp_path_factory.mktemp("cache")
    place = hub_caches.repository(cache, "org/name", {ONE: FILES})
    hub_caches.download(cache / "local", ONE, FILES)
    record = {
        "tree": place / "trees" / f"{ONE}.json",
        "ref": place / "refs" / "main",
        "metadata": cache / "local" / ".cache" / "huggingface" / "download" / "a.metadata",
    }[name]
    record.write_bytes(data)
    for target in (place / "snapshots" / ONE, place, cache, cache / "local"):
        assert met(open_target(str(target)))[0]


def test_a_cache_without_repositories_is_no_target(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no repository"):
        open_target(f"hub-cache:{tmp_path}")


@pytest.mark.parametrize("target", ["snapshot", "repository", "cache", "download"])
@pytest.mark.parametrize("path", ["config.json", "sub/weights.bin"])
def test_a_file_that_was_exchanged_since_the_download_blocks(
    tmp_path: Path, target: str, path: str
) -> None:
    cache, folder = tmp_path / "cache", tmp_path / "folder"
    place = hub_caches.repository(cache, "org/name", {ONE: FILES, TWO: FILES})
    hub_caches.download(folder, ONE, FILES)
    snapshot = place / "snapshots" / ONE
    for root in (snapshot, folder):
        data = (root / path).read_bytes()
        (root / path).write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    root = {"snapshot": snapshot, "repository": place, "cache": cache, "download": folder}[target]
    audited = run(root)
    differs = [
        f for f in audited.findings if f.check == "published-digest" and f.action is Action.BLOCK
    ]
    expected = {
        "repository": [f"snapshots/{c}/{path}" for c in (ONE, TWO)],
        "cache": [f"models--org--name/snapshots/{c}/{path}" for c in (ONE, TWO)],
    }.get(target, [path])
    assert [f.at.path for f in differs] == expected
