"""Where Python code connects, which addresses it names, and what it sends there."""

from __future__ import annotations

import ast
import ipaddress
import re
from typing import Final

from weighbridge.analysis.fetched import Scope
from weighbridge.analysis.python_spelling import UNKNOWN, argument, spelled
from weighbridge.analysis.python_values import Names
from weighbridge.analysis.training_kinds import Kind, Met, Reached
from weighbridge.core.regex import regex
from weighbridge.formats.python_source import Nodes
from weighbridge.intel.source_calls import effects, place
from weighbridge.intel.training_calls import lists, stands_in

URL: Final = regex(r"\b(https?|wss?|ftp|tcp)://([^\s'\"<>\\`|)\]}{/?#,;]+)([^\s'\"<>\\`|)]*)")
_RESERVED: Final = regex(
    r"localhost|(?:.*\.)?(?:example\.(?:com|org|net)|localhost|invalid|test|example|local|internal)"
)
_SECRET: Final = regex(r"token|secret|passw|api_?key|credential|private_?key", re.IGNORECASE)
SENDS: Final = frozenset({"post", "put", "patch", "sendall", "sendto", "sendmail"})
"""Methods that send something."""
_ADDRESS: Final = regex(r"\d{1,3}(?:\.\d{1,3}){3}")


class Connections:
    """What of one file connects or names an address. `met` and `reached` take what is found,
    `scopes` are those of the file; `builds`: it runs when the package is built."""

    def __init__(
        self, names: Names, nodes: Nodes, met: list[Met], reached: list[Reached], builds: bool
    ) -> None:
        self.names = names
        self.nodes = nodes
        self.met = met
        self.reached = reached
        self.builds = builds
        self.scopes: list[Scope] = []

    def connects(self, node: ast.Call, dotted: str, name: str, scope: Scope) -> None:
        """Note a call that connects."""
        verb = name.lower()
        method = self.names.constant(node.args[0]) if node.args and verb == "request" else None
        given = argument(node, 1 if verb in ("request", "stream") and method else 0, "url")
        text = spelled(given, self.names) if given is not None else None
        told = [k.arg for k in node.keywords if k.arg in ("data", "json", "files", "content")]
        sends = verb in SENDS or bool(told) or str(method).lower() in SENDS
        if verb == "urlopen" and len(node.args) > 1:
            sends = True
        if self.builds and "connect" in effects(dotted):
            self._say(Kind.BUILD, node, dotted, text or "", ("fetches",))
        if text is None:
            return
        for found in URL.finditer(text):
            host = _host(found[2])
            if host:
                self.reached.append(Reached(host, node.lineno, "calls", dotted, sends))
            self._collector(node, found, dotted, sends, scope)

    def _say(
        self, kind: Kind, node: ast.AST, symbol: str, detail: str = "", traits: tuple[str, ...] = ()
    ) -> None:
        self.met.append(Met(kind, getattr(node, "lineno", 1), symbol, detail[:300], traits))

    def _collector(
        self, node: ast.Call, found: re.Match[str], dotted: str, sends: bool, scope: Scope
    ) -> None:
        host = found[2].rpartition("@")[2].partition(":")[0].lower()
        sort = taker(found[0])
        if not sort:
            return
        tells = UNKNOWN in found[3] and sort in ("collector", "tunnel", "address")
        traits = [sort]
        headers = sort in ("collector", "webhook")  # others may ask who calls
        secret = self._secret(node, scope, headers)
        if sends or tells or (secret and headers):
            traits.append("sends")
        if UNKNOWN not in found[0]:
            traits.append("fixed")
        if secret:
            traits.append("secret")
        way = (secret,) if secret else ()
        self.met.append(Met(Kind.COLLECTOR, node.lineno, dotted, host[:300], tuple(traits), way))

    def _secret(self, node: ast.Call, scope: Scope, headers: bool) -> tuple[int, str] | None:
        """The credentials that a call is given (the environment, a token, a key file): the line
        that reads them, and how."""
        given: list[ast.AST] = [
            *node.args, *(k.value for k in node.keywords if headers or k.arg != "headers")
        ]  # fmt: skip
        seen = 0
        while given and seen < 500:
            part = given.pop()
            seen += 1
            if isinstance(part, ast.Name):
                given += self._assigned(part.id, scope)
            elif isinstance(part, ast.Attribute):
                path = self.names.resolve(part)
                if path is not None and path.dotted == "os.environ":
                    return part.lineno, "reads the whole environment"
            elif isinstance(part, ast.Subscript) and self._of_environment(part):
                continue  # one variable: told apart by its name, below
            if isinstance(part, ast.Subscript | ast.Call) and (name := self.credential(part)):
                return part.lineno, f"reads {name}"
            given += ast.iter_child_nodes(part)
        return None

    def _assigned(self, name: str, scope: Scope) -> list[ast.AST]:
        """What a name of a function, or of the module, is set to."""
        found: list[ast.AST] = []
        for node in (*scope.nodes, *(self.scopes[0].nodes if scope.name else ())):
            if isinstance(node, ast.Assign) and any(_named(t, name) for t in node.targets):
                found.append(node.value)
            elif isinstance(node, ast.withitem) and _named(node.optional_vars, name):
                found.append(node.context_expr)
        return found[:3]

    def _of_environment(self, node: ast.Subscript) -> bool:
        owner = self.names.resolve(node.value)
        return owner is not None and owner.dotted == "os.environ" and not self.credential(node)

    def credential(self, node: ast.Subscript | ast.Call) -> str:
        """The credential that an expression reads, by its name, or the empty string:
        `os.environ["HF_TOKEN"]`, `os.getenv("AWS_SECRET_ACCESS_KEY")`, `get_token()`, the file of
        a key."""
        if isinstance(node, ast.Call) and (name := self._kept(node)):
            return name
        key: ast.expr | None
        if isinstance(node, ast.Subscript):
            owner, key = self.names.resolve(node.value), node.slice
            read = owner is not None and owner.dotted == "os.environ"
        else:
            owner = self.names.callee(node)
            key = node.args[0] if node.args else None
            read = owner is not None and owner.dotted in ("os.getenv", "os.environ.get")
        value = self.names.constant(key) if read and key is not None else None
        return value if isinstance(value, str) and _SECRET.search(value) else ""

    def _kept(self, node: ast.Call) -> str:
        """A credential that is kept in a file."""
        path = self.names.callee(node)
        if path is None:
            return ""
        if path.dotted in ("huggingface_hub.get_token", "huggingface_hub.HfFolder.get_token"):
            return "the token of the Hub"
        if path.dotted in ("builtins.open", "pathlib.Path", "os.path.expanduser") and node.args:
            text = spelled(node.args[0], self.names)
            found = place(text) if text else None
            return (text or "")[:80] if found is not None and found[0] == "credentials" else ""
        return ""

    def addresses(self) -> None:
        """Addresses that are only spelled; those in the text of documentation are not."""
        called = {(r.host, r.line) for r in self.reached}
        hosts = {r.host for r in self.reached}
        spoken = {m.detail for m in self.met if m.kind is Kind.COLLECTOR}
        for node in reversed(self.nodes.texts):
            text = node.value
            if type(text) is not str or "://" not in text or id(node) in self.nodes.bare:
                continue
            for found in URL.finditer(text):
                host = _host(found[2])
                if host and host not in hosts and (host, node.lineno) not in called:
                    hosts.add(host)
                    self.reached.append(Reached(host, node.lineno, "names", ""))
                sort = taker(found[0])
                if sort and sort != "address" and host not in spoken:
                    spoken.add(host)
                    fixed = ("fixed",) if found[3].strip("/") else ()
                    self._say(Kind.COLLECTOR, node, "", host, (sort, *fixed))


