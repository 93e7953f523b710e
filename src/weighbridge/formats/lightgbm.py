"""LightGBM's text models: settings in lines, then trees one by one.

Layout: `GBDT::SaveModelToString` and `Tree::ToString` of LightGBM (src/boosting, src/io), versions
2 to 4.
"""

from __future__ import annotations

import re
from typing import Final

from msgspec import Struct

from weighbridge.core.document import Malformed
from weighbridge.core.finding import Gap, GapKind
from weighbridge.core.format import Format, Limits, Loading
from weighbridge.core.location import Location
from weighbridge.core.regex import regex
from weighbridge.core.tree import Blob
from weighbridge.formats.text import Written, read_text, text_kind

SIZE_LIMIT: Final = 64 << 20
_NUMBERS: Final = regex(r"-?\d{1,10}(?: -?\d{1,10})*")


class TextTree(Struct, frozen=True):
    """A tree as LightGBM writes it: children are numbers of nodes, or of leaves as `~leaf`.
    `flaw` says what is wrong with its lines."""

    leaves: int
    features: tuple[int, ...]
    left: tuple[int, ...]
    right: tuple[int, ...]
    values: int
    linear: bool
    flaw: str = ""


class LightGbm(Written, frozen=True, kw_only=True, eq=False):
    """The model's settings and its trees."""

    settings: dict[str, str]
    trees: tuple[TextTree, ...]


def _fields(text: str) -> dict[str, str]:
    pairs = (line.partition("=") for line in text.splitlines())
    return {key: value for key, found, value in pairs if found}


def _tree(text: str) -> TextTree:
    fields = _fields(text)
    flaws: list[str] = []

    def numbers(key: str) -> tuple[int, ...]:
        said = fields.get(key, "").strip()
        if said and not _NUMBERS.fullmatch(said):
            flaws.append(f"{key} is no list of numbers")
            return ()
        return tuple(map(int, said.split()))

    (leaves,) = numbers("num_leaves")[:1] or (0,)
    return TextTree(
        leaves=leaves,
        features=numbers("split_feature"),
        left=numbers("left_child"),
        right=numbers("right_child"),
        values=len(fields.get("leaf_value", "").split()),
        linear=fields.get("is_linear", "0").strip() == "1",
        flaw=flaws[0] if flaws else "",
    )


def _parse(blob: Blob, where: Location, limits: Limits) -> LightGbm:
    text = read_text(blob, where, limits)
    data = blob.read(0, SIZE_LIMIT).decode("utf-8", "replace")
    gaps = text.gaps
    if blob.size > SIZE_LIMIT:
        why = f"only the trees in the first {SIZE_LIMIT:,} bytes were read"
        gaps = (*gaps, Gap(kind=GapKind.TOO_LARGE, message=why, at=where))
    head, *rest = re.split(r"^Tree=\d+\r?$", data, flags=re.MULTILINE)
    if blob.size > SIZE_LIMIT and rest:
        rest.pop()
    elif rest and not re.search(r"^end of trees\r?$", rest[-1], re.MULTILINE):
        raise Malformed("the trees do not end")
    return LightGbm(
        where=where,
        size=blob.size,
        seen=text.seen,
        gaps=gaps,
        blob=blob,
        settings=_fields(head),
        trees=tuple(map(_tree, rest)),
    )


LIGHTGBM = Format(
    name="lightgbm",
    title="LightGBM model",
    loading=Loading.DATA,
    sniff=lambda sample: text_kind(sample) == "lightgbm",
    first=b"t\xef",
    parse=_parse,
    document=LightGbm,
    limits="Trees in the first 64 MiB; thresholds and leaf values are not looked at.",
)
