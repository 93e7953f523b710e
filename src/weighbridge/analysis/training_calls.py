"""What training code does that decides what is trained, with what, and who learns of it.

One walk over a file's syntax tree. What is found says what it is, not how bad it is: that depends
on the rest of the repository, and the checks say it.
"""

from __future__ import annotations

import ast
from typing import Final

from weighbridge.analysis.commands import started
from weighbridge.analysis.connections import SENDS, URL, Connections
from weighbridge.analysis.fetched import Fetched, Flow, Scope, scopes
from weighbridge.analysis.literal_credentials import credible, literals
from weighbridge.analysis.python_spelling import UNKNOWN, argument, is_commit, keyword, spelled
from weighbridge.analysis.python_values import STEPS, Names
from weighbridge.analysis.training_kinds import COMMANDS, Kind, Met, Reached, Training
from weighbridge.analysis.training_reach import ACCUSABLE, within_reach
from weighbridge.core.regex import regex
from weighbridge.formats.python_source import Nodes
from weighbridge.intel.source_calls import effects, known
from weighbridge.intel.training_calls import lists

NONE: Final = Training()
_SPELT: Final = "://"
_REBUILDS: Final = regex(
    r"load(?:s?(?!\w)|_url|_state_dict_from)|pickle|eval(?!\s*\(\s*\)|u)|exec(?!ut)"
    r"|recv_pyobj|marshal|shelve"
)
"""Without any of these nothing is rebuilt and no text is run. (`eval()` of a model is neither.)"""
_FETCHES: Final = ("requests", "urllib", "httpx", "aiohttp", "hf_hub", "snapshot_download",
                   "cached_", "download", "get_file", "recv", "get_data", "receive", "fsspec",
                   "boto3", "from_url", "load_url", "pooch", "urlopen", "urlretrieve", "wget",
                   "curl", "gdown", "aria2c")  # fmt: skip
