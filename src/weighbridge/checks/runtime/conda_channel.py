"""Check `conda-channel`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

import msgspec

from weighbridge.analysis.dependencies import dependencies
from weighbridge.core.check import Audit, check
from weighbridge.core.fact import Installs, PackageIndex
from weighbridge.core.finding import Action, Finding
from weighbridge.core.regex import regex

_OFFICIAL: Final = frozenset({"defaults", "main", "anaconda", "conda-forge", "nodefaults", "r",
                              "msys2", "free", "pkgs/main", "pkgs/r", "pkgs/free", "pkgs/msys2",
                              "bioconda", "local"})  # fmt: skip
_VENDORS: Final = frozenset({"pytorch", "pytorch-nightly", "pytorch-lts", "pytorch-test", "nvidia",
                             "rapidsai", "rapidsai-nightly", "intel", "pyg", "fastai", "dglteam",
                             "huggingface", "xformers", "open3d-admin", "fvcore", "iopath",
                             "esri", "numba", "plotly",
                             "https://software.repos.intel.com/python/conda"})  # fmt: skip
_HOSTS: Final = ("conda.anaconda.org", "repo.anaconda.com", "anaconda.org", "repo.prefix.dev",
                 "prefix.dev", "conda.cloud")  # fmt: skip
_TOKEN: Final = regex(r"/t/([A-Za-z]{2}-[0-9a-f-]{20,}|[0-9A-Za-z_-]{16,})(?=/|$)")


@check("conda-channel", control="dependencies", reads=Audit)
def conda_channel(audit: Audit) -> Iterator[Finding]:
    """Packages of conda come from a channel that is not known, or whose address tells a secret.

    ## Why it matters
    Anybody can open a channel. Its packages run code while they are being installed, and with
    several channels a package that the first one lacks is taken from the next.

    ## What to do
    Take packages from one channel that you know (conda-forge), over a proxy of your own, with
    strict priority and a lock. Revoke a token that stands in a file.

    ## Limits
    Whether a channel exists and who runs it is not asked; vendors are a list. Plain HTTP and
    flexible priority are told by `index-confusion`.

    ## References
    - https://docs.conda.io/projects/conda/en/stable/user-guide/concepts/channels.html
    - https://docs.conda.io/projects/conda/en/stable/user-guide/tasks/manage-channels.html
    - https://cwe.mitre.org/data/definitions/427.html
    """
    for fact in dependencies(audit).files:
        channels = [index for index in fact.indexes if index.kind == "channel"]
        sources = {r.source for r in fact.requirements if r.ecosystem == "conda" and r.source}
        known = {index.said for index in channels}
        channels += [PackageIndex(kind="channel", said=s) for s in sorted(sources - known)]
        for channel in channels:
            if token := _secret(channel.said):
                yield _finding(
                    fact, channel, f"the address of a channel tells a secret ({token[:4]}…)",
                    Action.REVIEW,
                )  # fmt: skip
            what, action = _class(channel.said)
            if what:
                yield _finding(fact, channel, f"{_shown(channel.said)}: {what}", action)
        names = [_name(c.said) for c in channels]
        if {"conda-forge"} < set(names) and _DEFAULTS.intersection(names):
            yield Finding(
                message="conda-forge and Anaconda's own channel are mixed: of a package that both "
                "build, the priority decides, and their builds do not fit together",
                at=fact.at,
                action=Action.NOTE,
                symbol="mixed channels",
            )


_DEFAULTS: Final = frozenset({"defaults", "main", "anaconda", "pkgs/main"})


def _name(said: str) -> str:
    """A channel by its name: an address on the well-known hosts is the name behind it."""
    if "://" not in said:
        return said.partition("/label/")[0].lower()
    try:
        parts = urlsplit(_TOKEN.sub("", said))
    except ValueError:
        return said
    path = re.sub(r"/(?:noarch|linux-64|linux-aarch64|osx-64|osx-arm64|win-64)/?$", "", parts.path)
    name = path.strip("/").partition("/label/")[0].lower()
    return name if (parts.hostname or "") in _HOSTS else said


def _class(said: str) -> tuple[str, Action]:
    name = _name(said)
    if name in _OFFICIAL or "$" in said or said.startswith(("/", "./", "file:")):
        return "", Action.NOTE
    if name in _VENDORS or said.rstrip("/") in _VENDORS:
        return "the channel of a vendor", Action.NOTE
    if "://" in name:
        return "a channel on a host that is not known", Action.REVIEW
    return "a channel that is not known, which anybody can open", Action.REVIEW


def _secret(said: str) -> str:
    found = _TOKEN.search(said)
    if found is not None:
        return found[1]
    login = re.match(r"\w+://[^/@:]*:([^/@]+)@", said)
    return login[1] if login is not None and "$" not in login[1] else ""


def _shown(said: str) -> str:
    plain = _TOKEN.sub("/t/…", said)
    return re.sub(r"(?<=://)[^/@]*@", "", plain)[:160]


def _finding(fact: Installs, channel: PackageIndex, message: str, action: Action) -> Finding:
    return Finding(
        message=message,
        at=msgspec.structs.replace(fact.at, line=channel.line or None),
        action=action,
        symbol=f"channel {_shown(channel.said)}",
    )
