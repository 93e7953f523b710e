"""Which licence a text is, by phrases that stand in it and in no other.

Identifiers: SPDX where there is one, else those of the Hub's model cards.
"""

from __future__ import annotations

import re
from typing import Final

from weighbridge.core.regex import regex

_PHRASES: Final[tuple[tuple[str, tuple[str, ...]], ...]] = (
    ("agpl-3.0", ("gnu affero general public license version 3",)),
    ("lgpl-3.0", ("gnu lesser general public license version 3",)),
    ("gpl-3.0", ("gnu general public license version 3",)),
    ("gpl-2.0", ("gnu general public license version 2",)),
    ("mpl-2.0", ("mozilla public license version 2.0",)),
    ("apache-2.0", ("apache license version 2.0", "terms and conditions for use, reproduction")),
    ("llama3.3", ("llama 3.3 community license agreement",)),
    ("llama3.2", ("llama 3.2 community license agreement",)),
    ("llama3.1", ("llama 3.1 community license agreement",)),
    ("llama4", ("llama 4 community license agreement",)),
    ("llama3", ("meta llama 3 community license agreement",)),
    ("llama2", ("llama 2 community license agreement",)),
    ("gemma", ("gemma terms of use",)),
    ("bigscience-bloom-rail-1.0", ("bigscience rail license v1.0",)),
    ("creativeml-openrail-m", ("creativeml open rail-m",)),
    ("openrail++", ("creativeml open rail++-m",)),
    ("cc-by-nc-sa-4.0", ("attribution-noncommercial-sharealike 4.0 international",)),
    ("cc-by-nc-nd-4.0", ("attribution-noncommercial-noderivatives 4.0 international",)),
    ("cc-by-nc-4.0", ("attribution-noncommercial 4.0 international",)),
    ("cc-by-sa-4.0", ("attribution-sharealike 4.0 international",)),
    ("cc-by-nd-4.0", ("attribution-noderivatives 4.0 international",)),
    ("cc-by-4.0", ("attribution 4.0 international",)),
    ("cc0-1.0", ("cc0 1.0 universal",)),
    ("bsd-3-clause", ("redistribution and use in source and binary forms", "neither the name")),
    ("bsd-2-clause", ("redistribution and use in source and binary forms",)),
    ("isc", ("permission to use, copy, modify, and/or distribute this software for any purpose",)),
    ("mit", ("permission is hereby granted, free of charge, to any person obtaining a copy",)),
)
"""In the order in which they are tried: one that contains another's phrases goes before it."""
NON_COMMERCIAL: Final = regex(r"-nc\b|-nc-|non-?commercial", re.IGNORECASE)
_FAMILY: Final = {"gpl": "gpl", "agpl": "agpl", "lgpl": "lgpl", "bsd": "bsd", "cc-by": "cc-by-4.0"}


def licence_of(text: str) -> str | None:
    """The licence that a text is, or None where it is none of those that are known, or where the
    text only speaks of one (the phrases of a licence stand near its beginning)."""
    read = re.sub(r"[\s*_#>,]+", " ", text[:20_000].casefold())
    for name, phrases in _PHRASES:
        wanted = [re.sub(r"[\s*_#>,]+", " ", phrase) for phrase in phrases]
        if 0 <= read.find(wanted[0]) < 2_500 and all(p in read for p in wanted):
            return name
    return None


def contradict(tag: str, found: str) -> bool:
    """Whether a card's tag names another licence than its text is; tags that say nothing (`other`)
    and names of a family contradict nothing."""
    said = tag.casefold().strip()
    if said in ("other", "unknown", "") or said == found:
        return False
    said = said.removesuffix("-only").removesuffix("-or-later")
    family = said in _FAMILY and found.startswith(said)
    return not family and said != found and not said.startswith(f"{found}-")