"""Without any of these no value is fetched."""
_ACTS: Final = (
    "trust_remote_code", "from_pretrained", "load_dataset", "hf_hub", "snapshot_download",
    "torch.hub", "subprocess", "system", "popen", "get_ipython", "getoutput", "requests", "urllib",
    "httpx", "aiohttp", "socket", "zmq", "wandb", "comet_ml", "neptune", "clearml", "swanlab",
    "trackio", "sentry", "posthog", "telemetry", "mlflow", "ftplib", "smtplib", "paramiko",
    "boto3", "from_single_file", "spawn", "invoke", "modelscope",
)  # fmt: skip
_PIP: Final = regex(r"pip(?![a-z])")
"""Without any of these nothing is loaded, started, installed or connected to."""
_REPOSITORY: Final = regex(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_NAME: Final = regex(r"[A-Za-z0-9][\w.-]*")
_EXTRAS: Final = frozenset({"json", "csv", "text", "parquet", "arrow", "imagefolder", "audiofolder",
                            "generator", "pandas", "webdataset", "xml"})  # fmt: skip
"""Builders of `load_dataset` that come with the library."""
_LOADS: Final = frozenset({"from_pretrained", "load_dataset", "hf_hub_download",
                           "snapshot_download", "from_single_file"})  # fmt: skip
_BUILDS: Final = regex(r"(?:.*/)?(?:setup|hatch_build|build_hook|_build_backend)\.py")


def read(text: str, tree: ast.Module, nodes: Nodes, path: str) -> Training:
    """What a program does. `path` is where it stands."""
    loads = _REBUILDS.search(text) is not None
    held = any(credible(t.value) for t in nodes.texts)
    if loads or held or any(mark in text for mark in _ACTS) or _PIP.search(text):
        flows = loads and any(mark in text for mark in _FETCHES)
        return _Reading(tree, nodes, flows, _BUILDS.fullmatch(path) is not None).training(held)
    if _SPELT not in text:
        return NONE
    met: list[Met] = []
    reached: list[Reached] = []
    Connections(Names(), nodes, met, reached, builds=False).addresses()
    return Training(tuple(dict.fromkeys(met)), tuple(dict.fromkeys(reached)))


class _Reading:
    def __init__(self, tree: ast.Module, nodes: Nodes, flows: bool, builds: bool) -> None:
        self.names = Names()
        self.nodes = nodes
        self.builds = builds
        self.met: list[Met] = []
        self.reached: list[Reached] = []
        self.flows = flows
        self.tree = tree
        self.connections = Connections(self.names, nodes, self.met, self.reached, builds)

    def training(self, held: bool) -> Training:
        """All of it; `held` where a constant of it can be a credential."""
        self.names.learn(self.tree, self.nodes.all)
        self.scopes = self.connections.scopes = scopes(self.nodes)
        called = self._called_by_name()
        self.flow = Flow(self.names, self.scopes if self.flows else [])
        for scope in self.scopes:
            for node in scope.nodes:
                if isinstance(node, ast.Call):
                    if called.isdisjoint(_last_names(node)):
                        continue
                    self._call(node, scope)
                elif isinstance(node, ast.arguments):
                    self._defaults(node)
                elif isinstance(node, ast.AnnAssign) and _trusting(node):
                    self._say(Kind.TRUST_ANY, node, "trust_remote_code", traits=("default",))
        self.connections.addresses()
        for literal in literals(self.nodes.all, self.names) if held else ():
            self._say(Kind.CREDENTIAL, literal.node, literal.given, literal.shown)
        if any(m.kind in ACCUSABLE for m in self.met):
            self.met += within_reach(self.nodes, self.names, self.connections)
        return Training(
            tuple(dict.fromkeys(self.met)),
            tuple(dict.fromkeys(self.reached)),
            self.names.steps < STEPS and self.flow.whole,
        )

    def _say(
        self, kind: Kind, node: ast.AST, symbol: str, detail: str = "", traits: tuple[str, ...] = ()
    ) -> None:
        self.met.append(Met(kind, getattr(node, "lineno", 1), symbol, detail[:300], traits))

    def _uses(self, kind: Kind, node: ast.AST, symbol: str, fetched: Fetched, *traits: str) -> None:
        """Something is done with what was fetched."""
        marks = (*traits, *_marks(fetched))
        line = getattr(node, "lineno", 1)
        self.met.append(Met(kind, line, symbol, fetched.source[:300], marks, fetched.way))

    def _called_by_name(self) -> frozenset[str]:
        """The last parts of the names of all that matters, and the names that stand for it here."""
        aliases = (n for n, p in self.names.paths.items() if p.dotted.rpartition(".")[2] in _LASTS)
        return _LASTS.union(aliases)

    def _defaults(self, node: ast.arguments) -> None:
        """`def load(name, trust_remote_code=True)`"""
        positional = [*node.posonlyargs, *node.args]
        pairs = [
            *zip(positional[len(positional) - len(node.defaults) :], node.defaults, strict=True),
            *zip(node.kwonlyargs, node.kw_defaults, strict=True),
        ]
        for name, value in pairs:
            if name.arg == "trust_remote_code" and isinstance(value, ast.Constant) and value.value:
                self._say(Kind.TRUST_ANY, name, "trust_remote_code", traits=("default",))

    def _call(self, node: ast.Call, scope: Scope) -> None:
        path = self.names.callee(node)
        dotted = path.dotted if path is not None else ""
        name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        if isinstance(node.func, ast.Name):
            name = node.func.id
        self._loads(node, dotted, name, scope)
        self._trusts(node, dotted, name)
        self._hub(node, dotted, name)
        if dotted in lists().telemetry:
            host = lists().telemetry[dotted]
            self.reached.append(Reached(host, node.lineno, "reports", dotted, True))
        known = effects(dotted) if dotted else ()
        if "execute" in known and path is not None and not path.made:
            self._executes(node, dotted)
        elif name in ("system", "getoutput") and _of_notebook(node.func):
            self._executes(node, f"IPython.get_ipython.{name}")
        if dotted in ("builtins.exec", "builtins.eval", "builtins.compile") and node.args:
            fetched = self.flow.of(node.args[0], scope)
            if fetched is not None:
                self._uses(Kind.FETCHED_CODE, node, dotted, fetched)
        if "connect" in known or "send" in known:
            self.connections.connects(node, dotted, name, scope)
        if name == "recv_pyobj":
            self._say(Kind.RECEIVED, node, name, "pickle")

    # -- what is rebuilt -------------------------------------------------------------------------

    def _loads(self, node: ast.Call, dotted: str, name: str, scope: Scope) -> None:
        sort = lists().loaders.get(dotted)
        if sort is None and name == "load_state_dict_from_url":
            sort = "address"
        if sort is None:
            return
        traits: tuple[str, ...] = ()
        if any(k.arg is None for k in node.keywords):
            return  # what is handed on decides
        if sort in ("torch", "address"):
            asked = keyword(node, "weights_only")
            if isinstance(asked, ast.Constant):
                if asked.value is True:
                    return
                traits = ("unsafe",) if asked.value is False else ("unsaid",)
            elif asked is not None:
                return  # a caller decides
            else:
                traits = ("unsafe",) if sort == "address" else ("unsaid",)
        elif sort == "numpy":
            asked = keyword(node, "allow_pickle")
            if not (isinstance(asked, ast.Constant) and asked.value is True):
                return
            traits = ("unsafe",)
        elif sort == "yaml":
            loader = argument(node, 1, "Loader")
            path = self.names.resolve(loader) if loader is not None else None
            if path is None or path.dotted.rpartition(".")[2] not in ("UnsafeLoader", "Loader"):
                return
            traits = ("unsafe",)
        else:
            traits = ("unsafe",)
        given = node.args[0] if node.args else None
        if given is None:
            given = next((k.value for k in node.keywords if k.arg in ("f", "url", "file")), None)
        if given is None:
            return
        fetched = self.flow.of(given, scope)
        if sort == "address" or (fetched is None and sort in ("torch", "pickle", "numpy")):
            text = spelled(given, self.names)
            if sort == "address" or (text is not None and URL.match(text)):
                digest = keyword(node, "check_hash")
                checked = isinstance(digest, ast.Constant) and digest.value is True
                fetched = Fetched(text or UNKNOWN, checked=checked)
        if fetched is None:
            return
        kind = Kind.RECEIVED if fetched.received else Kind.LOAD
        self._uses(kind, node, dotted or name, fetched, *traits)

    # -- what is let in ---------------------------------------------------------------------------

    def _trusts(self, node: ast.Call, dotted: str, name: str) -> None:
        if dotted == "torch.hub.load":
            local = keyword(node, "source")
            given = spelled(node.args[0], self.names) if node.args else None
            if isinstance(local, ast.Constant) and local.value == "local":
                return
            if given is None:
                self._say(Kind.TRUST_ANY, node, dotted)
            elif _REPOSITORY.match(given) and not given.startswith((".", "/")):
                pinned = ("pinned",) if is_commit(given.rpartition(":")[2]) else ()
                self._say(Kind.TRUST, node, dotted, given, pinned)
            return
        asked = keyword(node, "trust_remote_code")
        if not isinstance(asked, ast.Constant) or asked.value is not True:
            if name == "add_argument" and _is_option(node, "--trust_remote_code"):
                default = keyword(node, "default")
                if isinstance(default, ast.Constant) and default.value is True:
                    self._say(Kind.TRUST_ANY, node, "trust_remote_code", traits=("default",))
            return
        given = self._repository(node)
        symbol = dotted or name or "trust_remote_code"
        if given is None or UNKNOWN in given:
            self._say(Kind.TRUST_ANY, node, symbol)
            return
        if not _REPOSITORY.fullmatch(given):
            return  # a path, or a name of the library's own
        code = keyword(node, "code_revision") or keyword(node, "revision")
        held = code is not None and is_commit(self.names.constant(code))
        kind = Kind.DATA_SCRIPT if name == "load_dataset" else Kind.TRUST
        self._say(kind, node, symbol, given, ("pinned",) if held else ())

    def _repository(self, node: ast.Call) -> str | None:
        words = ("pretrained_model_name_or_path", "repo_id", "path", "model", "model_name",
                 "pretrained", "model_id", "name")  # fmt: skip
        given = node.args[0] if node.args else None
        if given is None or spelled(given, self.names) is None:
            given = next((k.value for k in node.keywords if k.arg in words), given)
        return spelled(given, self.names) if given is not None else None

    def _hub(self, node: ast.Call, dotted: str, name: str) -> None:
        """What is loaded from a hub, in which revision."""
        if name not in _LOADS:
            return
        self.reached.append(Reached("huggingface.co", node.lineno, "calls", dotted or name))
        given = self._repository(node)
        if given is None or not _NAME.match(given) or given.endswith(("/", ".json")):
            return
        if name == "load_dataset":
            if given in _EXTRAS:
                return
            if given.endswith(".py") or URL.match(given):
                self._say(Kind.DATA_SCRIPT, node, dotted or name, given)
                return
        if not (_REPOSITORY.fullmatch(given) or _NAME.fullmatch(given)):
            return
        revision = keyword(node, "revision")
        if revision is not None:
            value = self.names.constant(revision)
            if value is None and not _is_none(revision):
                return  # a caller decides
            if is_commit(value):
                return
        self._say(Kind.LOOSE, node, dotted or name, given)

    # -- what is started -------------------------------------------------------------------------

    def _executes(self, node: ast.Call, dotted: str) -> None:
        command = started(node, dotted, self.names)
        if command is None:
            return
        said = False
        for act in command.acts(node.lineno):
            if act.kind in COMMANDS:
                said = True
                traits = (act.kind.value, *(("vendor",) if act.target == "vendor" else ()))
                detail = act.detail or act.text
                self.met.append(Met(Kind.COMMAND, node.lineno, dotted, detail[:300], traits))
        if (
            not said
            and command.installs()
            and UNKNOWN in " ".join(command.words or (command.text or "",))
        ):
            traits = ("file",) if command.installs_files() else ()
            what = " ".join(command.words) or command.text or ""
            self._say(Kind.INSTALL_ANY, node, dotted, what, traits)
        elif command.dynamic:
            self._say(Kind.SHELL, node, dotted, command.text or "")
        if self.builds:
            what = " ".join(command.words) or command.text or ""
            self._say(Kind.BUILD, node, dotted, what, ("starts",))

    # -- where it connects ------------------------------------------------------------------------


def _marks(fetched: Fetched) -> tuple[str, ...]:
    marks = (("pinned", fetched.pinned), ("checked", fetched.checked), ("hub", fetched.hub))
    return tuple(name for name, holds in marks if holds)


def _last_names(node: ast.Call) -> tuple[str, ...]:
    """The last part of a callee's name, and the keywords that matter by themselves."""
    func = node.func
    last = func.attr if isinstance(func, ast.Attribute) else ""
    last = func.id if isinstance(func, ast.Name) else last
    if not last:
        return _ANY
    return (last, *(k.arg for k in node.keywords if k.arg == "trust_remote_code"))


def _of_notebook(node: ast.expr) -> bool:
    """`get_ipython().…`, which a notebook need not import."""
    owner = node.value if isinstance(node, ast.Attribute) else None
    return isinstance(owner, ast.Call) and _named(owner.func, "get_ipython")


def _trusting(node: ast.AnnAssign) -> bool:
    """`trust_remote_code: bool = True` in a class of settings."""
    given = node.value
    yes = isinstance(given, ast.Constant) and given.value is True
    return yes and _named(node.target, "trust_remote_code")


def _named(node: ast.AST | None, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def _is_none(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _is_option(node: ast.Call, option: str) -> bool:
    return any(
        isinstance(a, ast.Constant) and str(a.value).replace("-", "_") == option.replace("-", "_")
        for a in node.args
    )


_ANY: Final = ("trust_remote_code",)
_LASTS: Final = frozenset(
    {n.rpartition(".")[2] for n in (*lists().loaders, *lists().telemetry, *lists().downloads)}
    | {n.rpartition(".")[2] for e in ("execute", "connect", "send") for n in known(e)}
    | _LOADS | SENDS | lists().hub_downloads
    | {"exec", "eval", "compile", "recv_pyobj", "system", "getoutput", "add_argument", "request",
       "get", "delete", "head", "stream", "trust_remote_code", "getattr", "partial"}
)  # fmt: skip
"""The last parts of the names of what is looked for."""
