"""A small Hub on loopback: repositories in memory, and every way in which a server can fail.

It speaks as much of the Hub's protocol as its client uses: information, tree, paths-info, commits,
overviews, `resolve` with redirects for large files, parts with `Content-Range`.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

LARGE = 4096
"""From so many bytes on a file is kept as a Hub keeps LFS files: digest known, redirected."""


def git_name(data: bytes) -> str:
    """The name that git gives to a file's content."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


class Sparse:
    """A file of any size: what is given stands at its place, the rest is zero."""

    def __init__(self, size: int, parts: dict[int, bytes], sha256: str = "5" * 64) -> None:
        self.size, self.parts, self.sha256 = size, parts, sha256

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, wanted: slice) -> bytes:
        start, end = wanted.start or 0, min(wanted.stop or self.size, self.size)
        out = bytearray(max(0, end - start))
        for at, data in self.parts.items():
            lo, hi = max(start, at), min(end, at + len(data))
            if lo < hi:
                out[lo - start : hi - start] = data[lo - at : hi - at]
        return bytes(out)


Content = bytes | Sparse


@dataclass
class Repository:
    """One repository. `facts` are added to its information, `scans` to files by path."""

    files: dict[str, Content]
    commit: str = "a" * 40
    facts: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    scans: dict[str, dict[str, Any]] = field(default_factory=dict)
    branches: tuple[str, ...] = ("main",)
    declared: dict[str, str] = field(default_factory=dict)
    """Digests that the listing names instead of the true ones."""


@dataclass
class Hub:
    """What the server serves and how it misbehaves. `seen` are the requests, `tokens` the
    authorisation that came with each."""

    repositories: dict[str, Repository] = field(default_factory=dict)
    owners: dict[str, dict[str, Any]] = field(default_factory=dict)
    renamed: dict[str, str] = field(default_factory=dict)
    gated: set[str] = field(default_factory=set)
    seen: list[str] = field(default_factory=list)
    tokens: list[tuple[str, str]] = field(default_factory=list)
    sent: int = 0
    sizes: bool = True
    """Whether the information names sizes; without them the tree has to be asked."""
    page: int = 1000
    redirect: bool = True
    fault: Callable[[str, Counter[str]], dict[str, Any] | None] | None = None
    """Asked with every path and how often it was asked for: what to do wrong."""
    counts: Counter[str] = field(default_factory=Counter)
    url: str = ""


