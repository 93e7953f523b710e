"""Pickle: a file or payload, read by the symbolic interpreter of `pickle_machine`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from weighbridge.core.document import Document, Malformed
from weighbridge.core.finding import Gap, GapKind
from weighbridge.core.format import Format, Limits, Loading, Sample
from weighbridge.core.location import Location
from weighbridge.core.tree import Blob, Held, Piece
from weighbridge.formats.payload import Payload
from weighbridge.formats.pickle_machine import PAYLOADS_KEPT, WINDOW, Machine, Stream
from weighbridge.formats.pickle_values import Call, Extension, Global


class Pickle(Document, frozen=True, kw_only=True, eq=False):
    """What loading the file would do, in order.

    `imports` has each distinct name once, `calls` each call (at most `CALLS_KEPT` for a callee,
    the rest counted in `overflow`). `embedded` are payloads found inside strings and bytes.
    `storages` is the offset from which a legacy torch file holds raw tensor bytes, `trailing`
    how many bytes behind the last pickle are in no pickle.
    """

    streams: tuple[Stream, ...]
    imports: tuple[Global, ...]
    calls: tuple[Call, ...]
    extensions: tuple[Extension, ...]
    overflow: dict[str, int]
    embedded: tuple[Payload, ...]
    storages: int | None
    trailing: int
    blob: Blob

    def walk(self) -> Iterator[Blob | Gap]:
        """The payloads found inside strings, each like a file of its own, and what follows."""
        for payload in self.embedded:
            yield Held(f"{payload.how} at byte {payload.offset}", payload.data, payload.role)
        if self.trailing > 1:
            start = self.size - self.trailing
            name = f"bytes in no pickle, from byte {start}"
            yield Piece(name, self.blob, start, self.trailing, "leftover")


STREAMS_KEPT: Final = 10_000
RESYNC_BYTES: Final = 64 << 20
RESYNC_TRIES: Final = 5_000

TORCH_MAGIC: Final = 0x1950A86A20F9469CFC6C
TORCH_LEGACY_STREAMS: Final = 5
"""`torch.save` before 1.6: magic number, protocol, system, the object, the storage keys."""

_NAMES: Final = (".pkl", ".pickle", ".pk", ".pt", ".pth", ".bin", ".ckpt", ".joblib", ".dat")
"""A name is one more reason to look, never a reason not to."""

_OPENERS: Final = frozenset(b"(]}c)ISVLFNKMJGXUTCB\x80\x88\x89\x8a\x8c\x8f\x95\x8d\x8e\x96")


def _sniff(sample: Sample) -> bool:
    """Protocol 2 and later have a header; protocols 0 and 1 are tried.

    Text may begin like a protocol 0 pickle by accident, so without a header it counts only if it
    calls something, if STOP stands where the file ends, or if its name promises a pickle. A length
    of safetensors can look like a header; the zeros of its upper half are no opcodes.
    """
    head = sample.head
    if len(head) >= 2 and head[0] == 0x80 and head[1] <= 5:
        return len(head) > 2 and not _is_length(head)
    if not head or head[0] not in _OPENERS or head[0] == 0x80:
        return False
    size = sample.blob.size
    machine = Machine(Held("head", head), Limits(), lazy=True)
    stream = machine.stream(0)
    if any(c.how not in ("APPEND", "APPENDS", "SETITEM", "SETITEMS") for c in machine.calls):
        return all(_plausible(g) for g in machine.imports.values())
    name = sample.blob.path.lower()
    if name.endswith(_NAMES) and machine.imports:
        return all(_plausible(g) for g in machine.imports.values())
    if stream.broken is None:
        return size - stream.end <= 2 and stream.end > 2
    if not all(_plausible(g) for g in machine.imports.values()):
        return False  # a list of files (a wheel's RECORD) whose first letter is that of GLOBAL
    return size > len(head) and machine.seen > len(head) - 256


def _is_length(head: bytes) -> bool:
    """Whether what follows the header breaks off within 8 bytes, and has done nothing."""
    if not head[5:8] or any(head[5:8]):
        return False
    machine = Machine(Held("head", head[:16]), Limits(), lazy=True)
    stream = machine.stream(0)
    return stream.broken is not None and stream.end < 8 and not machine.imports


def _plausible(found: Global) -> bool:
    names = (found.module, found.name)
    return all(not isinstance(n, str) or all(p.isidentifier() for p in n.split(".")) for n in names)


def _parse(blob: Blob, where: Location, limits: Limits) -> Pickle:
    machine = Machine(blob, limits)
    stream = machine.stream(0)
    if stream.broken and not (stream.unread or machine.imports or machine.calls):
        raise Malformed(f"not a whole pickle: {stream.broken}", stream.end)
    legacy = stream.broken is None and machine.stack[-1:] == [TORCH_MAGIC]
    storages = None
    offset = stream.end
    while stream.broken is None and offset < blob.size and len(machine.streams) < STREAMS_KEPT:
        if legacy and len(machine.streams) == TORCH_LEGACY_STREAMS:
            storages = offset
            break
        if not _starts_pickle(blob, offset):
            break
        stream = machine.stream(offset)
        offset = stream.end
    trailing = blob.size - offset
    gaps = []
    broken = [s for s in machine.streams if s.broken]
    if storages is None and (trailing > 0 or broken):
        _resync(machine, blob, max(machine.seen, offset))
        if trailing > RESYNC_BYTES:
            gaps.append(
                Gap(
                    kind=GapKind.TOO_LARGE,
                    message=f"{trailing:,} bytes follow the pickle; the first {RESYNC_BYTES:,} "
                    "were searched for further pickles",
                    at=Location(where.path, where.inside, offset),
                )
            )
    gaps += [_unread(where, s) for s in broken]
    if machine.embedded_dropped:
        gaps.append(
            Gap(
                kind=GapKind.TOO_LARGE,
                message=f"{machine.embedded_dropped:,} more strings that may hold a payload were "
                "not opened",
                at=where,
            )
        )
    return Pickle(
        where=where,
        size=blob.size,
        seen=min(blob.size, _end(machine)),
        gaps=tuple(gaps),
        streams=tuple(machine.streams),
        imports=tuple(machine.imports.values()),
        calls=tuple(machine.calls),
        extensions=tuple(machine.extensions),
        overflow=machine.overflow,
        embedded=tuple(machine.embedded),
        storages=storages,
        trailing=0 if storages is not None or broken else max(0, blob.size - _end(machine)),
        blob=blob,
    )


def _unread(where: Location, stream: Stream) -> Gap:
    """What to say of a stream that was not followed to its end."""
    kind = GapKind.TOO_LARGE if stream.unread else GapKind.MALFORMED
    why = f"the pickle breaks here: {stream.broken}; what stands before it would have run"
    if stream.unread:
        why = f"the pickle was not read from here on: {stream.broken}"
    return Gap(kind=kind, message=why, at=Location(where.path, where.inside, stream.end))


def _end(machine: Machine) -> int:
    return max(stream.end for stream in machine.streams)


def _starts_pickle(blob: Blob, offset: int) -> bool:
    head = blob.read(offset, 8192)
    return _sniff(Sample(Held("next", head)))


def _resync(machine: Machine, blob: Blob, start: int) -> None:
    """Look for pickles that do not stand directly behind STOP; keep those that import something.

    A loader that seeks, or that reads several objects with data between them, would find them.
    """
    offset, tries = start, 0
    stop = min(blob.size, start + RESYNC_BYTES)
    while offset < stop:
        block = blob.read(offset, min(WINDOW, stop - offset + 2))
        if len(block) < 3:
            return
        resume = offset + len(block) - 2
        for found in re.finditer(rb"\x80[\x02-\x05](?=[\x95c\x8c(}\]X])", block):
            at = offset + found.start()
            if at < start:
                continue
            tries += 1
            if tries > RESYNC_TRIES:
                return
            trial = Machine(blob, machine.limits)
            stream = trial.stream(at)
            if trial.imports and (trial.calls or stream.broken is None):
                machine.streams.append(stream)
                machine.calls += trial.calls
                machine.extensions += trial.extensions
                machine.embedded += trial.embedded[: PAYLOADS_KEPT - len(machine.embedded)]
                for key, name in trial.imports.items():
                    machine.imports.setdefault(key, name)
                start = stream.end
        offset = max(resume, offset + 1)


PICKLE = Format(
    name="pickle",
    title="Python pickle",
    loading=Loading.CODE,
    sniff=_sniff,
    parse=_parse,
    document=Pickle,
    limits=(
        "Names that the pickle computes with functions outside the analysis's table stay "
        "unresolved and are reviewed; out-of-band buffers (protocol 5) are not followed."
    ),
)
