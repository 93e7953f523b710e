"""How grave an advisory is: by the word of who published it, else reckoned from its CVSS vector.

Base score: https://www.first.org/cvss/v3.1/specification-document, section 7. Version 4 scores by
a table of its own and is not reckoned.
"""

from __future__ import annotations

import math
from typing import Any, Final

from weighbridge.intel.advisories.osv import Advisory

LEVELS: Final = ("", "low", "moderate", "high", "critical")
"""From the least to the most; the first is *not said*."""
_WORDS: Final = {"medium": "moderate", "important": "high"}
_WEIGHTS: Final[dict[str, dict[str, float]]] = {
    "AV": {"N": 0.85, "A": 0.62, "L": 0.55, "P": 0.2},
    "AC": {"L": 0.77, "H": 0.44},
    "UI": {"N": 0.85, "R": 0.62},
    "C": {"H": 0.56, "L": 0.22, "N": 0.0},
    "I": {"H": 0.56, "L": 0.22, "N": 0.0},
    "A": {"H": 0.56, "L": 0.22, "N": 0.0},
}
_PRIVILEGES: Final = {
    "U": {"N": 0.85, "L": 0.62, "H": 0.27},
    "C": {"N": 0.85, "L": 0.68, "H": 0.5},
}


def level(advisory: Advisory) -> str:
    """One of `LEVELS`."""
    said = [advisory.database_specific]
    for affected in advisory.affected or ():
        said += [affected.database_specific, affected.ecosystem_specific]
    words = [w for s in said if (w := _word(s))]
    if words:
        return max(words, key=LEVELS.index)
    scores = [s for given in advisory.severity or () if (s := base_score(given.score)) is not None]
    return _of_score(max(scores)) if scores else ""


def _word(said: Any) -> str:
    word = said.get("severity") if isinstance(said, dict) else None
    if not isinstance(word, str):
        return ""
    word = _WORDS.get(word.lower(), word.lower())
    return word if word in LEVELS else ""


def _of_score(score: float) -> str:
    return next(
        (name for least, name in ((9, "critical"), (7, "high"), (4, "moderate")) if score >= least),
        "low",
    )


def base_score(vector: str) -> float | None:
    """The base score of a vector of CVSS 3, 0 to 10, or None where it is none."""
    version, *parts = vector.split("/")
    if version not in ("CVSS:3.0", "CVSS:3.1"):
        return None
    metrics = dict(part.split(":", 1) for part in parts if ":" in part)
    try:
        scope = metrics["S"]
        weights = {name: table[metrics[name]] for name, table in _WEIGHTS.items()}
        privileges = _PRIVILEGES[scope][metrics["PR"]]
    except KeyError:
        return None
    loss = 1 - (1 - weights["C"]) * (1 - weights["I"]) * (1 - weights["A"])
    changed = 7.52 * (loss - 0.029) - 3.25 * (loss - 0.02) ** 15
    impact = 6.42 * loss if scope == "U" else changed
    if impact <= 0:
        return 0.0
    ease = 8.22 * weights["AV"] * weights["AC"] * privileges * weights["UI"]
    return _rounded_up(min((1.0 if scope == "U" else 1.08) * (impact + ease), 10))


def _rounded_up(score: float) -> float:
    """The smallest number with one decimal that is not below (appendix A of version 3.1)."""
    whole = round(score * 100_000)
    return whole / 100_000 if whole % 10_000 == 0 else (math.floor(whole / 10_000) + 1) / 10
