"""Which well-known name another one would be taken for, and which card was copied from which.

Confusable letters: a small part of Unicode's UTS #39 skeletons, those that names are made of.
Distance: Damerau and Levenshtein's with adjacent transpositions (optimal string alignment).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from functools import cache
from typing import Final, NamedTuple

from weighbridge.core.regex import regex

_CONFUSED: Final = str.maketrans(
    {"0": "o", "1": "l", "i": "l", "|": "l", "5": "s", "а": "a", "е": "e", "о": "o", "р": "p",
     "с": "c", "х": "x", "у": "y", "к": "k", "м": "m", "т": "t", "н": "h", "в": "b", "і": "l",
     "ѕ": "s", "ј": "j", "ԁ": "d", "ɡ": "g", "α": "a", "ο": "o", "ν": "v", "ι": "l", "ρ": "p"}
)  # fmt: skip
_SEPARATORS: Final = regex(r"[\s._-]+")
_AFFIXES: Final = frozenset(
    {"official", "real", "original", "verified", "team", "models", "model", "org", "hub", "release",
     "releases", "inc", "corp", "group"}
)  # fmt: skip
SHORTEST: Final = 4
"""Shorter names are too near to everything."""
ONE_EDIT: Final = 6
TWO_EDITS: Final = 10
"""From which length on a known name is taken for another at one and at two edits."""
SHINGLE: Final = 5
FEWEST: Final = 60
"""Cards with fewer shingles are what a template leaves."""
_WORD: Final = regex(r"\w+")


class Imitation(NamedTuple):
    """A known name that another one would be taken for, and how; `plain` where the likeness alone
    tells, not where the name is only carried along."""

    known: str
    how: str
    plain: bool


def skeleton(name: str) -> str:
    """What a name looks like: letters that are read for one another are one, separators gone."""
    folded = unicodedata.normalize("NFKC", name).casefold()
    joined = _SEPARATORS.sub("", folded).translate(_CONFUSED)
    return joined.replace("rn", "m").replace("vv", "w").replace("cl", "d")


@cache
def _read_as(names: frozenset[str]) -> dict[str, str]:
    return {skeleton(n): n for n in sorted(names)}


def imitated(name: str, known: Iterable[str]) -> Imitation | None:
    """The known name that `name` would be taken for, or None; a known name imitates nobody."""
    names = frozenset(known)
    folded = name.casefold()
    if folded in {n.casefold() for n in names}:
        return None
    same = _read_as(names).get(skeleton(name))
    if same is not None and len(skeleton(name)) >= SHORTEST:
        return Imitation(same, "reads the same as", True)
    tokens = _tokens(name)
    for other in sorted(names):
        theirs = _tokens(other)
        if len(tokens) > 1 and len(other) >= ONE_EDIT and sorted(tokens) == sorted(theirs):
            return Imitation(other, "has the same words in another order as", True)
    plain = "".join(tokens)
    best: Imitation | None = None
    for other in sorted(names):
        target = "".join(_tokens(other))
        allowed = 2 if len(target) >= TWO_EDITS else 1 if len(target) >= ONE_EDIT else 0
        edits = distance(plain, target, allowed) if allowed else None
        if edits is not None and (best is None or edits == 1):
            longer = plain.startswith(target) or target.startswith(plain)
            how = f"is {edits} letter{'s' if edits > 1 else ''} away from"
            best = Imitation(other, how, plain=edits == 1 or not longer)
    if best is not None:
        return best
    for other in sorted(names):
        theirs = _tokens(other)
        rest = _without(tokens, theirs)
        if rest and len(other) >= SHORTEST and rest <= _AFFIXES:
            return Imitation(other, "carries the name of", False)
    return None


def _tokens(name: str) -> list[str]:
    return [t for t in _SEPARATORS.split(unicodedata.normalize("NFKC", name).casefold()) if t]


def _without(tokens: list[str], theirs: list[str]) -> set[str]:
    """What is left of the words of a name besides those of another; nothing where they are not all
    in it."""
    return set(tokens) - set(theirs) if set(theirs) <= set(tokens) else set()


def distance(one: str, other: str, most: int) -> int | None:
    """How many insertions, deletions, substitutions and transpositions of neighbours lead from one
    to the other, or None where that is more than `most`."""
    if abs(len(one) - len(other)) > most:
        return None
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        last, before, row = before, row, [i]
        for j, b in enumerate(other, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (a != b))
            if i > 1 and j > 1 and a == other[j - 2] and one[i - 2] == b:
                cost = min(cost, last[j - 2] + 1)
            row.append(cost)
        if min(row) > most:
            return None
    return row[-1] if row[-1] <= most else None


def copied(text: str, original: str) -> float | None:
    """How much of two cards is the same: shared runs of five words, of those of both (Jaccard),
    or None where one is too short to tell."""
    mine, theirs = _shingles(text), _shingles(original)
    if min(len(mine), len(theirs)) < FEWEST:
        return None
    return len(mine & theirs) / len(mine | theirs)


def _shingles(text: str) -> set[tuple[str, ...]]:
    words = _WORD.findall(text.casefold())
    return {tuple(words[i : i + SHINGLE]) for i in range(len(words) - SHINGLE + 1)}
