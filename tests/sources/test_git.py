"""Clones: read without git, and held against what git itself says."""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import zlib
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub_server import git_name
from weighbridge.core.finding import Action, Finding
from weighbridge.core.origin import Declared, Origin
from weighbridge.engine import audit as engine
from weighbridge.engine.supervisor import Settings
from weighbridge.sources import git_objects
from weighbridge.sources.git_objects import Objects, entries
from weighbridge.sources.remote import SourceError
from weighbridge.sources.target import open_target

ENVIRONMENT = {
    "PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "Ann", "GIT_AUTHOR_EMAIL": "ann@example.org",
    "GIT_COMMITTER_NAME": "Ann", "GIT_COMMITTER_EMAIL": "ann@example.org",
    "GIT_AUTHOR_DATE": "1700000000 +0130", "GIT_COMMITTER_DATE": "1700000000 +0130",
}  # fmt: skip
TEXT = "".join(random.Random(1).choices("abcdefgh \n", k=20_000))
WEIGHTS = b"weights" * 999
POINTER = (
    "version https://git-lfs.github.com/spec/v1\n"
    f"oid sha256:{hashlib.sha256(WEIGHTS).hexdigest()}\nsize {len(WEIGHTS)}\n"
)


def git(folder: Path, *arguments: str, date: int = 1_700_000_000) -> str:
    when = dict.fromkeys(("GIT_AUTHOR_DATE", "GIT_COMMITTER_DATE"), f"{date} +0130")
    made = subprocess.run(
        ["git", "-C", str(folder), *arguments],
        env=ENVIRONMENT | when, check=True, capture_output=True, text=True,
    )  # fmt: skip
    return made.stdout.strip()


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """Three commits: a text that grows, a folder, a pointer of Git LFS whose file is there."""
    folder = tmp_path / "clone"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    git(folder, "remote", "add", "origin", "https://ann:secret@huggingface.co/org/name.git?x=y")
    (folder / "sub").mkdir()
    for number in range(3):
        (folder / "text.txt").write_text(TEXT + f"line {number}\n")
        (folder / "sub" / f"{number}.json").write_text(f'{{"number": {number}}}')
        (folder / "weights.bin").write_text(POINTER)
        git(folder, "add", ".")
        date = 1_700_000_000 + number
        git(folder, "commit", "-q", "-m", f"Change {number}\n\nMore words", date=date)
    (folder / "weights.bin").write_bytes(WEIGHTS)
    return folder


def origin(folder: Path) -> Origin:
    found = open_target(str(folder)).origin
    assert found is not None
    return found


def differences(folder: Path) -> dict[str, Finding]:
    audited = engine.run(str(folder), Settings(jobs=1))
    return {f.symbol: f for f in audited.findings if f.check == "worktree-differs"}


@pytest.mark.parametrize("packed", [False, True])
def test_a_clone_says_its_commit_its_history_and_its_files(clone: Path, packed: bool) -> None:
    if packed:
        git(clone, "gc", "-q", "--aggressive", "--prune=now")
        git(clone, "pack-refs", "--all")
        assert list((clone / ".git" / "objects" / "pack").glob("*.pack"))
    found = origin(clone)
    assert (found.kind, found.id) == ("git", "org/name")
    assert found.where == "https://huggingface.co/org/name.git"
    assert found.requested == "main"
    assert found.commit == git(clone, "rev-parse", "HEAD")
    assert not found.unknown
    assert [c.id for c in found.history] == git(clone, "log", "--format=%H").split()
    assert found.history[0].title == "Change 2"
    assert found.history[0].authors == ("Ann <ann@example.org>",)
    assert found.history[0].date == git(clone, "log", "-1", "--format=%aI")
    assert found.history[0].signed is False
    rows = git(clone, "ls-tree", "-r", "HEAD").split("\n")
    names = {row.split("\t")[1]: row.split()[2] for row in rows}
    files = {d.path: d for d in found.files}
    assert files.keys() == names.keys()
    assert files["weights.bin"] == Declared(
        path="weights.bin", size=len(WEIGHTS), sha256=hashlib.sha256(WEIGHTS).hexdigest()
    )
    del names["weights.bin"]
    assert {p: files[p].git for p in names} == names
    assert files["text.txt"].size == len(TEXT) + 7


