"""Which package index is the default one: pip is asked, so that no address stands here."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit


def _of_pip() -> str:
    try:
        from pip._internal.models.index import PyPI
    except ImportError:  # no pip beside us: then every index that is named is another one
        return ""
    return str(PyPI.simple_url)


DEFAULT_INDEX: Final = _of_pip()
"""Asked once, at the start: an examiner in its jail can import nothing more."""


def is_default_index(url: str) -> bool:
    """Whether an address is that of the index that pip asks by default, over https."""
    try:
        said, known = urlsplit(url), urlsplit(DEFAULT_INDEX)
    except ValueError:
        return False
    return bool(known.hostname) and (said.scheme, said.hostname) == ("https", known.hostname)
