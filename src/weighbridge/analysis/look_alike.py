"""Names of packages that can be taken for well-known ones.

What is one edit away is found in constant time, among the well-known names that share a half. Two
slips to neighbouring keys, digits for letters, words in another order and words put on (`-gpu`,
`py`) are looked for apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Final

from msgspec import Struct, field

LEAST: Final = 5
"""Shorter names have too many honest neighbours."""
SLIPS: Final = 8
"""So long a name must be for two slips of the hand to be taken for a sign."""
_KEYS: Final = ("1234567890-", "qwertyuiop", "asdfghjkl", "zxcvbnm")
"""The rows of the keyboard that most of the world writes code on, each half a key to the right."""
_GLYPHS: Final = str.maketrans("013457", "oleast")
_PAIRS: Final = (("rn", "m"), ("vv", "w"), ("cl", "d"))
_AFFIXES: Final = ("gpu", "cuda", "py", "python", "python3", "py3", "lib", "ai", "official")


class LookAlike(Struct, frozen=True):
    """Which name another one can be taken for, and how the two differ."""

    target: str
    how: str


class Names(Struct, dict=True):
    """Well-known names, the most used first; names are given as PEP 503 normalises them.

    `affixed` is how many of them are guarded against words that are put on.
    """

    known: tuple[str, ...]
    affixed: int = 300
    _halves: dict[tuple[int, bool, str], list[str]] = field(default_factory=dict)
    _plain: dict[str, str] = field(default_factory=dict)
    _tokens: dict[tuple[str, ...], str] = field(default_factory=dict)
    _glyphs: dict[str, str] = field(default_factory=dict)
    _rank: dict[str, int] = field(default_factory=dict)
    _thirds: dict[tuple[int, int, str], list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for rank, name in enumerate(self.known):
            self._rank[name] = rank
            if len(name) < LEAST:
                continue
            for half in _halves(name):
                self._halves.setdefault(half, []).append(name)
            self._plain.setdefault(name.replace("-", ""), name)
            self._tokens.setdefault(tuple(sorted(name.split("-"))), name)
            self._glyphs.setdefault(_seen(name), name)
            for third in _thirds(name):
                self._thirds.setdefault(third, []).append(name)

    def like(self, name: str) -> LookAlike | None:
        """What a name can be taken for, or None; a well-known name is itself."""
        if name in self._rank or len(name) < LEAST:
            return None
        for how, target in self._candidates(name):
            if target is not None and target != name:
                return LookAlike(target, how)
        return None

    def _candidates(self, name: str) -> Iterator[tuple[str, str | None]]:
        yield "the same letters with other separators", self._plain.get(name.replace("-", ""))
        if "-" in name:
            yield (
                "the same words in another order",
                self._tokens.get(tuple(sorted(name.split("-")))),
            )
        if name.translate(_GLYPHS) != name or any(a in name for a, _ in _PAIRS):
            yield "characters that look alike", self._glyphs.get(_seen(name))
        yield from self._edits(name)
        yield from self._slips(name)
        for stem in _without_affix(name):
            rank = self._rank.get(stem)
            if rank is not None and rank < self.affixed and len(stem) >= LEAST:
                yield "a word put on", stem

    def _edits(self, name: str) -> Iterator[tuple[str, str | None]]:
        found: set[str] = set()
        for half in _halves_left(name):
            found.update(self._halves.get(half, ()))
        for target in sorted(found, key=self._rank.__getitem__):
            how = one_edit(name, target)
            if how:
                yield how, target

    def _slips(self, name: str) -> Iterator[tuple[str, str | None]]:
        """Two slips leave one third of a name as it was."""
        if len(name) < SLIPS:
            return
        found = {known for key in _thirds(name) for known in self._thirds.get(key, ())}
        for target in sorted(found, key=self._rank.__getitem__):
            apart = [(a, b) for a, b in zip(name, target, strict=True) if a != b]
            if len(apart) == 2 and all(beside(a, b) for a, b in apart):
                yield "two keys beside the right ones", target


def _neighbours() -> frozenset[str]:
    """Pairs of keys that lie beside each other, either way round."""
    pairs = set()
    for row, below in zip(_KEYS, (*_KEYS[1:], ""), strict=True):
        pairs |= {a + b for a, b in pairwise(row)}
        pairs |= {a + b for i, b in enumerate(below) for a in row[i : i + 2]}
    return frozenset(pairs | {pair[::-1] for pair in pairs})


_BESIDE: Final = _neighbours()


def beside(one: str, other: str) -> bool:
    """Whether two characters are neighbours on the keyboard."""
    return one + other in _BESIDE


def _halves(name: str) -> tuple[tuple[int, bool, str], ...]:
    """The two parts of a name, each with the length of the whole."""
    size = len(name)
    return (size, False, name[: size // 2]), (size, True, name[size // 2 :])


def _halves_left(name: str) -> Iterator[tuple[int, bool, str]]:
    """The halves of the names that one edit makes `name` from. An edit leaves one half as it was,
    but for two characters swapped across the middle: these are swapped back."""
    middle = len(name) // 2
    swapped = name[: middle - 1] + name[middle] + name[middle - 1] + name[middle + 1 :]
    yield from _halves(name)
    yield len(name), False, swapped[:middle]
    for size in (len(name) - 1, len(name) + 1):
        yield size, False, name[: size // 2]
        yield size, True, name[len(name) - (size - size // 2) :]


def _thirds(name: str) -> Iterator[tuple[int, int, str]]:
    """The three parts of a name, each with its place and the length of the whole."""
    size = len(name)
    for third in range(3):
        yield size, third, name[size * third // 3 : size * (third + 1) // 3]


def one_edit(name: str, target: str) -> str:
    """How one edit makes `name` from `target`, or the empty string where none does."""
    if len(name) == len(target):
        apart = [i for i, (a, b) in enumerate(zip(name, target, strict=True)) if a != b]
        if len(apart) == 2 and apart[1] == apart[0] + 1:
            i = apart[0]
            if name[i] == target[i + 1] and name[i + 1] == target[i]:
                return "two characters swapped"
        if len(apart) == 1:
            a, b = name[apart[0]], target[apart[0]]
            if a.isdigit() and b.isdigit():
                return ""
            return "a key beside the right one" if beside(a, b) else "one character exchanged"
        return ""
    longer, shorter = sorted((name, target), key=len, reverse=True)
    if len(longer) - len(shorter) != 1 or shorter not in _deletions(longer):
        return ""
    return "one character more" if longer == name else "one character less"


def _deletions(name: str) -> set[str]:
    return {name[:i] + name[i + 1 :] for i in range(len(name))}


def _seen(name: str) -> str:
    for pair, single in _PAIRS:
        name = name.replace(pair, single)
    return name.replace("-", "").translate(_GLYPHS).replace("l", "i")


def _without_affix(name: str) -> Iterable[str]:
    for affix in _AFFIXES:
        if name.endswith(f"-{affix}"):
            yield name[: -len(affix) - 1]
        elif name.startswith(f"{affix}-"):
            yield name[len(affix) + 1 :]
        elif len(affix) == 2 and name.endswith(affix):
            yield name[: -len(affix)]