@pytest.mark.parametrize("packed", [False, True])
def test_every_object_is_read_as_git_reads_it(clone: Path, packed: bool) -> None:
    if packed:
        git(clone, "gc", "-q", "--aggressive", "--prune=now")
    objects = Objects(clone / ".git")
    listed = git(clone, "cat-file", "--batch-check", "--batch-all-objects").split("\n")
    assert len(listed) > 12
    for name, kind, size in (row.split() for row in listed):
        assert len(objects.get(name, kind)) == int(size)
        assert objects.size(name) == int(size)
    objects.close()


def test_a_clean_clone_is_silent(clone: Path) -> None:
    assert not differences(clone)


def test_what_was_changed_added_or_taken_away_is_named(clone: Path) -> None:
    (clone / "text.txt").write_text(TEXT[:-1] + "!line 2\n")
    (clone / "weights.bin").write_bytes(WEIGHTS[:-1] + b"!")
    (clone / "extra.py").write_text("x = 1\n")
    (clone / "sub" / "0.json").unlink()
    found = differences(clone)
    assert {k: f.action for k, f in found.items()} == {
        "changed": Action.REVIEW, "added": Action.NOTE, "missing": Action.NOTE,
    }  # fmt: skip
    assert "text.txt, weights.bin" in found["changed"].message
    assert "extra.py" in found["added"].message
    assert "sub/0.json" in found["missing"].message


def test_line_ends_of_another_system_are_no_change(clone: Path) -> None:
    text = (clone / "text.txt").read_bytes()
    (clone / "text.txt").write_bytes(text.replace(b"\n", b"\r\n"))
    assert not differences(clone)


def test_a_pointer_whose_file_was_not_fetched_is_as_the_commit_has_it(clone: Path) -> None:
    (clone / "weights.bin").write_text(POINTER)
    assert not differences(clone)
    declared = {d.path: d for d in origin(clone).files}["weights.bin"]
    assert declared.git == git_name(POINTER.encode())


def test_links_and_submodules_are_not_called_changes(clone: Path, tmp_path: Path) -> None:
    (clone / "link").symlink_to("text.txt")
    (clone / "away").symlink_to(tmp_path)
    module = clone / "module"
    module.mkdir()
    git(module, "init", "-q")
    (module / "a").write_text("a")
    git(module, "add", "."), git(module, "commit", "-q", "-m", "x")
    git(clone, "add", "."), git(clone, "commit", "-q", "-m", "links")
    assert not differences(clone)
    source = open_target(str(clone))
    assert "module" in {e.path for e in source.left_out}


def test_a_detached_head_and_a_signature_are_seen(clone: Path) -> None:
    commit = git(clone, "cat-file", "commit", "HEAD")
    signed = commit.replace("\n\n", "\ngpgsig -----BEGIN PGP SIGNATURE-----\n \n x\n\n", 1)
    (clone / "signed").write_text(signed)
    name = git(clone, "hash-object", "-w", "-t", "commit", "signed")
    (clone / ".git" / "HEAD").write_text(name + "\n")
    found = origin(clone)
    assert (found.requested, found.commit) == (None, name)
    assert found.history[0].signed is True
    assert found.signature is not None
    assert found.signature.armored.startswith("-----BEGIN PGP SIGNATURE-----")
    assert found.signature.payload.decode().strip() == commit
    said = [f for f in engine.run(clone).findings if f.check == "commit-signature"]
    assert [(f.action.value, "OpenPGP" in f.message) for f in said] == [("note", True)]