def taker(address: str) -> str:
    """What sort of place an address is that data go to and do not come back from: `collector`,
    `tunnel`, `webhook`, `address` (a bare public one), or the empty string."""
    found = URL.match(address)
    if found is None:
        return ""
    host = found[2].rpartition("@")[2].partition(":")[0].lower()
    rest = f"{host}{found[3]}"
    if any(rest.startswith(mark) for mark in lists().webhooks):
        return "webhook"
    if stands_in(host, lists().collectors):
        return "collector"
    if stands_in(host, lists().tunnels):
        return "tunnel"
    if _ADDRESS.fullmatch(host):
        try:
            return "address" if ipaddress.ip_address(host).is_global else ""
        except ValueError:
            return ""
    return ""


def _host(written: str) -> str:
    """A host as an address names it, or the empty string where it is none of the outside."""
    host = written.rpartition("@")[2].partition(":")[0].lower().rstrip(".")
    if "." not in host or UNKNOWN in host or "%" in host or "$" in host or "*" in host:
        return ""
    if _ADDRESS.fullmatch(host):
        try:
            return host if ipaddress.ip_address(host).is_global else ""
        except ValueError:
            return ""
    valid = re.fullmatch(r"[a-z0-9-]+(?:\.[a-z0-9-]+)*\.[a-z]{2,}", host)
    return host if valid and not _RESERVED.fullmatch(host) else ""


def _named(node: ast.AST | None, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name
