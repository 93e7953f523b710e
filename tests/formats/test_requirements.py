"""Requirements of pip: lines as `packaging` reads them, and what pip adds to those."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.requirements import Requirement as Oracle

from weighbridge.core.evidence import Table
from weighbridge.core.format import Limits
from weighbridge.core.tree import Held
from weighbridge.engine.examine import examine
from weighbridge.engine.ruleset import load
from weighbridge.formats.requirements import Kind, read_line, read_lines


@pytest.mark.parametrize(
    "line",
    [
        "torch",
        "torch==2.1.0",
        "torch == 2.1.* ; python_version < '3.13' and sys_platform == 'linux'",
        "transformers[torch, sentencepiece]>=4.40,<5",
        "a-b_c.d (>=1.0,!=1.5)",
        "x===2024a+local",
        "pkg @ https://example.org/pkg-1.0.tar.gz",
        "pkg[extra]@git+https://example.org/pkg.git@main ; os_name == 'nt'",
    ],
)
def test_lines_are_read_as_packaging_reads_them(line: str) -> None:
    oracle, ours = Oracle(line), read_line(line, 1)
    assert ours.name == oracle.name
    assert set(ours.extras) == oracle.extras
    assert {op + v for op, v in ours.specifier} == {str(s) for s in oracle.specifier}
    assert ours.target == (oracle.url or "")
    assert bool(ours.marker) == (oracle.marker is not None)


@pytest.mark.parametrize(
    ("line", "kind", "name", "target"),
    [
        ("git+ssh://git@example.org/a.git@v1#egg=a", Kind.VCS, "a", None),
        ("https://example.org/a.whl", Kind.URL, "", None),
        ("./wheels/a-1-py3-none-any.whl", Kind.PATH, "", None),
        ("a-1.0-py3-none-any.whl", Kind.PATH, "", None),
        ("file:///srv/a.zip", Kind.PATH, "", None),
        ("-e .", Kind.PATH, "", "."),
        ("--editable=git+https://example.org/a.git#egg=a", Kind.VCS, "a",
         "git+https://example.org/a.git#egg=a"),
        ("-r more.txt", Kind.FILE, "--requirement", "more.txt"),
        ("-rmore.txt", Kind.FILE, "--requirement", "more.txt"),
        ("-c constraints.txt", Kind.FILE, "--constraint", "constraints.txt"),
        ("--extra-index-url https://example.org/simple", Kind.OPTION, "--extra-index-url",
         "https://example.org/simple"),
        ("-i https://example.org/simple", Kind.OPTION, "--index-url",
         "https://example.org/simple"),
        ("--pre", Kind.OPTION, "--pre", ""),
        ("--no-such-option x", Kind.INVALID, "--no-such-option", ""),
        ("words of prose", Kind.INVALID, "", ""),
        ("a=1", Kind.INVALID, "", ""),
        ("a==", Kind.INVALID, "", ""),
        ("==1", Kind.INVALID, "", ""),
        ("", Kind.INVALID, "", ""),
    ],
)  # fmt: skip
def test_what_pip_takes_beside_names(line: str, kind: Kind, name: str, target: str | None) -> None:
    read = read_line(line, 1)
    assert (read.kind, read.name, read.target) == (kind, name, line if target is None else target)


def test_lines_comments_and_hashes() -> None:
    text = (
        "# a comment \\\ntorch==2.1 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\n"
        "\nnumpy  # why\nurl @ https://example.org/a#sha256=1\n-r \\\nmore.txt"
    )
    read = list(read_lines(text))
    assert [(r.line, r.kind.value, r.name) for r in read] == [
        (2, "package", "torch"), (6, "package", "numpy"), (7, "url", "url"),
        (8, "file", "--requirement"),
    ]  # fmt: skip
    assert read[0].hashes == ("sha256:aa", "sha256:bb")
    assert read[0].pinned
    assert not read[1].pinned
    assert read[2].target == "https://example.org/a#sha256=1"


@given(st.text(max_size=300))
def test_any_text_is_read(text: str) -> None:
    for read in read_lines(text):
        assert read.line >= 1


def said(path: str, text: str) -> tuple[tuple[str, ...], set[tuple[str, str]]]:
    examined = examine(Held(path, text.encode()), load(), Limits())
    assert examined.gaps == ()
    return examined.record.formats, {(f.action.value, f.symbol) for f in examined.findings}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("torch==2.1\ntransformers>=4.40\n", {("note", "packages")}),
        ("--extra-index-url https://example.org/simple\ntorch\n", {("note", "packages")}),
        ("https://example.org/a.whl\n", set()),
        ("-r base.txt\n--no-binary :all:\n", set()),
        ("What this model requires: a large machine and some patience.\n", set()),
        ("# nothing\n", set()),
    ],
)  # fmt: skip
def test_what_a_model_has_installed(text: str, expected: set[tuple[str, str]]) -> None:
    for path in ("requirements.txt", "custom_generate/requirements.txt", "dev-requirements.in"):
        formats, found = said(path, text)
        assert formats == ("requirements",)
        assert found == expected


def test_the_listing_has_every_line() -> None:
    text = "torch==2.1\nnumpy\n-r more.txt\nno requirement at all\n"
    (found,) = examine(Held("requirements.txt", text.encode()), load(), Limits()).findings
    (table,) = found.evidence
    assert isinstance(table, Table)
    assert [row[0] for row in table.rows] == ["1", "2", "3", "4"]
    assert [row[3] for row in table.rows] == ["yes", "no", "", ""]
    assert "1 lines" not in found.message or "no requirements" in found.message


def test_other_names_are_text() -> None:
    assert said("notes.txt", "torch==2.1\n") == (("text",), set())