@pytest.mark.parametrize(
    ("url", "where", "id"),
    [
        ("git@github.com:org/name.git", "git@github.com:org/name.git", "org/name"),
        ("https://host:8443/a/b/c", "https://host:8443/a/b/c", "b/c"),
        ("https://host:bad/a", None, "clone"),
        ("", None, "clone"),
    ],
)
def test_an_address_is_shown_without_credentials(
    clone: Path, url: str, where: str | None, id: str
) -> None:
    (clone / ".git" / "config").write_text(f'[remote "origin"]\n\turl = {url}\n')
    found = origin(clone)
    assert (found.where, found.id) == (where or str(clone), id)


def test_no_program_of_the_target_is_run(clone: Path, tmp_path: Path) -> None:
    (clone / ".git" / "config").write_text(f"[core]\n\tfsmonitor = touch {tmp_path}/ran\n")
    origin(clone)
    engine.run(str(clone), Settings(jobs=1))
    assert not (tmp_path / "ran").exists()


def test_a_folder_that_is_no_clone_to_git_is_a_folder(clone: Path) -> None:
    (clone / ".git" / "HEAD").unlink()
    assert open_target(str(clone)).origin is None


@pytest.mark.parametrize(
    ("broken", "what"),
    [
        ("file", "commit"), ("link", "commit"), ("HEAD leaves", "commit"),
        ("HEAD loops", "commit"), ("no branch", "commit"), ("no commit", "history"),
        ("exchanged", "history"), ("no tree", "files"), ("objects link", "history"),
        ("object link", "history"), ("refs link", "commit"),
    ],
)  # fmt: skip
def test_what_was_not_read_of_a_clone_is_said(
    clone: Path, tmp_path: Path, broken: str, what: str
) -> None:
    folder = clone / ".git"
    head = git(clone, "rev-parse", "HEAD")
    tree = git(clone, "rev-parse", "HEAD^{tree}")
    place = folder / "objects" / head[:2] / head[2:]
    if broken in ("file", "link"):
        folder.rename(tmp_path / "elsewhere")
        if broken == "file":
            folder.write_text(f"gitdir: {tmp_path}/elsewhere\n")
        else:
            folder.symlink_to(tmp_path / "elsewhere")
    elif broken == "HEAD leaves":
        (folder / "HEAD").write_text("ref: refs/heads/../../../../secret\n")
    elif broken == "HEAD loops":
        (folder / "refs" / "heads" / "main").write_text("ref: refs/heads/main\n")
    elif broken == "no branch":
        (folder / "refs" / "heads" / "main").unlink()
    elif broken == "no commit":
        place.unlink()
    elif broken == "exchanged":
        place.chmod(0o600)
        place.write_bytes(zlib.compress(b"commit 3\0abc"))
    elif "link" in broken:
        moved = {"objects": folder / "objects", "object": place.parent, "refs": folder / "refs"}
        there = moved[broken.partition(" ")[0]]
        there.rename(tmp_path / "elsewhere")
        there.symlink_to(tmp_path / "elsewhere")
    else:
        (folder / "objects" / tree[:2] / tree[2:]).unlink()
    found = origin(clone)
    assert list(found.unknown) == [what]
    audited = engine.run(str(clone), Settings(jobs=1))
    assert any("the commit of this clone" in g.message for g in audited.gaps) == (what != "history")


def loose(folder: Path, kind: str, content: bytes) -> str:
    data = f"{kind} {len(content)}\0".encode() + content
    name = hashlib.sha1(data).hexdigest()
    place = folder / "objects" / name[:2] / name[2:]
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(zlib.compress(data))
    return name


def handmade(folder: Path, tree: bytes) -> Origin:
    store = folder / ".git"
    (store / "objects").mkdir(parents=True)
    name = loose(store, "tree", tree)
    commit = f"tree {name}\nauthor A <a> 99999999999999 +0000\n\nx".encode()
    (store / "HEAD").write_text(loose(store, "commit", commit))
    return origin(folder)


