"""What calls in training code fetch, load and report, and the hosts that take in stolen data."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

import msgspec

from weighbridge.core.report import Intel

FILE: Final = Path(__file__).with_suffix(".json")


class Lists(msgspec.Struct, frozen=True):
    """The reviewed lists.

    `downloads` fetch; where they write a file, the argument that names it (`position:keyword`).
    `hub_downloads` are names that fetch from a hub whoever exports them. `loaders` rebuild objects,
    with what decides whether they are safe. `telemetry` reports to a host. `collectors` are hosts
    that show what they are sent to whoever set them up, `tunnels` those that lead to somebody's
    machine, `webhooks` addresses that hand on to a chat.
    """

    reviewed: str
    downloads: dict[str, str]
    hub_downloads: frozenset[str]
    loaders: dict[str, str]
    telemetry: dict[str, str]
    collectors: frozenset[str]
    tunnels: frozenset[str]
    webhooks: dict[str, str]


@cache
def lists() -> Lists:
    """The lists, read once."""
    return msgspec.json.decode(FILE.read_bytes(), type=Lists)


def load() -> Intel:
    """Read the lists now (the jail that they are used in cannot open files); their date."""
    return Intel(name="calls in training code", date=lists().reviewed)


def stands_in(host: str, hosts: frozenset[str]) -> bool:
    """Whether a host or one of the domains above it is in the list."""
    parts = host.split(".")
    return any(".".join(parts[at:]) in hosts for at in range(len(parts) - 1))
