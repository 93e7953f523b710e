"""What a person reads first, and how it fits the screen."""

from __future__ import annotations

import io
import re

import pytest
from rich.cells import cell_len

from reports import samples
from weighbridge.reports.terminal import Screen, render, show


def written(sample: str, **screen: object) -> str:
    report = getattr(samples, sample)()
    return render(report, Screen(**screen)).decode()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("sample", "unicode", "expected"),
    [
        ("clean", True, "● PASS  models/clean"),
        ("hostile", True, "■ BLOCK  models/hostile"),
        ("incomplete", True, "◆ INCOMPLETE  models/incomplete"),
        ("hostile", False, "[X] BLOCK  models/hostile"),
    ],
)
def test_verdict_stands_first(sample: str, unicode: bool, expected: str) -> None:
    first, second, *_ = written(sample, unicode=unicode).splitlines()
    assert first == expected
    assert getattr(samples, sample)().sentence.startswith(second.strip())


def test_all_controls_stand_in_their_groups() -> None:
    text = written("hostile", width=120)
    at = [text.index(group) for group in (samples.PROVENANCE, samples.MODEL_FILES)]
    assert at == sorted(at)
    assert len(re.findall(r"(?m)^  \S (unknown|warn|fail|pass|not applicable) +\S", text)) == 14
    assert "■ fail            Payload scan        loading pytorch_model.bin calls" in text


def test_a_finding_says_what_where_why_and_what_to_do() -> None:
    text = written("hostile", width=120)
    start = text.index("■ block  Calls made while the file loads")
    block = text[start : text.index("■ block", start + 1)]
    for expected in (
        "pickle-untrusted-call · 2 findings in 2 files",
        "why      Unpickling imports every name",
        "do       Do not load the file.",
        "           - load with `weights_only=True`",
        "    loading this file calls builtins.exec\n"
        "    pytorch_model.bin › archive/data.pkl @ byte 204\n",
        "        ├─ builtins.getattr(<module builtins>, 'exec')  REDUCE @ byte 96\n"
        "        │  └─ importlib.import_module('builtins')  REDUCE @ byte 71\n"
        "        └─ zlib.decompress()  REDUCE @ byte 171\n",
        "0000003a  63 62 75",
        "os.system('echo weighed')",
    ):
        assert expected.lstrip() in block


def test_waivers_and_gaps_are_seen() -> None:
    text = written("hostile", width=120)
    assert "□ waived  Names that are imported" in text
    assert "our own class, read by two people on 2026-10-02 (until 2027-01-31)" in text
    assert "old-optimizer of ml-platform@example.org expired on 2026-06-30" in text
    text = written("incomplete", width=120)
    assert text.count("malformed  shards/part-2.bin @ byte 8,191") == 1
    assert "(accepted: training data, never loaded in production)" in text
    assert "jail     no network · memory 4.0 GiB" in text


def test_a_thousand_files_stay_readable() -> None:
    text = written("many", width=80)
    assert len(text.splitlines()) < 80
    assert "1,000 findings in 1,000 files" in text
    assert "and 996 more places; the JSON report has all" in text


@pytest.mark.parametrize("sample", ["clean", "hostile", "incomplete", "foreign", "many"])
@pytest.mark.parametrize("width", [40, 80, 120])
def test_no_line_is_wider_than_the_screen(sample: str, width: int) -> None:
    lines = written(sample, width=width).splitlines()
    assert max(map(cell_len, lines)) <= width


def test_without_colour_there_is_no_escape() -> None:
    assert "\x1b" not in written("foreign")


def test_colour_is_ours_alone() -> None:
    codes = set(re.findall(r"\x1b[^m]*m", written("foreign", colour=True)))
    assert codes
    assert all(re.fullmatch(r"\x1b\[[0-9;]*m", code) for code in codes)


def test_ascii_is_ascii() -> None:
    assert written("foreign", unicode=False).isascii()


class Stream(io.TextIOWrapper):
    def __init__(self, encoding: str, terminal: bool) -> None:
        super().__init__(io.BytesIO(), encoding=encoding)
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


@pytest.mark.parametrize(
    ("encoding", "terminal", "environ", "colour", "unicode"),
    [
        ("utf-8", True, {"TERM": "xterm"}, True, True),
        ("utf-8", True, {"TERM": "xterm", "NO_COLOR": "1"}, False, True),
        ("utf-8", True, {"TERM": "xterm", "NO_COLOR": ""}, True, True),
        ("utf-8", True, {"TERM": "dumb"}, False, True),
        ("utf-8", False, {"TERM": "xterm"}, False, True),
        ("ascii", True, {"TERM": "xterm"}, True, False),
        ("latin-1", False, {}, False, False),
    ],
)
def test_screen(
    encoding: str, terminal: bool, environ: dict[str, str], colour: bool, unicode: bool
) -> None:
    screen = Screen.of(Stream(encoding, terminal), environ)
    assert (screen.colour, screen.unicode) == (colour, unicode)


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1", "cp1252"])
def test_show_writes_what_the_stream_can_hold(encoding: str) -> None:
    stream = Stream(encoding, False)
    show(samples.foreign(), stream)
    buffer = stream.buffer
    assert isinstance(buffer, io.BytesIO)
    assert b"BLOCK" in buffer.getvalue()
