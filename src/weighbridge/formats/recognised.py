"""Formats that are recognised and not read yet: each is a gap that says what it hides.

A format moves out of here into a file of its own when it gets a parser.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from weighbridge.core.document import Document
from weighbridge.core.format import Format, Loading, Sample

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


ORT = _declare("ort", "ONNX Runtime model", _MARSHALLED, _starts(b"ORTM", at=4), Loading.DATA)
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
UBJSON = _declare(
    "ubjson",
    "Universal Binary JSON (XGBoost)",
    "its values were not read",
    lambda sample: sample.head[:2] == b"{L" and sample.head[2:9] == bytes(7),
    Loading.DATA,
    first=b"{",
)