@contextmanager
def serve(hub: Hub) -> Iterator[str]:
    """Serve it on loopback; yields the endpoint."""
    handler = type("Bound", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield hub.url
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def _answer(self, body: bytes) -> None:
        parts = urlsplit(self.path)
        path = unquote(parts.path)
        hub = self.hub
        hub.seen.append(path)
        hub.tokens.append((path, self.headers.get("Authorization", "")))
        hub.counts[path] += 1
        wrong = (hub.fault(path, hub.counts) if hub.fault else None) or {}
        if "sleep" in wrong:
            time.sleep(wrong["sleep"])
        if "status" in wrong:
            self._send(wrong["status"], b"{}", wrong.get("headers", {}))
        elif path.startswith("/api/"):
            self._interface(path.removeprefix("/api/"), parse_qs(parts.query), body, wrong)
        else:
            self._file(path, wrong)

    def _interface(
        self, path: str, query: dict[str, list[str]], body: bytes, wrong: dict[str, Any]
    ) -> None:
        hub = self.hub
        if found := re.fullmatch(r"(organizations|users)/([^/]+)/overview", path):
            facts = hub.owners.get(found[2])
            if facts is None or facts.get("_kind", "organizations") != found[1]:
                return self._error(404, "EntryNotFound", "no such owner")
            return self._json(facts)
        if path in ("models", "datasets", "spaces"):
            asked = query.get("search", [""])[0]
            alike = [i for i in hub.repositories if asked.lower() in i.lower()]
            return self._json([self._information(i, hub.repositories[i]) for i in alike])
        named = re.fullmatch(
            r"(?:models|datasets|spaces)/([^/]+(?:/[^/]+)??)"
            r"(?:/(revision|tree|paths-info|commits)/([^/]+)(?:/.*)?)?", path,
        )  # fmt: skip
        if named is None:
            return self._error(404, "EntryNotFound", "nothing here")
        id, what, revision = named[1], named[2], named[3]
        if id in hub.renamed:
            place = f"/api/models/{hub.renamed[id]}" + path.partition(id)[2]
            return self._send(307, b"", {"Location": place})
        repository = hub.repositories.get(id)
        if repository is None or id in hub.gated:
            return self._error(401, "RepoNotFound", "Invalid username or password.")
        if revision and revision not in (*repository.branches, repository.commit):
            return self._error(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        if wrong.get("json") is not None:
            return self._send(200, wrong["json"], {})
        if what in (None, "revision"):
            return self._json(self._information(id, repository))
        if what == "commits":
            return self._json(repository.history)
        if what == "paths-info":
            wanted = parse_qs(body.decode()).get("paths", [])
            return self._json([self._entry(repository, p, True) for p in wanted])
        entries = [self._entry(repository, p) for p in sorted(repository.files)]
        start = int(query.get("cursor", ["0"])[0])
        headers = {}
        if start + hub.page < len(entries):
            headers["Link"] = f'<{hub.url}/api/{path}?cursor={start + hub.page}>; rel="next"'
        data = json.dumps(entries[start : start + hub.page]).encode()
        return self._send(200, data, headers)

    def _information(self, id: str, repository: Repository) -> dict[str, Any]:
        siblings = []
        for path in repository.files:
            entry = self._entry(repository, path)
            facts: dict[str, Any] = {"rfilename": path}
            if self.hub.sizes:
                facts |= {"size": entry["size"], "blobId": entry["oid"]}
                if "lfs" in entry:
                    facts["lfs"] = {"sha256": entry["lfs"]["oid"], "size": entry["size"]}
            siblings.append(facts)
        return {
            "_id": "66" + "0" * 22, "id": id, "sha": repository.commit, "siblings": siblings,
            "author": id.partition("/")[0], "createdAt": "2024-06-05T00:00:00.000Z",
            "lastModified": "2025-01-01T00:00:00.000Z", "gated": False, "private": False,
            "downloads": 5, "likes": 1, "tags": [], **repository.facts,
        }  # fmt: skip

    def _entry(self, repository: Repository, path: str, detailed: bool = False) -> dict[str, Any]:
        content = repository.files[path]
        digest = repository.declared.get(path) or _sha256(content)
        git = git_name(content) if isinstance(content, bytes) else "0" * 40
        entry: dict[str, Any] = {"type": "file", "path": path, "size": len(content), "oid": git}
        if len(content) >= LARGE:
            entry["lfs"] = {"oid": digest, "size": len(content), "pointerSize": 134}
        elif path in repository.declared:
            entry["oid"] = repository.declared[path]
        if detailed:
            if repository.history:
                entry["lastCommit"] = repository.history[0]
            entry["securityFileStatus"] = repository.scans.get(path, {})
        return entry

    def _file(self, path: str, wrong: dict[str, Any]) -> None:
        hub = self.hub
        cdn = path.startswith("/cdn/")
        found = re.fullmatch(
            r"(?:/cdn)?(?:/datasets|/spaces)?/(.+?)/(?:resolve|raw)/([^/]+)/(.+)", path
        )
        repository = hub.repositories.get(found[1]) if found else None
        if found is None or repository is None or found[3] not in repository.files:
            return self._error(404, "EntryNotFound", "no such file")
        content = repository.files[found[3]]
        commit = wrong.get("commit", repository.commit)
        linked = {"X-Repo-Commit": commit, "X-Linked-Size": str(len(content))}
        if len(content) >= LARGE:
            digest = wrong.get("linked", repository.declared.get(found[3]) or _sha256(content))
            linked["X-Linked-Etag"] = f'"{digest}"'
            if hub.redirect and not cdn:
                return self._send(302, b"", {"Location": f"{hub.url}/cdn{path}", **linked})
        headers = {"ETag": f'"{wrong.get("etag", _sha256(content)[:32])}"', **linked}
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if asked is None or wrong.get("no range"):
            return self._send(200, content[0 : min(len(content), 1 << 20)], headers)
        start, end = int(asked[1]), min(int(asked[2]) + 1, len(content))
        if start >= len(content):
            return self._error(416, "", "")
        shift = wrong.get("shift", 0)
        data = content[start + shift : end + shift]
        headers["Content-Range"] = f"bytes {start + wrong.get('off', 0)}-{end - 1}/{len(content)}"
        if "change" in wrong:
            data = bytes(b ^ 1 for b in data)
        if "cut" in wrong:
            return self._cut(data, headers)
        return self._send(206, data, headers)

    def _json(self, value: Any) -> None:
        self._send(200, json.dumps(value).encode(), {})

    def _error(self, status: int, code: str, message: str) -> None:
        self._send(status, b"{}", {"X-Error-Code": code, "X-Error-Message": message})

    def _send(self, status: int, data: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.hub.sent += len(data)
        with suppress(BrokenPipeError, ConnectionResetError):  # who asked has given up
            self.wfile.write(data)

    def _cut(self, data: bytes, headers: dict[str, str]) -> None:
        """Announce all of it, send half, hang up."""
        self.send_response(206)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[: len(data) // 2])
        self.close_connection = True


def _sha256(content: Content) -> str:
    return content.sha256 if isinstance(content, Sparse) else hashlib.sha256(content).hexdigest()
