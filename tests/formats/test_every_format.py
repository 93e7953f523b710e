"""Every format: any bytes, and every broken copy of a real file, parse or raise `Malformed`."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import marshal
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

from checks.test_coreml import PLAIN, model, weights
from checks.test_graph_operator import CAFFE, PADDLE, mxnet_array, mxnet_list, ncnn, paddle_tensor
from checks.test_onnx import QUIET as ONNX_FILES
from formats.test_ggml import FILES as GGML_FILES
from pickles import RUNS
from programs import elf, pe
from protobufs import message
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


def scripted() -> bytes:
    with zipfile.ZipFile(BENIGN / "graphs" / "torch-scripted.zip") as archive:
        return archive.read("season.pt")


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
    "saved-model": (BENIGN / "tensorflow" / "version1_saved" / "saved_model.pb").read_bytes(),
    "tensorflow-graph": (BENIGN / "tensorflow" / "frozen.pb").read_bytes(),
    "tensorflow-meta-graph": (BENIGN / "tensorflow/version1/model.ckpt-7.meta").read_bytes(),
    "tensorflow-checkpoint": (BENIGN / "tensorflow/dense/variables/variables.index").read_bytes(),
    "keras-metadata": (BENIGN / "tensorflow/legacy_dense/keras_metadata.pb").read_bytes(),
    "saved-model-fingerprint": (BENIGN / "tensorflow" / "dense" / "fingerprint.pb").read_bytes(),
    "ubjson": (BENIGN / "xgboost/boosters/gbtree.ubj").read_bytes(),
    "xgboost-binary": (BENIGN / "older/xgboost/boosters/dart.model").read_bytes(),
    "lightgbm": (BENIGN / "lightgbm/boosters/binary.txt").read_bytes(),
    "catboost": (BENIGN / "catboost/depthwise.cbm").read_bytes(),
    "msgpack": (BENIGN / "flax/flax_model.msgpack").read_bytes(),
    "ocdbt-manifest": (BENIGN / "orbax/checkpoint/manifest.ocdbt").read_bytes(),
    "coreml": message(model(500, {1: [PLAIN]}, note="words")),
    "coreml-weights": weights(32, 8),
    "paddle-program": PADDLE["fine"][0],
    "paddle-parameters": paddle_tensor((2, 3), bytes(24)),
    "mxnet-parameters": mxnet_list(mxnet_array((2, 2), bytes(16)), names=1),
    "caffemodel": CAFFE["module"][0],
    "prototxt": CAFFE["acts in text"][0],
    "ncnn": ncnn("Input", "Convolution", "ReLU"),
    "ort": (BENIGN / "onnxruntime/model.ort").read_bytes(),
    "openvino": (BENIGN / "openvino" / "model.xml").read_bytes(),
    "torchscript": scripted(),
    "gguf": (BENIGN / "gguf" / "adapter.gguf").read_bytes(),
    "executorch": (BENIGN / "torch" / "executorch" / "xnnpack.pte").read_bytes(),
    "flat-tensor": next((BENIGN / "torch" / "executorch").glob("*.ptd")).read_bytes(),
    "python-bytecode": marshal.dumps((lambda x: [x, "text", 1.5]).__code__),
    "ggml": GGML_FILES["ggjt v3"][0],
    "sentencepiece": (
        BENIGN.parent / "repositories" / "llama-2-chat" / "tokenizer.model"
    ).read_bytes(),
    "json": b'{"a": [1, 2, {"b": "c"}]}',
    "notebook": json.dumps(
        {
            "nbformat": 4,
            "cells": [
                {
                    "cell_type": "code",
                    "source": ["import os\n", "!pip install x\n", "x = 1"],
                    "outputs": [{"data": {"text/html": "<script>draw()</script>"}}],
                },
                {"cell_type": "markdown", "source": "# words"},
            ],
        }
    ).encode(),
    "text": "plain words, ümlaut\n".encode(),
    "signature-bundle": (BENIGN / "model_signing" / "p256" / "model.sig").read_bytes(),
    "checksums": f"{'0a' * 32}  model.safetensors\n".encode(),
    "conda-explicit": b"@EXPLICIT\nhttps://example.org/noarch/numpy-1.26.4-py311_0.conda\n",
    "elf": elf(),
    "pe": pe(),
    "ape": b"jartsr='\n" + bytes(20) + b"'\nprintf '\\177ELF\\2\\1' >a\n",
    "git-lfs-pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:"
    + b"a1" * 32
    + b"\nsize 12\n",
}


ALSO = {
    "signature-bundle": ("json",),
    "checksums": ("text",),
    "openvino": ("text", "xml"),
    "torchscript": ("zip",),
}
"""What is read as something more general, too, for what is looked for in all of that."""


def follow(format: Format, data: bytes) -> None:
    """Parse, and read what is inside; only `Malformed` may come out."""
    blob = Held("x", data)
    format.sniff(Sample(blob))
    assert format.parse is not None
    try:
        document = format.parse(blob, Location("x"), LIMITS)
        assert document.seen <= document.size or document.size == 0
        for said in document.refers() if hasattr(document, "refers") else ():
            assert said.at.path == "x"
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


TEXT_GRAPH = (BENIGN / "tensorflow" / "version1_text" / "saved_model.pbtxt").read_bytes()[:6000]
NAMED: dict[str, bytes] = {
    "package-metadata": b"Metadata-Version: 2.1\nName: a\nVersion: 1\nRequires-Dist: b>1\n\nc",
    "entry-points": b"[torch.backends]\na = b:c\n",
    "system-packages": b"Package: a\nStatus: install ok installed\nVersion: 1\n\nP:b\nV:2\n",
    "os-release": b"ID=debian\nVERSION_ID=\"12\"\nPRETTY_NAME='Debian 12'\n# x\nA=\n",
    "dockerfile": b"ARG V=3.11\nFROM python:$V AS a\nRUN <<EOF\npip install \\\n  x\nEOF\n"
    b"COPY --from=a /x /y\nONBUILD RUN true\n",
}
"""Formats that are told by the names of their files."""
BROKEN = REAL | NAMED | {"tensorflow-text": TEXT_GRAPH}


@pytest.mark.parametrize("name", BROKEN)
@given(data=st.data())
@settings(max_examples=60, deadline=3000)
def test_broken_copies(name: str, data: st.DataObject) -> None:
    broken = bytearray(BROKEN[name])
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(broken) - 1))
        broken[at] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(broken)))
    follow(FORMATS[name], bytes(broken[:cut]))
    follow(FORMATS[name], bytes(broken))


@pytest.mark.parametrize("name", REAL)
def test_a_real_file_is_recognised_as_itself(name: str) -> None:
    sample = Sample(Held("x", REAL[name]))
    expected = sorted({name, *ALSO.get(name, ())})
    assert [f.name for f in load().formats if f.sniff(sample)] == expected


def test_every_format_says_what_it_does_not_do() -> None:
    for format in load().formats:
        assert format.title
        assert format.meaning or format.parse is not None
