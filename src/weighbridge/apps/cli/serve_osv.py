"""`weighbridge serve-osv`: answer on this machine as OSV's own interface does.

Interface: https://google.github.io/osv.dev/api/. pip-audit (`--vulnerability-service osv
--osv-url`) and uv (`uv audit --service-url`) then work where no network is.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from weighbridge.apps.cli import UsageError

if TYPE_CHECKING:
    from http.server import ThreadingHTTPServer

    from weighbridge.intel.advisories.index import Index, Known

BODY_LIMIT = 16 << 20
QUERIES_LIMIT = 1_000
"""As many as OSV takes in one batch."""


def add(commands: argparse._SubParsersAction[Any]) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "serve-osv",
        help="offer the advisories to other tools on this machine, over OSV's interface",
        description="Answer /v1/query, /v1/querybatch and /v1/vulns/ID on the loopback interface "
        "from the index that `weighbridge update` made, until it is interrupted.",
        epilog="pip-audit --vulnerability-service osv --osv-url http://127.0.0.1:8765/v1/query; "
        "uv audit --service-url http://127.0.0.1:8765/ (which asks the package index as well, of "
        "each package, and waits long for one that cannot be reached).",
        allow_abbrev=False,
    )
    parser.add_argument("--port", type=int, default=8765, help="listen here (default: 8765)")
    parser.add_argument(
        "--advisories", metavar="FILE", type=Path, help="answer from this index (default: yours)"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Serve until interrupted. Raises `UsageError`."""
    from weighbridge.intel.advisories.index import FILE, NoIndex, facts_of, home

    path: Path = arguments.advisories or home() / FILE
    try:
        facts = facts_of(path)
        listening = server(path, arguments.port)
    except NoIndex as error:
        raise UsageError(str(error)) from error
    except (OSError, OverflowError) as error:
        raise UsageError(f"port {arguments.port} cannot be listened on: {error}") from error
    with listening:
        where = f"http://127.0.0.1:{listening.server_address[1]}"
        sys.stderr.write(f"{facts.count:,} advisories of {facts.date} at {where}\n")
        listening.serve_forever()
    return 0


def server(path: Path, port: int = 0) -> ThreadingHTTPServer:
    """A server of the index at a path, on the loopback interface; port 0 chooses one."""
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    import msgspec

    from weighbridge.intel.advisories.index import Index

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # one packet for an answer
        timeout = 30

        def do_POST(self) -> None:
            size = self.headers.get("Content-Length", "")
            if not size.isdecimal() or int(size) > BODY_LIMIT:
                self.close_connection = True
                return self._send(413, {"code": 3, "message": "the question is too long"})
            try:
                asked = msgspec.json.decode(self.rfile.read(int(size)), type=dict)
                with Index(path) as index:
                    if self.path == "/v1/query":
                        return self._send(200, answer(index, asked))
                    if self.path == "/v1/querybatch":
                        return self._send(200, batch(index, asked))
            except (ValueError, UnicodeDecodeError) as error:
                return self._send(400, {"code": 3, "message": str(error)[:200]})
            return self._send(404, {"code": 5, "message": "there is no such path"})

        def do_GET(self) -> None:
            with Index(path) as index:
                start, _, id = self.path.rpartition("/")
                body = index.body(id) if start == "/v1/vulns" else None
            if body is None:
                return self._send(404, {"code": 5, "message": "there is no such advisory"})
            return self._send(200, served(body))

        def _send(self, status: int, value: Any) -> None:
            body = msgspec.json.encode(value)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:
            """Say nothing."""

    return ThreadingHTTPServer(("127.0.0.1", port), Handler)


def answer(index: Index, asked: dict[str, Any]) -> dict[str, Any]:
    """What OSV's /v1/query says. Raises `ValueError` where the question is none."""
    bodies = [index.body(known.id) for known in _matching(index, asked)]
    return {"vulns": [served(b) for b in bodies if b is not None]} if bodies else {}


def served(body: bytes) -> dict[str, Any]:
    """An advisory as OSV hands it out: its times end in `Z`, which some publishers spell
    otherwise and pip-audit insists on."""
    import msgspec

    read: dict[str, Any] = msgspec.json.decode(body, type=dict)
    for key in ("published", "modified", "withdrawn"):
        if isinstance(when := read.get(key), str):
            read[key] = when.replace("+00:00", "Z")
    return read


def batch(index: Index, asked: dict[str, Any]) -> dict[str, Any]:
    """What OSV's /v1/querybatch says. Raises `ValueError` where the question is none."""
    queries = asked.get("queries")
    if not isinstance(queries, list) or len(queries) > QUERIES_LIMIT:
        raise ValueError(f"queries: a list of at most {QUERIES_LIMIT:,} is expected")
    results = []
    for query in queries:
        found = [{"id": k.id, "modified": k.modified} for k in _matching(index, query)]
        results.append({"vulns": found} if found else {})
    return {"results": results}


def _matching(index: Index, asked: Any) -> list[Known]:
    """The advisories on a package, of one version where one is named."""
    from weighbridge.intel.advisories.osv import ECOSYSTEMS, Standing, base_of, judge

    package = asked.get("package") if isinstance(asked, dict) else None
    if not isinstance(package, dict):
        if isinstance(asked, dict) and isinstance(asked.get("commit"), str):
            return []
        raise ValueError("package: a name and an ecosystem are expected")
    name, ecosystem, version = package.get("name"), package.get("ecosystem"), asked.get("version")
    if isinstance(purl := package.get("purl"), str):
        name, ecosystem, version = _of_purl(purl, version)
    if not isinstance(name, str) or not isinstance(ecosystem, str):
        raise ValueError("package: a name and an ecosystem are expected")
    if base_of(ecosystem) not in ECOSYSTEMS:
        return []
    found = {
        known.id: known
        for known in index.of(name, ecosystem)
        if not known.withdrawn
        and (not isinstance(version, str) or not version
             or judge(version, known.said, ecosystem) is Standing.AFFECTED)
    }  # fmt: skip
    return list(found.values())


def _of_purl(purl: str, version: Any) -> tuple[str | None, str, Any]:
    """Name, ecosystem and version of a package URL of PyPI."""
    from urllib.parse import unquote

    start, _, rest = purl.partition("pkg:pypi/")
    rest = rest.partition("?")[0].partition("#")[0]
    if start or not rest:
        return None, "", version
    name, _, said = rest.partition("@")
    return unquote(name), "PyPI", unquote(said) or version
