"""What the members of a torch archive are, and the old tar layout.

Layout: PyTorch `caffe2/serialize/inline_container.h` and `torch/serialization.py`. A role says
what raw bytes are when nothing else recognises them; every member is identified by its content
first, whatever it is called.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Final

from weighbridge.core.document import Document
from weighbridge.core.finding import Gap, GapKind
from weighbridge.core.format import Format, Limits, Loading, Sample
from weighbridge.core.location import Location
from weighbridge.core.regex import regex
from weighbridge.core.tree import Blob, Piece

_STORAGE: Final = regex(
    r"(.*/)?(?:data|constants|xl_model_weights|tensors|weights)"
    r"/(?:weight_|tensor_)?\d+(?:\.storage)?$"
)
_CODE: Final = regex(r"(.*/)?code/.*\.py$")
_NOTE: Final = regex(
    r"(.*/)?(?:version|byteorder|\.format_version|\.storage_alignment|\.data/serialization_id"
    r"|archive_format|archive_version)$"
)


_ROLES: Final = (
    (_STORAGE, "tensor-storage"),
    (_NOTE, "torch-note"),
    (_CODE, "torchscript-code"),
)


def role(path: str, members: Collection[str]) -> str:
    """What a member of an archive is: one of `_ROLES`, or the empty string.

    Only within a folder that has a torch pickle beside it: elsewhere the names mean nothing.
    """
    for pattern, name in _ROLES:
        found = pattern.match(path)
        if found:
            root = found[1] or ""
            named = ("data.pkl", "constants.pkl", "archive_format", "weights.pkl")
            outer = root.rstrip("/").rpartition("/")[0]
            roots = {root, f"{outer}/" if outer else ""}
            if any(f"{r}{n}" in members for r in roots for n in named):
                return name
    return ""


_OTHER: Final = regex(
    rb"\x80[\x00-\x05]|[(\]}cI]|PK|\x1f\x8b|BZh|\xfd7z|7z|Rar!|\x7fELF|MZ|\xca\xfe|\xcf\xfa|\x28\xb5"
    rb"|\x04\x22\x4d|\x93NUMPY|\x89|GGUF|\xe3|c\x00|\x78[\x01\x5e\x9c\xda]|#!|\x5d\x00"
)
_OFFSETS: Final = 257


_NOTED: Final = regex(rb"(?:little|big|[0-9]{1,40})\n?")


NOTED_LIMIT: Final = 264
"""How many bytes of a member's beginning `is_plainly_raw` looks at."""


def is_plainly_raw(role: str, head: bytes) -> bool:
    """Whether a member's bytes need no format to be asked: a tensor's that begin like nothing else
    that is known, a note that holds one of the values it can have. Most members are such."""
    if role == "torch-note":
        return bool(_NOTED.fullmatch(head))
    return role == "tensor-storage" and not _OTHER.match(head) and head[_OFFSETS:262] != b"ustar"


STARTS_KEPT: Final = 2_000
_START: Final = regex(rb"\x80[\x02-\x05](?=[\x95c\x8c(}\]XK\x8aUM])")


class TorchTarPart(Document, frozen=True, kw_only=True, eq=False):
    """`storages` or `tensors` of the tar layout: pickles with raw tensor bytes between them."""

    blob: Blob
    starts: tuple[int, ...]

    def walk(self) -> Iterator[Blob | Gap]:
        """What begins at each place where a pickle may begin."""
        for start in self.starts:
            size = self.blob.size - start
            yield Piece(f"at byte {start}", self.blob, start, size, "embedded")


def _parse(blob: Blob, where: Location, limits: Limits) -> TorchTarPart:
    starts: list[int] = []
    offset, step = 0, 4 << 20
    gaps: tuple[Gap, ...] = ()
    while offset < blob.size:
        block = blob.read(offset, step + 2)
        for found in _START.finditer(block):
            if found.start() < step and found.start() + offset:
                starts.append(offset + found.start())
        offset += step
        if len(starts) > STARTS_KEPT:
            why = f"more than {STARTS_KEPT:,} places look like a pickle; the rest was not looked at"
            gaps = (Gap(kind=GapKind.TOO_LARGE, message=why, at=where),)
            break
    return TorchTarPart(
        where=where, size=blob.size, seen=min(offset, blob.size), gaps=gaps, blob=blob,
        starts=tuple(starts),
    )  # fmt: skip


def _sniff(sample: Sample) -> bool:
    """A member that the tar layout calls `storages` or `tensors`, and that begins with a pickle
    of a number: how many follow."""
    name = sample.blob.path.rpartition("/")[2]
    return name in ("storages", "tensors") and bool(
        re.match(rb"\x80[\x02-\x05](?:K.|M..|J....)\.", sample.head, re.DOTALL)
    )


TORCH_TAR_PART = Format(
    name="torch-tar-part",
    title="Part of a torch tar checkpoint",
    loading=Loading.CODE,
    sniff=_sniff,
    first=b"\x80",
    parse=_parse,
    document=TorchTarPart,
    limits="Pickles are found by their header; one of protocol 0 or 1 behind tensor bytes is not.",
)
