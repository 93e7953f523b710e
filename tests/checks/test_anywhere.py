"""What can stand anywhere among a model's files: links, pointers, programs that carry a model."""

from __future__ import annotations

import io
import json
import os
import zipfile
from pathlib import Path

import pytest

from checks.test_gguf import PAIRS, W, gguf
from of_every_model import CHECKS
from programs import elf, pe
from weighbridge.core.evidence import Table
from weighbridge.core.format import Limits
from weighbridge.core.tree import Held
from weighbridge.engine.audit import Audited, run
from weighbridge.engine.examine import examine
from weighbridge.engine.ruleset import load


def said(audited: Audited) -> set[tuple[str, str, str]]:
    return {(f.check, f.action.value, f.symbol) for f in audited.findings}


@pytest.mark.parametrize(
    ("target", "action"),
    [
        ("/etc/hostname", "review"),
        ("../outside", "review"),
        ("sub/../../outside", "review"),
        ("/nowhere/at/all", "review"),
        ("/home/a/.ssh/id_rsa", "block"),
        ("../../.aws/credentials", "block"),
        ("inside.txt", None),
        ("sub/../inside.txt", None),
        ("gone.txt", None),
        ("loop", None),
    ],
)
def test_links(tmp_path: Path, target: str, action: str | None) -> None:
    model = tmp_path / "model"
    (model / "sub").mkdir(parents=True)
    (model / "inside.txt").write_text("x")
    (tmp_path / "outside").write_text("not to be read")
    (model / "loop").symlink_to(target)
    audited = run(model)
    assert said(audited) == ({("link-leaves", action, target)} if action else set())
    unread = [g.at.path for g in audited.gaps if g.kind == "unreadable"]
    assert unread == ([] if target.endswith("inside.txt") else ["loop"])
    if action:
        (table,) = audited.findings[0].evidence
        assert isinstance(table, Table)
        assert table.rows[0][:2] == ("loop", target)
    assert "not to be read" not in str(audited)


def test_a_folder_of_one_link_is_not_silent(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "weights").symlink_to("/etc", target_is_directory=True)
    assert said(run(tmp_path / "model")) == {("link-leaves", "review", "/etc")}


def test_a_link_whose_name_is_no_text(tmp_path: Path) -> None:
    os.symlink(b"/etc/\xff", os.fsencode(tmp_path) + b"/a")
    (found,) = run(tmp_path).findings
    assert found.symbol == "/etc/\\xff"


POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "a1" * 32 + "\nsize 4096000\n"


@pytest.mark.parametrize(
    ("text", "kind", "part"),
    [
        (POINTER, "unsupported", f"4,096,000 bytes, sha256 {'a1' * 32}"),
        (POINTER.replace("oid", "ext-0-x sha256:bb\noid"), "unsupported", "4,096,000"),
        (POINTER.replace("size", "seize"), "malformed", "names no file"),
        (POINTER + "x" * 2_000, "malformed", "names no file"),
        (POINTER.replace("4096000", "-1"), "malformed", "names no file"),
    ],
)
def test_pointers_of_git_lfs_are_gaps(text: str, kind: str, part: str) -> None:
    examined = examine(Held("model.safetensors", text.encode()), load(), Limits())
    assert examined.record.formats == ("git-lfs-pointer",)
    (gap,) = examined.gaps
    assert gap.kind.value == kind
    assert part in gap.message
    assert "payload-scan" in gap.controls


def test_a_text_about_pointers_is_text() -> None:
    examined = examine(Held("notes.txt", f"like this:\n{POINTER}".encode()), load(), Limits())
    assert (examined.record.formats, examined.gaps) == (("text",), ())


def test_weights_that_are_pointers_are_said_once(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_text(POINTER)
    index = {"weight_map": {"w": "model.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    audited = run(tmp_path)
    assert audited.findings == ()
    assert [g.at.path for g in audited.gaps if g.kind == "unsupported"] == ["model.safetensors"]


SCRIPT = b"MZqFpD='\n\0" + bytes(50) + b"'\nprintf '\\177ELF\\2\\1\\1' >\"$o\"\n" + b"#" * 900


def carrying(program: bytes, members: dict[str, bytes]) -> bytes:
    made = io.BytesIO(program)
    with zipfile.ZipFile(made, "a") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return made.getvalue()


MODEL = gguf(PAIRS, [W])


@pytest.mark.parametrize(
    ("program", "members", "message"),
    [
        (SCRIPT, {"m.gguf": MODEL, ".args": b"-m\nm.gguf\n"}, "a llamafile: a native program"),
        (SCRIPT.replace(b"MZqFpD", b"jartsr"), {"m.gguf": MODEL}, "a llamafile: a native program"),
        (pe(library=False), {"m.gguf": MODEL}, "a native program with a model inside (m.gguf)"),
        (elf(use=2), {"a/m.gguf": MODEL, "x.txt": b"words"}, "a native program with a model"),
    ],
)
def test_a_program_with_a_model_inside(
    tmp_path: Path, program: bytes, members: dict[str, bytes], message: str
) -> None:
    (tmp_path / "m.llamafile").write_bytes(carrying(program, members))
    audited = run(tmp_path)
    assert {f.check for f in audited.findings if f.action == "review"} == {
        "llamafile", "loading-runs-code", "native-program", *CHECKS,
    }  # fmt: skip
    (found,) = [f for f in audited.findings if f.check == "llamafile"]
    assert found.message.startswith(message)
    (table,) = found.evidence
    assert isinstance(table, Table)
    assert tuple(r[1] for r in table.rows if r[0].endswith(".gguf")) == ("gguf",)
    read = {c.parser.partition("/")[0] for c in audited.coverage.artifacts}
    assert "gguf" in read
    unread = [g.message for g in audited.gaps if g.kind == "unsupported"]
    assert all("its code was not read" in message for message in unread)
    assert unread


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("-m\nm.gguf\n...\n", ("note", ".args")),
        ("--host\n127.0.0.1\n", ("note", ".args")),
        ("-m\nm.gguf\n--host\n0.0.0.0\n", ("review", "--host 0.0.0.0")),
        ("--unsecure\n", ("review", "--unsecure")),
    ],
)
def test_the_arguments_of_a_llamafile(arguments: str, expected: tuple[str, str]) -> None:
    data = carrying(SCRIPT, {"m.gguf": MODEL, ".args": arguments.encode()})
    found = [f for f in examine(Held("m.llamafile", data), load(), Limits()).findings
             if f.check == "llamafile-arguments"]  # fmt: skip
    assert [(f.action.value, f.symbol) for f in found] == [expected]
    assert arguments.strip() in getattr(found[0].evidence[0], "text", "")


@pytest.mark.parametrize(
    "data",
    [
        b"MZqFpD='\n" + bytes(2_000),
        b"jartsr='\nwords",
        b"#!/bin/sh\n# MZqFpD=' is how it begins\n",
    ],
)
def test_what_only_begins_like_such_a_program(data: bytes) -> None:
    examined = examine(Held("m", data), load(), Limits())
    assert "ape" not in examined.record.formats
    assert examined.findings == ()


def test_a_zip_with_a_model_is_no_program(tmp_path: Path) -> None:
    (tmp_path / "m.zip").write_bytes(carrying(b"", {"m.gguf": MODEL}))
    assert {check for check, _, _ in said(run(tmp_path))} == CHECKS
