"""Lists of digests: how they are written, and whether they agree with the files."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from weighbridge.core.finding import Action
from weighbridge.core.format import Sample
from weighbridge.core.tree import Held
from weighbridge.engine.audit import run
from weighbridge.formats.checksums import CHECKSUMS

DATA = b"words\n"


def digest(algorithm: str, data: bytes = DATA) -> str:
    return hashlib.new(algorithm, data).hexdigest()


LISTS = {
    "gnu": ("SHA256SUMS", f"{digest('sha256')}  a.txt\n", 1),
    "binary": ("checksums.txt", f"{digest('sha256')} *a.txt\n", 1),
    "here": ("SHA256SUMS", f"# made by hand\n{digest('sha256')}  ./a.txt\r\n", 1),
    "bsd": ("CHECKSUM", f"SHA256 (a.txt) = {digest('sha256')}\n", 1),
    "lone": ("a.txt.sha256", digest("sha256"), 1),
    "lone md5": ("a.txt.md5", digest("md5").upper() + "\n", 1),
    "sha1": ("SHA1SUMS", f"{digest('sha1')}  a.txt\n", 1),
    "sha512": ("sums", f"{digest('sha512')}  a.txt\n{digest('sha256')}  gone.txt\n", 1),
}


@pytest.mark.parametrize("case", LISTS)
def test_lists_that_agree_and_lists_that_do_not(case: str, tmp_path: Path) -> None:
    name, text, agreed = LISTS[case]
    (tmp_path / "a.txt").write_bytes(DATA)
    (tmp_path / name).write_text(text)
    found = [f for f in run(tmp_path).findings if f.check == "checksum-list"]
    assert [f.action for f in found] == [Action.NOTE]
    assert f"{agreed} agree" in found[0].message
    (tmp_path / "a.txt").write_bytes(DATA + b"more\n")
    found = [f for f in run(tmp_path).findings if f.check == "checksum-list"]
    assert [(f.action, f.at.path) for f in found] == [
        (Action.REVIEW, "a.txt"),
        (Action.NOTE, name),
    ]


OTHERS = {
    "prose": "These are words.\n",
    "numbers": "12345678\n",
    "vocabulary": f"{digest('md5')}\nhello\n",
    "commits": "deadbeef fix\n",
    "comments": "# nothing\n",
    "code": f'SUM = "{digest("sha256")}"\n',
}


@pytest.mark.parametrize("case", OTHERS)
def test_what_only_looks_like_one(case: str) -> None:
    assert not CHECKSUMS.sniff(Sample(Held("SHA256SUMS", OTHERS[case].encode())))
