"""What pip and its like install, and whether that can be another thing tomorrow."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from weighbridge.analysis.shell_kinds import Act, Kind
from weighbridge.analysis.shell_runs import Run
from weighbridge.core.regex import regex
from weighbridge.formats.default_index import is_default_index
from weighbridge.intel.packages import VENDOR_INDEXES

_SHA: Final = regex(r"[0-9a-f]{40}|[0-9a-f]{64}", re.IGNORECASE)
_GIT: Final = regex(r"\b(?:git|hg)\+[a-z+]{1,20}://\S+")
_REQUIREMENT: Final = regex(r"[A-Za-z][\w.-]*(?:\[[\w,.-]*\])?\s*(?:[<>=!~]|$)")
_PINNED: Final = regex(r"===?\s*[\w.]*\d[\w.+!-]*$|\.whl$|@\s*(?:https|file)|[0-9a-f]{40}")
_PIP_VALUE: Final = frozenset((
    "-r", "--requirement", "-c", "--constraint", "-i", "--index-url", "--extra-index-url", "-f",
    "--find-links", "--trusted-host", "-t", "--target", "--python", "-p", "--prefix", "--root",
    "--timeout", "--retries", "--cache-dir", "--platform", "--python-version", "--implementation",
    "--abi", "--progress-bar", "--only-binary", "--no-binary", "--proxy", "--index",
    "--default-index", "--index-strategy", "--torch-backend", "--prerelease", "--override",
    "--build-constraint", "-b", "--log", "--src", "--upgrade-strategy", "--extra", "--group",
    "--config-settings", "-C", "--global-option", "--no-build-isolation-package", "--with",
    "--upgrade-package", "-P", "--refresh-package", "--reinstall-package", "--resolution",
    "--exclude-newer", "--link-mode", "--keyring-provider", "--directory", "--project",
))  # fmt: skip

_HARMLESS: Final = frozenset(("--require-hashes", "--dry-run"))
"""With which an unpinned name is no harm: what comes is compared, or nothing of it is installed."""


def installed(run: Run, program: str, arguments: tuple[str, ...]) -> Iterator[Act]:
    """`pip install`, `uv pip install`, `pipx install`, `uvx`."""
    if not arguments or arguments[0] not in (
        "install",
        "sync",
        "download",
        "wheel",
        "run",
        "inject",
    ):
        return
    loose: list[str] = []
    at = 1
    lists = False
    while at < len(arguments):
        text = arguments[at]
        name, has_value, value = text.partition("=") if text.startswith("--") else (text, "", "")
        if not has_value and name in _PIP_VALUE:
            at += 1
            value = arguments[at] if at < len(arguments) else ""
        if name in ("-i", "--index-url", "--extra-index-url", "-f", "--find-links", "--index",
                    "--default-index") and value.lower().startswith("http://"):  # fmt: skip
            yield run.act(Kind.INSTALL_PLAIN, detail=value)
        elif name == "--trusted-host":
            yield run.act(Kind.INSTALL_PLAIN, detail=f"the certificate of {value} is not checked")
        elif name in ("--extra-index-url", "--index"):
            known = "vendor" if _of_vendor(value) else ""
            yield run.act(Kind.INSTALL_INDEX, detail=value, target=known)
        elif name in ("-r", "--requirement"):
            lists = True
        elif not text.startswith("-"):
            if found := _GIT.search(text):
                if not _pinned(found[0]):
                    yield run.act(Kind.INSTALL_GIT, detail=found[0])
            elif text.lower().startswith("http://"):
                yield run.act(Kind.INSTALL_PLAIN, detail=text)
            elif _REQUIREMENT.match(text) and not (
                _PINNED.search(text[:300]) or text.endswith((".txt", ".toml"))
            ):
                loose.append(text)
        at += 1
    harmless = lists or program == "uvx" or _HARMLESS.intersection(arguments)
    if loose and not harmless:
        yield run.act(Kind.INSTALL_UNPINNED, detail=" ".join(loose[:8]))


def _pinned(address: str) -> bool:
    """Whether a git address names a commit in full."""
    revision = address.partition("#")[0].partition("://")[2].partition("/")[2].rpartition("@")
    return bool(revision[1]) and _SHA.fullmatch(revision[2]) is not None


def _of_vendor(address: str) -> bool:
    """Whether a second index is the default one again, or that of a well-known vendor."""
    try:
        said = urlsplit(address)
    except ValueError:
        return False
    of_vendor = said.scheme == "https" and said.hostname in VENDOR_INDEXES
    return of_vendor or is_default_index(address)
