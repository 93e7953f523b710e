"""HTTP as a source needs it: JSON of an interface, and parts of files, with every answer checked.

Sources: RFC 9110 (ranges: section 14, `Retry-After`: 10.2.3, redirects: 15.4). A part is taken
only if the server says that it is that part (206, `Content-Range`, a stable `ETag`): some servers
send the beginning of the file whatever they are asked for.
"""

from __future__ import annotations

import random
import re
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

import httpx2
import msgspec
from msgspec import Struct, field
from msgspec.structs import replace

from weighbridge import __version__
from weighbridge.core.origin import Transfer
from weighbridge.core.regex import regex
from weighbridge.sources.remote import RemoteFile, SourceError

JSON_LIMIT: Final = 64 << 20
REDIRECTS: Final = 5
PAGES: Final = 200
CHUNK: Final = 64 << 10
ATTEMPTS: Final = 5
PATIENCE: float = 60.0
TIMEOUT: float = 20.0
BACK_OFF: float = 0.25
"""Seconds before a question is asked again for the first time; then twice as many each time."""
_AGAIN: Final = frozenset({408, 429, 500, 502, 503, 504})
_MOVED: Final = frozenset({301, 302, 303, 307, 308})
_RANGE: Final = regex(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19})")
_NEXT: Final = regex(r"<([^<>\s]{1,4000})>\s*;\s*rel=\"?next\"?")
_MEANS: Final = {
    401: "it asks for a login (401)",
    403: "access is refused (403)",
    404: "there is nothing of that name (404), or it is private",
    410: "it was removed (410)",
    416: "the server has no such part (416)",
    429: "too many requests (429)",
    451: "it was removed for legal reasons (451)",
}


