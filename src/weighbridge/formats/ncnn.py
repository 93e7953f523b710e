"""ncnn's graphs in text: a line for each layer, its weights in the file beside it.

Layout: https://github.com/Tencent/ncnn/wiki/param-and-model-file-structure.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from weighbridge.core.document import Malformed
from weighbridge.core.finding import Gap, GapKind
from weighbridge.core.format import Format, Limits, Loading
from weighbridge.core.location import Location
from weighbridge.core.tree import Blob, Reference
from weighbridge.formats.text import Written, read_text, text_kind

SIZE_LIMIT: Final = 16 << 20
LAYERS_LIMIT: Final = 1_000_000


class Ncnn(Written, frozen=True, kw_only=True, eq=False):
    """The layers: type and name."""

    layers: tuple[tuple[str, str], ...]

    def refers(self) -> Iterator[Reference]:
        """The weights, in a file of the same name."""
        name = (self.where.inside[-1:] or (self.where.path,))[0].rpartition("/")[2]
        if name.endswith(".param"):
            yield Reference(at=self.where, path=f"{name[:-6]}.bin", what="weights")


def _parse(blob: Blob, where: Location, limits: Limits) -> Ncnn:
    text = read_text(blob, where, limits)
    gaps = text.gaps
    if blob.size > SIZE_LIMIT:
        why = f"only the layers in the first {SIZE_LIMIT:,} bytes were read"
        gaps = (*gaps, Gap(kind=GapKind.TOO_LARGE, message=why, at=where))
    lines = blob.read(0, SIZE_LIMIT).decode("utf-8", "replace").splitlines()
    counts = lines[1].split() if len(lines) > 1 else []
    if len(counts) != 2 or not all(n.isdecimal() and len(n) < 8 for n in counts):
        raise Malformed("the numbers of layers and blobs are missing", 0)
    rows = [words for line in lines[2:] if (words := line.split())]
    if any(len(words) < 4 for words in rows) or len(rows) > LAYERS_LIMIT:
        raise Malformed("a line that is no layer")
    if len(rows) != int(counts[0]):
        why = f"{len(rows):,} layers stand here, {int(counts[0]):,} are announced"
        gaps = (*gaps, Gap(kind=GapKind.MALFORMED, message=why, at=where))
    return Ncnn(
        where=where, size=blob.size, seen=text.seen, gaps=gaps, blob=blob,
        layers=tuple((words[0], words[1]) for words in rows),
    )  # fmt: skip


NCNN = Format(
    name="ncnn",
    title="ncnn graph",
    loading=Loading.DATA,
    sniff=lambda sample: text_kind(sample) == "ncnn",
    first=b"7",
    parse=_parse,
    document=Ncnn,
    limits="Types and names of layers, up to 16 MiB; the binary form is not recognised.",
)
