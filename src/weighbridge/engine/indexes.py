"""Asks the indexes of packages what they know of what a target has installed.

Which projects that is, a jailed child says, as the files that name them are hostile; this process
asks, and hands the answers to the checks.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from weighbridge.analysis.listed import Wishes, wheel_of, wishes
from weighbridge.core.check import Audit
from weighbridge.core.listing import IndexAnswers, Key, Listing
from weighbridge.core.origin import Transfer
from weighbridge.core.tree import Blob
from weighbridge.engine.across import reading
from weighbridge.engine.supervisor import Lost, Supervisor
from weighbridge.sources.remote import RemoteFile, SourceError

if TYPE_CHECKING:
    from weighbridge.sources.package_index import Index

WHEELS = 1_000
"""How many wheels on an index installed packages are held against."""


def ask_indexes(
    audit: Audit, supervisor: Supervisor, addresses: Sequence[str], folder: Path | None
) -> tuple[Audit, list[RemoteFile], Transfer]:
    """The audit with what the indexes say, the remote wheels that it names, in the order of
    `IndexAnswers.wheels`, and what was fetched. The supervisor's blobs are those of the audit.

    `addresses` are the indexes that may be asked; `folder` is where answers are kept. Raises
    `SourceError` where one of them is no address.
    """
    from weighbridge.sources.package_index import Index

    opened = [Index(address, folder) for address in addresses]
    indexes = {index.shown: index for index in opened}
    asked = tuple(indexes)
    wished = _wished(audit, supervisor, asked)
    listings: dict[Key, Listing] = {}
    failed: dict[Key, str] = {}
    names: dict[str, list[str]] = defaultdict(list)
    for place, name in wished.projects:
        names[place].append(name)
    for place, those in names.items():
        found, missed = indexes[place].ask(those)
        listings |= {(place, name): listing for name, listing in found.items()}
        failed |= {(place, name): why for name, why in missed.items()}
    wheels, unheld = _remote(wished, listings, opened[0])
    answers = IndexAnswers(
        indexes=asked,
        day=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        listings=listings,
        failed=failed,
        wheels=dict(wheels),
        unheld=unheld,
    )
    transfers = [index.transfer for index in opened]
    return (
        replace(audit, index=answers),
        list(wheels.values()),
        Transfer(
            bytes=sum(t.bytes for t in transfers), requests=sum(t.requests for t in transfers)
        ),
    )


def _wished(audit: Audit, supervisor: Supervisor, asked: tuple[str, ...]) -> Wishes:
    """What a jailed child finds to be asked for."""
    with supervisor:
        for _, answer in supervisor.ask([partial(_wishes, audit, asked)]):
            if isinstance(answer, Lost):
                raise SourceError(f"what is to be asked for could not be read: {answer.why}")
            try:
                return msgspec.msgpack.decode(answer, type=Wishes)
            except msgspec.DecodeError:
                raise SourceError("what is to be asked for could not be read") from None
    raise AssertionError  # one question has one answer


def _wishes(audit: Audit, asked: tuple[str, ...], blobs: Sequence[Blob]) -> bytes:
    return msgspec.msgpack.encode(wishes(reading(audit, blobs), asked))


def _remote(
    wished: Wishes, listings: dict[Key, Listing], index: Index
) -> tuple[dict[str, RemoteFile], dict[str, str]]:
    """The wheels that installed packages seem to come from, by the paths of their records, and why
    there is none for the others."""
    found: dict[str, RemoteFile] = {}
    unheld: dict[str, str] = {}
    for one in wished.installed:
        listing = listings.get((index.shown, one.name))
        wheel = None if listing is None else wheel_of(one, listing)
        remote = None if wheel is None else index.remote(wheel)
        if one.why or remote is None:
            unheld[one.record] = one.why or "no one wheel of that version and kind is listed"
        elif len(found) == WHEELS:
            unheld[one.record] = f"more than {WHEELS:,} packages"
        else:
            found[one.record] = remote
    return found, unheld
