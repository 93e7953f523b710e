"""Formats that are recognised and not read yet: each is a gap that says what it hides.

A format moves out of here into a file of its own when it gets a parser.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from weighbridge.core.document import Document
from weighbridge.core.format import Format, Loading, Sample
from weighbridge.core.regex import regex

_MARSHALLED: Final = "its graph and operators were not read; it may hold code of its own"


def _starts(*magics: bytes, at: int = 0) -> Callable[[Sample], bool]:
    return lambda sample: sample.head[at:].startswith(magics)


def _declare(
    name: str,
    title: str,
    meaning: str,
    sniff: Callable[[Sample], bool],
    loading: Loading = Loading.CODE,
    first: bytes = b"",
) -> Format:
    return Format(
        name=name,
        title=title,
        loading=loading,
        sniff=sniff,
        parse=None,
        document=Document,
        first=first,
        meaning=meaning,
        limits="Recognised, not read: always a gap.",
    )


def _records(sample: Sample) -> bool:
    """A record begins with its length in 64 bits and the masked checksum of that."""
    length, checksum = sample.head[:8], sample.head[8:12]
    if len(checksum) < 4:
        return False
    crc = crc32c(length)
    masked = ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
    return masked == int.from_bytes(checksum, "little")


def crc32c(data: bytes) -> int:
    """The checksum of RFC 3720 (polynomial 0x82F63B78, reflected), for a few bytes."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


TORCH_MOBILE_FLATBUFFER = _declare(
    "torch-mobile-flatbuffer",
    "TorchScript module for the lite interpreter, as a flatbuffer",
    "its functions and operators were not read",
    _starts(b"PTMF", at=4),
)
BUNDLED_PROGRAM = _declare(
    "executorch-bundled",
    "ExecuTorch program bundled with test data",
    "its program was not read",
    _starts(b"BP08", b"BP07", b"BP06", b"BP05", at=4),
    Loading.DATA,
)
TFRECORD = _declare(
    "tfrecord", "TFRecord (TensorFlow)", "its records were not read", _records, Loading.DATA
)
PARQUET = _declare(
    "parquet", "Parquet table", "its rows were not read", _starts(b"PAR1"), Loading.DATA, first=b"P"
)
ARROW = _declare(
    "arrow",
    "Arrow table",
    "its rows were not read",
    _starts(b"ARROW1\0\0"),
    Loading.DATA,
    first=b"A",
)
SQLITE = _declare(
    "sqlite",
    "SQLite database",
    "its tables were not read",
    _starts(b"SQLite format 3\0"),
    Loading.DATA,
    first=b"S",
)
RAR = _declare(
    "rar",
    "RAR archive",
    "its members were not read",
    _starts(b"Rar!\x1a\x07"),
    Loading.CONTAINER,
    first=b"R",
)
CAB = _declare(
    "cab",
    "Cabinet archive",
    "its members were not read",
    _starts(b"MSCF\0\0\0\0"),
    Loading.CONTAINER,
    first=b"M",
)


def _tensorrt(sample: Sample) -> bool:
    """The magic of an engine, also behind the JSON that Ultralytics puts before it."""
    head = sample.head
    if head[3:5] == b"\0{":
        head = sample.blob.read(4 + int.from_bytes(head[:4], "little"), 24)
    return bool(_ENGINE.match(head))


_ENGINE: Final = regex(rb"[fp]trt.{2}\0\0", re.DOTALL)
_COMPILED: Final = "compiled for {}; what it computes was not read: ask for the model it comes from"
TENSORRT = _declare(
    "tensorrt",
    "TensorRT engine",
    "compiled for an NVIDIA GPU; it can carry plugins and a runtime of its own, which are native "
    "code and run when it is loaded, and nothing of it was read",
    _tensorrt,
)
RKNN = _declare(
    "rknn",
    "RKNN model",
    _COMPILED.format("a Rockchip processor"),
    _starts(b"RKNN\0\0\0\0", b"CYPTRKNN"),
    first=b"RC",
)
HAILO = _declare(
    "hef",
    "Hailo executable",
    _COMPILED.format("a Hailo processor"),
    _starts(b"\x01HEF"),
    first=b"\x01",
)
DLC = _declare(
    "dlc",
    "Qualcomm deep learning container",
    _COMPILED.format("a Qualcomm processor"),
    lambda sample: (
        bool(re.match(rb"\xd5\x0a[\x02-\x09]\x00", sample.head))
        or sample.head[4:8] in (b"NETD", b"NETP", b"NR64")
    ),
)
MNN = _declare(
    "mnn",
    "MNN model",
    "its operators were not read",
    lambda sample: (
        sample.blob.path.lower().endswith(".mnn")
        and sample.head[:4] in (b"\x18\0\0\0", b"\x1c\0\0\0", b"\x20\0\0\0")
    ),
    Loading.DATA,
    first=b"\x18\x1c\x20",
)
OPENVINO_COMPILED = _declare(
    "openvino-compiled",
    "Compiled OpenVINO model",
    _COMPILED.format("the processor of the machine that made it"),
    _starts(b"RR_UPCVO"),
    first=b"R",
)
COREML_COMPILED = _declare(
    "coreml-compiled",
    "Compiled Core ML model",
    _COMPILED.format("Apple's devices"),
    lambda sample: sample.blob.path.rpartition("/")[2] == "coremldata.bin" and b"\0" in sample.head,
)