def test_names_in_a_commit_that_leave_the_folder_are_a_gap(tmp_path: Path) -> None:
    blob = bytes.fromhex("ab" * 20)
    tree = b"".join(b"100644 " + n + b"\0" + blob for n in (b"..", b".git", b"a/../../b", b"good"))
    found = handmade(tmp_path, tree)
    assert [f.path for f in found.files] == ["good"]
    gaps = [g for g in open_target(str(tmp_path)).walk() if getattr(g, "message", "")]
    assert len(gaps) == 3


def test_a_tree_that_unfolds_without_end_is_given_up(tmp_path: Path) -> None:
    store = tmp_path / ".git"
    name = loose(store, "blob", b"x")
    kind = b"100644"
    for _ in range(8):
        rows = b"".join(kind + f" {n:02}".encode() + b"\0" + bytes.fromhex(name) for n in range(50))
        name, kind = loose(store, "tree", rows), b"40000"
    commit = f"tree {name}\n\nx".encode()
    (store / "HEAD").write_text(loose(store, "commit", commit))
    assert "100,000 files" in origin(tmp_path).unknown["files"]


def test_an_object_that_inflates_without_end_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(git_objects, "OBJECT_LIMIT", 1 << 16)
    store = tmp_path / ".git"
    name = loose(store, "tree", bytes(1 << 20))
    with pytest.raises(SourceError, match="more than"):
        Objects(store).get(name, "tree")
    monkeypatch.setattr(git_objects, "OBJECT_LIMIT", 1 << 24)
    with pytest.raises(SourceError, match="bytes of objects"):
        Objects(store, left=1 << 16).get(name, "tree")


@pytest.fixture(scope="module")
def packs(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, bytes, list[str]]:
    folder = tmp_path_factory.mktemp("packed")
    git(folder, "init", "-q")
    for number in range(4):
        (folder / "a").write_text(TEXT[:2_000] + str(number))
        git(folder, "add", "."), git(folder, "commit", "-q", "-m", str(number))
    git(folder, "gc", "-q", "--aggressive")
    pack = next((folder / ".git" / "objects" / "pack").glob("*.pack"))
    names = git(folder, "cat-file", "--batch-check", "--batch-all-objects").split("\n")
    return pack.read_bytes(), pack.with_suffix(".idx").read_bytes(), names


def next_descriptor() -> int:
    opened = os.open(os.devnull, os.O_RDONLY)
    os.close(opened)
    return opened


@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_any_pack_is_read_or_refused(
    packs: tuple[bytes, bytes, list[str]],
    tmp_path_factory: pytest.TempPathFactory,
    data: st.DataObject,
) -> None:
    pack, index, names = bytearray(packs[0]), bytearray(packs[1]), packs[2]
    for broken in (pack, index):
        for _ in range(data.draw(st.integers(0, 4))):
            broken[data.draw(st.integers(0, len(broken) - 1))] = data.draw(st.integers(0, 255))
        del broken[data.draw(st.integers(len(broken) // 2, len(broken))) :]
    folder = tmp_path_factory.mktemp("broken") / "objects" / "pack"
    folder.mkdir(parents=True)
    (folder / "pack-x.pack").write_bytes(pack)
    (folder / "pack-x.idx").write_bytes(index)
    free = next_descriptor()
    objects = Objects(folder.parents[1])
    for name, kind, size in (row.split() for row in names):
        try:
            content = objects.get(name, kind)
            assert len(content) == int(size)
        except SourceError:
            pass
        with suppress(SourceError):
            objects.size(name)
    objects.close()
    assert next_descriptor() <= free  # others may have been closed meanwhile


@given(data=st.binary(max_size=200))
def test_any_tree_is_read_or_refused(data: bytes) -> None:
    try:
        assert all(len(e.name) == 40 for e in entries(data, ""))
    except SourceError as error:
        assert error.why
