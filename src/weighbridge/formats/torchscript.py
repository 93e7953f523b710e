"""A TorchScript archive: a module's code, its attributes in a pickle, its constants.

Layout: `torch/csrc/jit/serialization/export_module.cpp`: `data.pkl` (the module; objects of classes
that `code/__torch__…py` define), `constants.pkl` (a tuple of tensors, `CONSTANTS.c0` in the code)
and, where it was traced, `traced_inputs.pkl`. The same bytes are a zip as well.
"""

from __future__ import annotations

import ast
import re
from typing import Final

from weighbridge.core.document import GraphDocument, Malformed
from weighbridge.core.format import Format, Limits, Loading, Sample
from weighbridge.core.location import Location
from weighbridge.core.regex import regex
from weighbridge.core.tree import Blob
from weighbridge.formats.pickle_machine import Machine
from weighbridge.formats.pickle_values import Value
from weighbridge.formats.python_source import SOURCE_LIMIT, read_tree
from weighbridge.formats.zip import END, LOCAL, ZIP, Zip

DIRECTORY_READ: Final = 16 << 20
PICKLE_LIMIT: Final = 16 << 20
SOURCES_LIMIT: Final = 16 << 20
"""How many bytes of code are parsed of one archive."""
_CODE: Final = regex(rb"PK\x01\x02.{42}(?:[^/\0]{1,200}/)?code/__torch__(?:\.py|/)", re.DOTALL)
_ROOT: Final = regex(r"((?:[^/]+/)?)code/__torch__(?:\.py$|/)")


class TorchScript(GraphDocument, frozen=True, kw_only=True, eq=False):
    """The archive; `root` is the folder in it that everything stands in."""

    archive: Zip
    root: str

    def source(self, module: str, limit: int = SOURCE_LIMIT) -> tuple[ast.Module | None, int]:
        """The code of a module (`__torch__.torch.nn`), and how many bytes it is; None where there
        is none. Raises `Malformed` where it cannot be parsed or is above `limit` bytes."""
        blob = self.archive.sibling(f"{self.root}code/{module.replace('.', '/')}.py")
        if blob is None:
            return None, 0
        limit = min(limit, SOURCE_LIMIT)
        if blob.size > limit:
            raise Malformed(f"code above {limit:,} bytes is not read")
        return read_tree(blob.read(0, blob.size))[1], blob.size

    def pickled(self, name: str) -> Value:
        """What a pickle of the archive holds, on symbols; None where there is none. Raises
        `Malformed` where it is broken."""
        blob = self.archive.sibling(f"{self.root}{name}.pkl")
        if blob is None:
            return None
        if blob.size > PICKLE_LIMIT:
            raise Malformed(f"a pickle above {PICKLE_LIMIT:,} bytes is not followed")
        machine = Machine(blob, Limits())
        stream = machine.stream(0)
        if stream.broken is not None:
            raise Malformed(f"not a whole pickle: {stream.broken}", stream.end)
        return machine.top()

    def storage(self, folder: str, key: str) -> Blob | None:
        """The numbers of a tensor that a pickle names."""
        return self.archive.sibling(f"{self.root}{folder}/{key}")


def _sniff(sample: Sample) -> bool:
    if not sample.head.startswith(LOCAL):
        return False
    if _CODE.search(sample.tail):
        return True
    at = sample.tail.rfind(END)
    length = int.from_bytes(sample.tail[at + 12 : at + 16], "little") if at >= 0 else 0
    if length <= len(sample.tail):
        return False
    wide = min(length, DIRECTORY_READ)
    start = max(0, sample.blob.size - len(sample.tail) + at - wide)
    return bool(_CODE.search(sample.blob.read(start, wide)))


def _parse(blob: Blob, where: Location, limits: Limits) -> TorchScript:
    assert ZIP.parse is not None
    archive = ZIP.parse(blob, where, limits)
    assert isinstance(archive, Zip)
    roots = {m[1] for member in archive.members if (m := _ROOT.match(member.name))}
    root = next((r for r in sorted(roots) if archive.sibling(f"{r}data.pkl") is not None), None)
    if root is None:
        raise Malformed("code of TorchScript without the module that it is the code of")
    return TorchScript(where=where, size=blob.size, seen=0, archive=archive, root=root)


TORCHSCRIPT = Format(
    name="torchscript",
    title="TorchScript archive",
    loading=Loading.CODE,
    sniff=_sniff,
    first=b"P",
    parse=_parse,
    document=TorchScript,
    limits="The program as a graph; members are read as those of the zip.",
)
