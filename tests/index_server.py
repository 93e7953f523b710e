"""A small index of Python packages on loopback: the simple interface in JSON (PEP 691 and what was
added since), files that are given in parts, and the ways in which an index can fail."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TYPE = "application/vnd.pypi.simple.v1+json"


@dataclass
class Project:
    """A project: its files by name, and what is said of each beside its digest and size (a `data`
    that is left out is made up)."""

    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    status: str = "active"
    reason: str = ""
    old: bool = False
    """Whether the index says only what PEP 691 asks for."""


@dataclass
class PackageIndex:
    """What the server serves and how it misbehaves. `seen` are the requests with their headers."""

    projects: dict[str, Project] = field(default_factory=dict)
    html: bool = False
    ranges: bool = True
    fault: Callable[[str, Counter[str]], tuple[int, dict[str, str], bytes] | None] | None = None
    seen: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    sent: int = 0
    url: str = ""

    def listing(self, name: str) -> dict[str, Any]:
        """The answer for a project."""
        project = self.projects[name]
        files = [self._file(n, said, project.old) for n, said in project.files.items()]
        made: dict[str, Any] = {"meta": {"api-version": "1.0"}, "name": name, "files": files}
        if not project.old:
            made["meta"] = {"api-version": "1.4"}
            made["versions"] = sorted({n.split("-")[1].removesuffix(".tar.gz")
                                       for n in project.files})  # fmt: skip
            made["project-status"] = {"status": project.status}
            if project.reason:
                made["project-status"]["reason"] = project.reason
        return made

    def _file(self, name: str, said: dict[str, Any], old: bool) -> dict[str, Any]:
        data = said.get("data", name.encode())
        made: dict[str, Any] = {"filename": name, "url": f"../../files/{name}",
                "hashes": {"sha256": hashlib.sha256(data).hexdigest()}}  # fmt: skip
        if not old:
            made |= {"size": len(data), "upload-time": "2024-01-01T00:00:00.000000Z",
                     "yanked": False, "provenance": None}  # fmt: skip
        return made | {k: v for k, v in said.items() if k != "data"}

    def content(self, name: str) -> bytes | None:
        """The bytes of a file."""
        for project in self.projects.values():
            if name in project.files:
                return bytes(project.files[name].get("data", name.encode()))
        return None


@contextmanager
def serve(index: PackageIndex) -> Iterator[str]:
    """Serve it on loopback; yields the address of its simple interface."""
    handler = type("Bound", (_Handler,), {"index": index})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    index.url = f"http://127.0.0.1:{server.server_address[1]}/simple"
    try:
        yield index.url
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    index: PackageIndex
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        index = self.index
        index.seen.append((self.path, dict(self.headers)))
        index.counts[self.path] += 1
        wrong = index.fault(self.path, index.counts) if index.fault else None
        if wrong is not None:
            self._send(*wrong)
        elif found := re.fullmatch(r"/simple/([^/]+)/", self.path):
            self._listing(found[1])
        elif found := re.fullmatch(r"/files/(.+)", self.path):
            self._file(found[1])
        else:
            self._send(404, {}, b"")

    def _listing(self, name: str) -> None:
        if name not in self.index.projects:
            return self._send(404, {"Content-Type": "text/plain"}, b"404 Not Found")
        if self.index.html:
            return self._send(200, {"Content-Type": "text/html"}, b"<html></html>")
        body = json.dumps(self.index.listing(name)).encode()
        tag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
        if self.headers.get("If-None-Match") == tag:
            return self._send(304, {"ETag": tag}, b"")
        headers = {"Content-Type": TYPE, "ETag": tag}
        if "gzip" in self.headers.get("Accept-Encoding", ""):
            headers["Content-Encoding"], body = "gzip", gzip.compress(body)
        return self._send(200, headers, body)

    def _file(self, name: str) -> None:
        data = self.index.content(name)
        if data is None:
            return self._send(404, {}, b"")
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if asked is None or not self.index.ranges:
            return self._send(200, {"ETag": '"f"'}, data)
        start, end = int(asked[1]), min(int(asked[2]), len(data) - 1)
        headers = {"Content-Range": f"bytes {start}-{end}/{len(data)}", "ETag": '"f"'}
        return self._send(206, headers, data[start : end + 1])

    def _send(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.index.sent += len(body)
