"""Every format: any bytes, and every broken copy of a real file, parse or raise `Malformed`."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import sys
import tarfile
import zipfile
import zlib
from pathlib import Path

import lz4.frame
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checks.test_onnx import QUIET as ONNX_FILES
from formats.test_ggml import FILES as GGML_FILES
from pickles import RUNS
from programs import elf, pe
from weighbridge.core.document import Malformed
from weighbridge.core.format import Format, Limits, Sample
from weighbridge.core.location import Location
from weighbridge.core.tree import Blob, Held, Tree
from weighbridge.engine.ruleset import load

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

BENIGN = Path(__file__).parents[1] / "benign" / "files"
LIMITS = Limits()
FORMATS = {f.name: f for f in load().formats if f.parse is not None}


def zipped(method: int = zipfile.ZIP_DEFLATED) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", method) as archive:
        archive.writestr("a/data.pkl", RUNS)
        archive.writestr("a/text", "x" * 3_000)
    return made.getvalue()


def tarred() -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for name in ("a.pkl", "long/" * 40 + "b.pkl"):
            info = tarfile.TarInfo(name)
            info.size = len(RUNS)
            archive.addfile(info, io.BytesIO(RUNS))
    return made.getvalue()


def safetensors() -> bytes:
    header = {"w": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}}
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + bytes(16)


def npy() -> bytes:
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (2,), }"
    header += b" " * (117 - len(header)) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(16)


REAL: dict[str, bytes] = {
    "zip": zipped(),
    "tar": tarred(),
    "gzip": gzip.compress(RUNS * 9),
    "zlib": zlib.compress(RUNS * 9),
    "bzip2": bz2.compress(RUNS * 9),
    "xz": lzma.compress(RUNS * 9),
    "lzma": lzma.compress(RUNS * 9, lzma.FORMAT_ALONE),
    "zstd": zstd.compress(RUNS * 9),
    "lz4": lz4.frame.compress(RUNS * 9),
    "safetensors": safetensors(),
    "npy": npy(),
    "pickle": RUNS,
    "hdf5": (BENIGN / "keras" / "attention.h5").read_bytes(),
    "onnx": ONNX_FILES["function"],
    "gguf": (BENIGN / "gguf" / "adapter.gguf").read_bytes(),
    "ggml": GGML_FILES["ggjt v3"][0],
    "json": b'{"a": [1, 2, {"b": "c"}]}',
    "text": "plain words, ümlaut\n".encode(),
    "elf": elf(),
    "pe": pe(),
}


def follow(format: Format, data: bytes) -> None:
    """Parse, and read what is inside; only `Malformed` may come out."""
    blob = Held("x", data)
    format.sniff(Sample(blob))
    assert format.parse is not None
    try:
        document = format.parse(blob, Location("x"), LIMITS)
        assert document.seen <= document.size or document.size == 0
        for fact in document.facts() if hasattr(document, "facts") else ():
            msgspec.msgpack.encode(fact)
        if isinstance(document, Tree):
            for member in document.walk():
                if isinstance(member, Blob):
                    member.read(0, 1 << 16)
    except Malformed as error:
        assert error.why


@pytest.mark.parametrize("name", FORMATS)
@given(data=st.binary(max_size=700))
@settings(max_examples=40, deadline=3000)
def test_any_bytes(name: str, data: bytes) -> None:
    follow(FORMATS[name], data)


@pytest.mark.parametrize("name", REAL)
@given(data=st.data())
@settings(max_examples=60, deadline=3000)
def test_broken_copies(name: str, data: st.DataObject) -> None:
    broken = bytearray(REAL[name])
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(broken) - 1))
        broken[at] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(broken)))
    follow(FORMATS[name], bytes(broken[:cut]))
    follow(FORMATS[name], bytes(broken))


@pytest.mark.parametrize("name", REAL)
def test_a_real_file_is_recognised_as_itself(name: str) -> None:
    sample = Sample(Held("x", REAL[name]))
    assert [f.name for f in load().formats if f.sniff(sample)] == [name]


def test_every_format_says_what_it_does_not_do() -> None:
    for format in load().formats:
        assert format.title
        assert format.meaning or format.parse is not None
