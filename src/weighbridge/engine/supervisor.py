"""Examines files in killable children, one for each processor.

A child is forked, jailed (`engine/jail.py`), and gets the numbers of the files it is to examine.
It answers with msgpack over a pipe; nothing that it sends is ever unpickled, so a child that a
hostile file has taken over cannot act in the parent. A child that dies, hangs or talks rubbish
costs one file: that file becomes a gap, another child takes over, the audit goes on.
"""

from __future__ import annotations

import codecs
import gc
import hashlib
import os
import select
import selectors
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeGuard

import msgspec
from msgspec import Struct, field

from weighbridge.core.document import Malformed
from weighbridge.core.finding import Gap, GapKind
from weighbridge.core.format import Limits
from weighbridge.core.location import Location
from weighbridge.core.origin import Transfer
from weighbridge.core.report import Examined, FileRecord
from weighbridge.core.tree import Blob, Held, Vouched
from weighbridge.engine.fetcher import Fetched, Fetcher, Line, exactly, send
from weighbridge.engine.jail import confine
from weighbridge.sources.remote import RemoteFile

CODECS: Final = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "latin-1", "ascii",
                 "cp437", "raw-unicode-escape", "unicode-escape")  # fmt: skip
Examine = Callable[[Blob], Examined]
Progress = Callable[[int, int], None]
Question = Callable[[Sequence[Blob]], bytes]
"""Asked in a jailed child with every blob; what it answers is a message of its own."""

SMALL: Final = 1 << 20
"""Files below this are read once, whole, and hashed before they are parsed."""
CHUNK: Final = 1 << 20
GIT_LIMIT: Final = 12 << 20
"""Up to this size a file may be kept in git itself and not in its store of large files."""
BATCH: Final = 16
HASHED: Final = 128
"""How many files are in one batch of which only the digest is computed."""
INSTALLED: Final = "installed-file"
"""What a file is called that its package vouches for, and that was hashed only."""
CYCLES: Final = 50_000
"""How many new objects a child makes before it looks for cycles: trees of syntax hold none."""
ANSWER_LIMIT: Final = 64 << 20
"""The longest answer that a child may send, in bytes."""
WAITING: Final = 8
"""How many children wait for a network at once."""
REMOTE_SECONDS: Final = 300.0
ACROSS_SECONDS: Final = 300.0
"""Allowance for one question across files: it may read through all of them."""
SECONDS_PER_BYTE: Final = 1 / (20 << 20)
"""Allowance on top of the time-out: reading and hashing 20 MiB in a second."""


class Settings(Struct, frozen=True):
    """How to run an audit.

    `digest`: compute the sha256 of every file. `jobs`: how many children, by default one for each
    processor. `timeout`: seconds for one file, to which its size adds. `memory`: how much a child
    may take in bytes, beside what the program itself takes. `reuse`: a folder in which results
    are kept, so that files that have not changed need not be examined again. `trials`: run the
    models in which a switch was found, in a jail of their own.
    """

    digest: bool = True
    jobs: int | None = None
    timeout: float = 120.0
    memory: int = 256 << 20
    limits: Limits = field(default_factory=Limits)
    reuse: Path | None = None
    trials: bool = True


class Answer(Struct, array_like=True):
    """What a child sends: the first one names its protections, every other one is of a file, or of
    the files from this number of its task on that are as their packages say: their `digests`."""

    number: int
    examined: Examined | None = None
    protections: tuple[str, ...] = ()
    digests: tuple[str, ...] = ()


class Task(Struct, array_like=True):
    """What a child gets: the numbers of files, and whether to hash them only."""

    numbers: tuple[int, ...]
    hash_only: bool = False


_answers: Final = msgspec.msgpack.Decoder(Answer)
_tasks: Final = msgspec.msgpack.Decoder(Task)


class _Child(Struct):
    pid: int
    to: int
    back: int
    task: Task | None = None
    done: int = 0
    deadline: float = 0.0
    received: bytearray = field(default_factory=bytearray)


class Lost(NamedTuple):
    """Why a question across files has no answer."""

    kind: GapKind
    why: str


_encoder: Final = msgspec.msgpack.Encoder()


def encoded(answer: msgspec.Struct) -> bytes:
    """An answer as it crosses. Halves of characters, which JSON and YAML can spell and UTF-8 cannot
    say, are replaced: one of them must not cost all that was found in a file."""
    try:
        return _encoder.encode(answer)
    except UnicodeEncodeError:
        return _encoder.encode(_sayable(msgspec.to_builtins(answer, builtin_types=(bytes,))))