class Session(Struct, dict=True):
    """Requests to one endpoint and to where it redirects.

    `token` goes to `endpoint` and nowhere else. `patience` is how many seconds one question may
    take with all its repetitions, `parallel` how many requests may be under way at once. With
    `confined` a redirect to another host is refused.
    """

    endpoint: str
    token: str | None = None
    patience: float = field(default_factory=lambda: PATIENCE)
    timeout: float = field(default_factory=lambda: TIMEOUT)
    parallel: int = 8
    sleep: Callable[[float], None] = time.sleep
    confined: bool = False

    def __post_init__(self) -> None:
        self.endpoint = self.endpoint.rstrip("/")
        parts = urlsplit(self.endpoint)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise SourceError(f"{self.endpoint}: an endpoint begins with https:// or http://")
        self.renew()

    def renew(self) -> None:
        """Begin with new connections: those of a parent process are not to be shared."""
        self._requests = self._bytes = 0
        self._lock = threading.Lock()
        self._turn = threading.BoundedSemaphore(self.parallel)
        self._client = httpx2.Client(
            timeout=self.timeout,
            follow_redirects=False,
            headers={"User-Agent": f"weighbridge/{__version__}", "Accept-Encoding": "identity"},
            limits=httpx2.Limits(max_connections=self.parallel),
        )

    def close(self) -> None:
        """Close every connection."""
        self._client.close()

    @property
    def transfer(self) -> Transfer:
        """What was fetched so far."""
        return Transfer(bytes=self._bytes, requests=self._requests)

    def json(
        self,
        path: str,
        parameters: Mapping[str, str] | None = None,
        form: Mapping[str, str | list[str]] | None = None,
    ) -> Any:
        """The JSON at a path of the endpoint; `form` is sent along. Raises `SourceError`."""
        question = _Question(self.endpoint + path, JSON_LIMIT, {}, parameters, form)
        return self._decoded(self._ask(question))

    def text(self, path: str, limit: int) -> str:
        """The text at a path of the endpoint. Raises `SourceError`, also where it is longer than
        `limit` bytes."""
        response = self._ask(_Question(self.endpoint + path, limit, {}))
        if response.status != 200:
            raise self._refused(response)
        return response.body.decode("utf-8", "replace")

    def document(self, path: str, limit: int, accept: str, tag: str = "") -> Document:
        """What stands at a path of the endpoint, in one of the types that `accept` names; nothing
        but the status where it is still what had the ETag `tag` (304), or where there is nothing
        (404). Raises `SourceError`, also where it is more than `limit` bytes."""
        headers = {"Accept": accept, "Accept-Encoding": "gzip"}
        if tag:
            headers["If-None-Match"] = tag
        response = self._ask(_Question(self.endpoint + path, limit, headers))
        if response.status == 404 or (response.status == 304 and tag):
            return Document(response.status, "", tag, b"")
        if response.status != 200:
            raise self._refused(response)
        body, coding = response.body, response.headers.get("content-encoding", "identity")
        if coding == "gzip":
            body = _unzipped(body, limit, response.url)
        elif coding != "identity":
            raise SourceError(f"{_short(response.url)}: it comes encoded as {coding[:40]}")
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        return Document(200, kind, response.headers.get("etag", ""), body)

    def pages(self, path: str, parameters: Mapping[str, str]) -> Iterator[Any]:
        """The pages of a list, by its `Link` headers. Raises `SourceError`."""
        url: str | None = self.endpoint + path
        given: Mapping[str, str] | None = parameters
        for _ in range(PAGES):
            if url is None:
                return
            response = self._ask(_Question(url, JSON_LIMIT, {}, given))
            yield self._decoded(response)
            found = _NEXT.search(response.headers.get("link", ""))
            url = urljoin(url, found[1]) if found else None
            given = None
            if url is not None and not _same_place(url, self.endpoint):
                raise SourceError(f"{_short(url)}: the list goes on somewhere else")
        raise SourceError(f"{path}: more than {PAGES:,} pages")

    def _decoded(self, response: _Response) -> Any:
        if response.status != 200:
            raise self._refused(response)
        try:
            return msgspec.json.decode(response.body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            why = f"{_short(response.url)}: the answer is no JSON ({error})"
            raise SourceError(why) from None

    def measure(self, url: str, limit: int) -> tuple[int, str] | bytes:
        """The size of a file and its ETag; the whole of it, up to `limit` bytes, where the server
        gives no parts. Raises `SourceError`."""
        response = self._ask(_Question(url, limit, {"Range": "bytes=0-0"}))
        if response.headers.get("content-encoding", "identity") != "identity":
            raise SourceError(f"{_short(url)}: the server sends it encoded, against the request")
        said = _RANGE.fullmatch(response.headers.get("content-range", "").strip())
        if response.status == 206 and said and said[1] == said[2] == "0" and int(said[3]) > 0:
            return int(said[3]), response.headers.get("etag", "")
        if response.status == 416 and response.headers.get("content-range") == "bytes */0":
            return b""
        if response.status == 206:
            raise SourceError(f"{_short(url)}: the server sent another part than it was asked for")
        if response.status != 200:
            raise self._refused(response)
        length = response.headers.get("content-length", "")
        if length and length != str(len(response.body)):
            raise SourceError(f"{_short(url)}: another number of bytes came than were announced")
        return response.body

    def part(self, file: RemoteFile, start: int, n: int) -> bytes:
        """Bytes of a file. Raises `SourceError` where the server does not give exactly those."""
        end = min(start + n, file.size)
        if end <= start:
            return b""
        name, headers = file.path, {"Range": f"bytes={start}-{end - 1}"}
        question = _Question(file.resolved or file.url, end - start, headers, file=file)
        response = self._ask(question)
        if response.status in (401, 403, 404, 410) and file.resolved:  # a signed address expires
            file.resolved = ""
            response = self._ask(replace(question, url=file.url))
        whole = start == 0 and end == file.size
        if response.status == 200:
            if not whole:
                raise SourceError(f"{name}: the server sends the whole file instead of a part")
        elif response.status != 206:
            raise self._refused(response, name)
        else:
            said = _RANGE.fullmatch(response.headers.get("content-range", "").strip())
            if said is None or tuple(map(int, said.groups())) != (start, end - 1, file.size):
                raise SourceError(f"{name}: the server sent another part than it was asked for")
        if response.headers.get("content-encoding", "identity") != "identity":
            raise SourceError(f"{name}: the server sent it encoded, against the request")
        if len(response.body) != end - start:
            raise SourceError(
                f"{name}: {len(response.body):,} bytes came where {end - start:,} were announced"
            )
        tag = response.headers.get("etag", "")
        if file.tag and tag != file.tag:
            raise SourceError(f"{name}: it changed while it was read (another ETag)")
        file.tag = tag
        return response.body

    # -- one question, asked until it is answered ----------------------------------------------

    def _ask(self, question: _Question) -> _Response:
        until = time.monotonic() + self.patience
        for attempt in range(ATTEMPTS):
            wait = min(8.0, BACK_OFF * 2**attempt) * (0.75 + random.random() / 2)  # noqa: S311
            try:
                response = self._follow(question, until)
                if response.status not in _AGAIN:
                    return response
                wait = max(wait, _delay(response.headers.get("retry-after", "")))
                failed = self._refused(response)
            except httpx2.HTTPError as error:
                failed = SourceError(f"{_short(question.url)}: {_told(error)}")
            if attempt + 1 == ATTEMPTS or time.monotonic() + wait > until:
                raise failed
            self.sleep(wait)
        raise AssertionError  # the last attempt raises

    def _follow(self, question: _Question, until: float) -> _Response:
        asked, file = question.url, question.file
        for _ in range(REDIRECTS + 1):
            response = self._once(question, until)
            if file is not None:
                _same(file, response)
            if response.status not in _MOVED:
                if file is not None and question.url != file.url:
                    file.resolved = question.url
                return response
            target = urljoin(question.url, response.headers.get("location", ""))
            if urlsplit(target).scheme not in ("https", urlsplit(question.url).scheme):
                raise SourceError(f"{_short(asked)}: it is redirected to an insecure address")
            if self.confined and not _same_place(target, question.url):
                raise SourceError(f"{_short(asked)}: it is redirected to another host")
            given = None if file is not None or urlsplit(target).query else question.parameters
            question = replace(question, url=target, parameters=given)
        raise SourceError(f"{_short(asked)}: redirected more than {REDIRECTS} times")

    def _once(self, question: _Question, until: float) -> _Response:
        url, headers = question.url, dict(question.headers)
        if self.token and _same_place(url, self.endpoint):
            headers["Authorization"] = f"Bearer {self.token}"
        method = "GET" if question.form is None else "POST"
        sent = self._client.stream(
            method, url, headers=headers, params=question.parameters, data=question.form
        )
        body = bytearray()
        with self._turn, sent as response:
            with self._lock:
                self._requests += 1
            if response.status_code in _MOVED:
                return _Response(url, response.status_code, response.headers, b"")
            for chunk in response.iter_raw(CHUNK):
                body += chunk
                with self._lock:
                    self._bytes += len(chunk)
                if len(body) > question.limit:
                    break  # what has come says enough
                if time.monotonic() > until:
                    raise SourceError(f"{_short(url)}: it took longer than {self.patience:g} s")
            if len(body) > question.limit and question.file is None:
                raise SourceError(f"{_short(url)}: more than {question.limit:,} bytes came")
            return _Response(url, response.status_code, response.headers, bytes(body))

    def _refused(self, response: _Response, name: str = "") -> SourceError:
        said = response.headers.get("x-error-message", "")
        why = _MEANS.get(response.status, f"the server answers {response.status}")
        told = f"{why}: {said[:200]}" if said else why
        return SourceError(f"{name or _short(response.url)}: {told}", response.status)


class Document(Struct, frozen=True):
    """An answer: its status (200, 304 or 404), the media type, the ETag and the content."""

    status: int
    kind: str
    tag: str
    body: bytes


def _unzipped(data: bytes, limit: int, url: str) -> bytes:
    reader = zlib.decompressobj(wbits=31)
    try:
        body = reader.decompress(data, limit + 1)
    except zlib.error:
        raise SourceError(f"{_short(url)}: it is no gzip, as its header says") from None
    if len(body) > limit:
        raise SourceError(f"{_short(url)}: more than {limit:,} bytes came")
    if not reader.eof:
        raise SourceError(f"{_short(url)}: the answer is cut off")
    return body


class _Question(Struct, frozen=True):
    """What is asked, and how many bytes an answer may have."""

    url: str
    limit: int
    headers: Mapping[str, str]
    parameters: Mapping[str, str] | None = None
    form: Mapping[str, str | list[str]] | None = None
    file: RemoteFile | None = None


class _Response(Struct, frozen=True):
    url: str
    status: int
    headers: httpx2.Headers
    body: bytes


def _same(file: RemoteFile, response: _Response) -> None:
    """Hold what the server says of a file against what its listing said."""
    commit = response.headers.get("x-repo-commit")
    if file.commit and commit and commit != file.commit:
        raise SourceError(f"{file.path}: the server answers for another commit than was asked for")
    size = response.headers.get("x-linked-size", "")
    if size.isdecimal() and int(size) != file.size:
        raise SourceError(f"{file.path}: the server names another size than its listing")
    digest = response.headers.get("x-linked-etag", "").removeprefix("W/").strip('"')
    if file.sha256 and len(digest) == 64 and digest != file.sha256:
        raise SourceError(f"{file.path}: the server names another sha256 than its listing")


def _same_place(one: str, other: str) -> bool:
    a, b = urlsplit(one), urlsplit(other)
    return (a.scheme, a.hostname, a.port) == (b.scheme, b.hostname, b.port)


def _delay(text: str) -> float:
    return min(float(text), 60.0) if re.fullmatch(r"\d{1,6}", text.strip()) else 0.0


def _short(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.hostname or ''}{parts.path}"[:200]  # a query may hold a signature


def _told(error: httpx2.HTTPError) -> str:
    if isinstance(error, httpx2.TimeoutException):
        return "no answer in time"
    if isinstance(error, httpx2.ConnectError):
        return "cannot be reached"
    if isinstance(error, httpx2.RemoteProtocolError):
        return "the connection broke off in the middle of the answer"
    return type(error).__name__