def _sayable(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {_sayable(k): _sayable(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_sayable(v) for v in value]
    return value


class Supervisor(Struct, dict=True):
    """Runs `examine` over blobs. `protections` are those that every child had in force, `transfer`
    is what was fetched from a network."""

    blobs: Sequence[Blob]
    readable: Sequence[Path]
    examine: Examine
    settings: Settings
    protections: tuple[str, ...] = ()
    transfer: Transfer = field(default_factory=lambda: Transfer(bytes=0, requests=0))
    _lost: dict[int, Examined] = field(default_factory=dict)
    _fetcher: Fetcher | None = field(default=None)
    _line: Line | None = field(default=None)

    def _warm(self) -> None:
        """Load what nearly every file needs, once for all children."""
        for codec in CODECS:
            codecs.lookup(codec)
        gc.freeze()  # what is there now need not be searched for garbage in every child

    def __enter__(self) -> Supervisor:
        self._warm()
        if any(isinstance(blob, RemoteFile) for blob in self.blobs):
            self._fetcher = Fetcher(self.blobs)
            self._fetcher.start()
        return self

    def __exit__(self, *raised: object) -> None:
        if self._fetcher is not None:
            self.transfer = self._fetcher.close()
            self._fetcher = None

    def run(
        self, progress: Progress | None = None, meanwhile: Callable[[], object] | None = None
    ) -> Iterator[tuple[int, Examined]]:
        """Yield each blob's number and what came of it, as it comes. `meanwhile` is called once
        the children are at work."""
        self._queue = self._plan()
        self._children: list[_Child] = []
        self._selector = selectors.DefaultSelector()
        for _ in range(min(self._jobs(), len(self._queue))):
            self._start()
        finished = 0
        try:
            if meanwhile is not None:
                meanwhile()
            while self._children:
                for number, examined in self._step():
                    finished += 1
                    if progress is not None:
                        progress(finished, len(self.blobs))
                    yield number, examined
        finally:
            for child in list(self._children):
                self._stop(child)
            self._selector.close()

    def ask(
        self, questions: Sequence[Question], prepare: Callable[[], None] | None = None
    ) -> Iterator[tuple[int, bytes | Lost]]:
        """Ask questions that go across files, in a jailed child, one after the other; yields the
        number of each and its answer. A question that ends its child costs its own answer. What
        they need to be loaded, `prepare` loads in the child before the jail closes."""
        number = 0
        while number < len(questions):
            for answer in self._asked(questions[number:], prepare):
                yield number, answer
                number += 1

    def _asked(
        self, questions: Sequence[Question], prepare: Callable[[], None] | None
    ) -> Iterator[bytes | Lost]:
        """The answers of one child, up to the first that is lost."""
        back, writes = os.pipe()
        line = self._fetcher.line() if self._fetcher is not None else None
        pid = os.fork()
        if pid == 0:
            try:
                os.close(back)
                if prepare is not None:
                    prepare()
                self._confine(line)
                blobs = [self._reached(n) for n in range(len(self.blobs))]
                for question in questions:
                    _send(writes, question(blobs))
            finally:
                os._exit(0)
        os.close(writes)
        if line is not None:
            line.close()  # the child's alone
        child = _Child(pid, -1, back)
        try:
            for _ in questions:
                answer = self._answer(child)
                yield answer
                if isinstance(answer, Lost):
                    return
        finally:
            os.close(back)
            self._end(child)

    def _answer(self, child: _Child) -> bytes | Lost:
        """The next answer of a child that was asked across files."""
        deadline = time.monotonic() + self.settings.timeout + ACROSS_SECONDS
        while True:
            received = child.received
            length = int.from_bytes(received[:4], "little") if len(received) >= 4 else -1
            if length > ANSWER_LIMIT:
                return Lost(GapKind.TOO_LARGE, "the findings exceed 64 MiB")
            if 0 <= length <= len(received) - 4:
                message = bytes(received[4 : 4 + length])
                del received[: 4 + length]
                return message
            ready, _, _ = select.select([child.back], [], [], max(0, deadline - time.monotonic()))
            if not ready:
                seconds = self.settings.timeout + ACROSS_SECONDS
                return Lost(GapKind.TIMEOUT, f"it took longer than {seconds:g} s and was stopped")
            data = os.read(child.back, 1 << 20)
            if not data:
                return Lost(*self._obituary(child))
            received += data

    def _jobs(self) -> int:
        """How many children: one for each processor, more where they mostly wait for a network."""
        waiting = WAITING if self._fetcher is not None else 1
        return self.settings.jobs or max(waiting, os.cpu_count() or 1)

    def _plan(self) -> deque[Task]:
        """Large files first, each by itself; small ones in batches."""
        sizes = [blob.size for blob in self.blobs]
        order = sorted(range(len(sizes)), key=sizes.__getitem__, reverse=True)
        large = [n for n in order if sizes[n] >= SMALL]
        small = order[len(large) :]
        plain = [n for n in small if _is_plain(self.blobs[n])]
        small = [n for n in small if not _is_plain(self.blobs[n])]
        remote = any(isinstance(self.blobs[n], RemoteFile) for n in small)
        tasks = [Task((n,)) for n in large]
        tasks += self._batches(small, 1 if remote else BATCH) + self._batches(plain, HASHED)
        return deque(tasks)

    def _batches(self, numbers: list[int], most: int) -> list[Task]:
        jobs = self.settings.jobs or os.cpu_count() or 1
        batch = max(1, min(most, len(numbers) // (2 * jobs)))
        return [Task(tuple(numbers[i : i + batch])) for i in range(0, len(numbers), batch)]

    # -- the parent's side --------------------------------------------------------------------

    def _start(self) -> None:
        child_reads, to = os.pipe()
        back, child_writes = os.pipe()
        line = self._fetcher.line() if self._fetcher is not None else None
        pid = os.fork()
        if pid == 0:
            try:
                for other in self._children:
                    os.close(other.to)
                    os.close(other.back)
                os.close(to)
                os.close(back)
                self._serve(child_reads, child_writes, line)
            finally:
                os._exit(1)
        os.close(child_reads)
        os.close(child_writes)
        if line is not None:
            line.close()  # the child's alone
        child = _Child(pid, to, back)
        self._children.append(child)
        self._selector.register(back, selectors.EVENT_READ, child)
        self._give(child)

    def _give(self, child: _Child) -> None:
        if not self._queue:
            self._stop(child)
            return
        child.task = self._queue.popleft()
        child.done = 0
        self._wind(child)
        with suppress(BrokenPipeError):  # it has died: its closed pipe will say so
            _send(child.to, msgspec.msgpack.encode(child.task))

    def _wind(self, child: _Child) -> None:
        assert child.task is not None
        if child.done < len(child.task.numbers):
            blob = self.blobs[child.task.numbers[child.done]]
            seconds = blob.size * SECONDS_PER_BYTE
            if isinstance(blob, RemoteFile):  # of which only parts are read, at a network's speed
                seconds = REMOTE_SECONDS
            child.deadline = time.monotonic() + self.settings.timeout + seconds

    def _step(self) -> Iterator[tuple[int, Examined]]:
        now = time.monotonic()
        wait = max(0.0, min(c.deadline for c in self._children) - now)
        ready = {key.data.pid for key, _ in self._selector.select(wait)}
        for child in list(self._children):
            if child.pid in ready:
                yield from self._hear(child)
            elif time.monotonic() >= child.deadline:
                why = f"it took longer than {self.settings.timeout:g} s and was stopped"
                yield from self._lose(child, GapKind.TIMEOUT, why)

    def _hear(self, child: _Child) -> Iterator[tuple[int, Examined]]:
        data = os.read(child.back, 1 << 20)
        if not data:
            yield from self._lose(child, *self._obituary(child))
            return
        child.received += data
        for message in _messages(child.received):
            if message is None:
                yield from self._lose(child, GapKind.TOO_LARGE, "the findings exceed 64 MiB")
                return
            try:
                answer = _answers.decode(message)
            except msgspec.DecodeError:
                yield from self._lose(child, GapKind.CRASHED, "its examiner sent rubbish")
                return
            if answer.digests:
                yield from self._as_vouched(child, answer)
                if child not in self._children:
                    return
                continue
            if answer.examined is None:
                self._protected(answer.protections)
                continue
            assert child.task is not None
            number = child.task.numbers[child.done]
            if answer.number != number or answer.examined.record.path != self.blobs[number].path:
                yield from self._lose(child, GapKind.CRASHED, "its examiner answered for another")
                return
            examined = answer.examined
            child.done += 1
            if child.task.hash_only:
                lost = self._lost.pop(number)
                record = msgspec.structs.replace(examined.record, formats=())
                examined = msgspec.structs.replace(lost, record=record)
            yield number, examined
            self._go_on(child)
            if child not in self._children:
                return

    def _as_vouched(self, child: _Child, answer: Answer) -> Iterator[tuple[int, Examined]]:
        """What is to be said of files that are as their packages say."""
        assert child.task is not None
        numbers = child.task.numbers[child.done : child.done + len(answer.digests)]
        blobs = [self.blobs[number] for number in numbers]
        if len(blobs) != len(answer.digests) or answer.number != numbers[0] or not all(
            _is_plain(b) and b.sha256 in ("", d) for b, d in zip(blobs, answer.digests, strict=True)
        ):  # fmt: skip
            yield from self._lose(child, GapKind.CRASHED, "its examiner answered for another")
            return
        child.done += len(numbers)
        for number, blob, digest in zip(numbers, blobs, answer.digests, strict=True):
            record = FileRecord(path=blob.path, size=blob.size, sha256=digest, formats=(INSTALLED,))
            yield number, Examined(record=record)
        self._go_on(child)

    def _go_on(self, child: _Child) -> None:
        assert child.task is not None
        if child.done == len(child.task.numbers):
            self._give(child)
        else:
            self._wind(child)

    def _protected(self, protections: tuple[str, ...]) -> None:
        if not self.protections:
            self.protections = protections
        self.protections = tuple(p for p in self.protections if p in protections)

    def _obituary(self, child: _Child) -> tuple[GapKind, str]:
        _, status = os.waitpid(child.pid, 0)
        child.pid = -child.pid
        if os.WIFSIGNALED(status):
            number = os.WTERMSIG(status)
            name = signal.Signals(number).name if number in set(signal.Signals) else str(number)
            if number == signal.SIGXCPU:
                return GapKind.TIMEOUT, "it used up its processor time"
            return GapKind.CRASHED, f"its examiner was ended by {name}"
        return GapKind.CRASHED, f"its examiner ended with code {os.WEXITSTATUS(status)}"

    def _lose(self, child: _Child, kind: GapKind, why: str) -> Iterator[tuple[int, Examined]]:
        """A child is lost with the file it had in hand; the rest of its task is given out anew."""
        task, done = child.task, child.done
        self._stop(child)
        if task is None:
            return
        number, rest = task.numbers[done], task.numbers[done + 1 :]
        if rest:
            self._queue.append(Task(rest, task.hash_only))
        blob = self.blobs[number]
        if task.hash_only:
            yield number, self._lost.pop(number)
        else:
            gap = Gap(kind=kind, message=why, at=Location(blob.path))
            record = FileRecord(path=blob.path, size=blob.size, sha256=None)
            lost = Examined(record=record, gaps=(gap,))
            if self.settings.digest and not isinstance(blob, RemoteFile):
                self._lost[number] = lost
                self._queue.append(Task((number,), hash_only=True))
            else:
                yield number, lost
        if self._queue:
            self._start()

    def _stop(self, child: _Child) -> None:
        self._children.remove(child)
        self._selector.unregister(child.back)
        os.close(child.to)
        os.close(child.back)
        self._end(child)

    def _end(self, child: _Child) -> None:
        if child.pid > 0:
            with suppress(ProcessLookupError):
                os.kill(child.pid, signal.SIGKILL)
            os.waitpid(child.pid, 0)

    # -- the child's side ---------------------------------------------------------------------

    def _confine(self, line: Line | None) -> tuple[str, ...]:
        """Become a jailed child, with its own way to the fetcher."""
        if self._fetcher is not None:
            self._fetcher.leave()
        self._line = line
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        gc.set_threshold(CYCLES)
        null = os.open(os.devnull, os.O_RDWR)
        for standard in (0, 1, 2):
            os.dup2(null, standard)
        seconds = int(self.settings.timeout * 100) + 600
        return confine(self.readable, self.settings.memory, seconds)

    def _reached(self, number: int) -> Blob:
        """A blob as a child reads it: a remote file through the fetcher."""
        blob = self.blobs[number]
        if isinstance(blob, RemoteFile) and self._line is not None:
            whole = blob.sha256 is None and blob.size <= GIT_LIMIT
            return Fetched(blob.path, blob.size, number, self._line, blob.role, whole)
        return blob

    def _serve(self, reads: int, writes: int, line: Line | None) -> None:
        held = self._confine(line)
        _send(writes, msgspec.msgpack.encode(Answer(-1, None, held)))
        while (message := _receive(reads)) is not None:
            task = _tasks.decode(message)
            numbers = list(reversed(task.numbers))
            while numbers:
                first = numbers[-1]
                # What is read may end this child: what was said of others must not wait for it.
                if not task.hash_only and (digests := self._as_said(numbers)):
                    _send(writes, encoded(Answer(first, digests=tuple(digests))))
                if numbers:
                    number = numbers.pop()
                    examined = self._one(self._reached(number), task.hash_only)
                    _send(writes, encoded(Answer(number, examined)))
        os._exit(0)

    def _as_said(self, numbers: list[int]) -> list[str]:
        """The digests of the files at the end of these numbers, which are taken out, up to one that
        is not as its package says or of which more is read."""
        digests: list[str] = []
        while numbers and _is_plain(blob := self.blobs[numbers[-1]]):
            whole, said = blob.whole, blob.sha256
            try:
                digest = hashlib.sha256(whole.read(0, whole.size)).hexdigest()
            except (OSError, Malformed):
                break  # it is asked for again, and says so
            finally:
                blob.close()
            if said and said != digest:
                break
            digests.append(digest)
            numbers.pop()
        return digests

    def _one(self, blob: Blob, hash_only: bool) -> Examined:
        try:
            if hash_only:
                record = FileRecord(path=blob.path, size=blob.size, sha256=None)
                return _with_digest(Examined(record=record), _hash(blob))
            return self._examine(blob)
        except OSError as error:
            why = error.strerror or type(error).__name__
            gap = Gap(kind=GapKind.UNREADABLE, message=why, at=Location(blob.path))
            record = FileRecord(path=blob.path, size=blob.size, sha256=None)
            return Examined(record=record, gaps=(gap,))
        finally:
            close = getattr(blob, "close", None)
            if close is not None:
                close()

    def _examine(self, blob: Blob) -> Examined:
        if isinstance(blob, Vouched):
            found = _hash(blob, git=False)
            if blob.sha256 in ("", found.sha256):
                return _with_digest(self.examine(blob), found)
            blob = blob.whole
        if blob.size < SMALL or (isinstance(blob, Fetched) and blob.whole):
            data = blob.read(0, blob.size)
            held = Held(blob.path, data, blob.role, getattr(blob, "siblings", None))
            digest = _hash(held) if self.settings.digest else None
            return _with_digest(self.examine(held), digest)
        if not self.settings.digest or isinstance(blob, Fetched):
            return self.examine(blob)
        hashed: list[Digest] = []
        failed: list[Exception] = []

        def hash_beside() -> None:
            try:
                hashed.append(_hash(blob))
            except Exception as error:
                failed.append(error)

        blob.read(0, 1)  # opens the file before two threads would
        beside = threading.Thread(target=hash_beside)
        beside.start()
        examined = self.examine(blob)
        beside.join()
        if failed:
            why = f"it could not be hashed: {failed[0]}"
            gap = Gap(
                kind=GapKind.UNREADABLE,
                message=why,
                at=Location(blob.path),
                controls=("integrity",),
            )
            return msgspec.structs.replace(examined, gaps=(*examined.gaps, gap))
        return _with_digest(examined, hashed[0])


def _is_plain(blob: Blob) -> TypeGuard[Vouched]:
    """Whether only the digest of a small file is asked for, where it is as its package says."""
    return isinstance(blob, Vouched) and blob.plain and blob.whole.size < SMALL


class Digest(NamedTuple):
    """A file's sha256, and the name that git gives to a small file's content."""

    sha256: str
    git: str | None


def _with_digest(examined: Examined, digest: Digest | None) -> Examined:
    if digest is None:
        return examined
    record = msgspec.structs.replace(examined.record, sha256=digest.sha256, git=digest.git)
    return msgspec.structs.replace(examined, record=record)


def _hash(blob: Blob, git: bool = True) -> Digest:
    """The digests of a blob; that of git where it is asked for and the file is small."""
    digest = hashlib.sha256()
    named = None
    if git and blob.size <= GIT_LIMIT:
        named = hashlib.sha1(b"blob %d\0" % blob.size, usedforsecurity=False)
    for offset in range(0, blob.size, CHUNK):
        data = blob.read(offset, CHUNK)
        digest.update(data)
        if named is not None:
            named.update(data)
    return Digest(digest.hexdigest(), named.hexdigest() if named is not None else None)


def _messages(received: bytearray) -> Iterator[bytes | None]:
    """The whole messages at the beginning of what was received, which are taken out; None where
    one is too long."""
    if len(received) - 4 < int.from_bytes(received[:4], "little") <= ANSWER_LIMIT:
        return  # a long one of which more is to come
    at, whole = 0, memoryview(bytes(received))
    received.clear()
    try:
        while at + 4 <= len(whole):
            length = int.from_bytes(whole[at : at + 4], "little")
            if length > ANSWER_LIMIT:
                yield None
                return
            if at + 4 + length > len(whole):
                return
            at += 4 + length
            yield bytes(whole[at - length : at])
    finally:
        received += whole[at:]


def _send(to: int, message: bytes) -> None:
    send(to, len(message).to_bytes(4, "little") + message)


def _receive(source: int) -> bytes | None:
    head = exactly(source, 4)
    return exactly(source, int.from_bytes(head, "little")) if head else None
