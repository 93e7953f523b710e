"""What a shell script does that matters to a supply chain: it runs what it has downloaded, installs
from places that can change, fetches models, publishes, runs files that lie beside it.

Every rule looks at parsed commands. A text that is printed, quoted or commented is none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from weighbridge.formats.shell import Command, Script, Word, read

DEPTH: Final = 4
"""How many shells within shells (`bash -c`) are followed."""
SHOWN: Final = 160


class Kind(StrEnum):
    """What is done."""

    REMOTE_SCRIPT = "remote-script"
    """Something that was downloaded is run, and nothing compares it with what was meant."""
    INSTALL_GIT = "install-git"
    """A package is installed from git, from no commit that is fixed."""
    INSTALL_PLAIN = "install-plain"
    """A package is installed without the protection of TLS."""
    INSTALL_INDEX = "install-index"
    """A second index is asked for the same names as the first."""
    INSTALL_UNPINNED = "install-unpinned"
    """Packages are installed in whatever version is the newest."""
    MODEL_DOWNLOAD = "model-download"
    """A model or data set is fetched without naming a commit."""
    PUBLISH = "publish"
    """Something is written where others take it from; `detail` says what sort of thing."""
    LITERAL_SECRET = "literal-secret"
    """A credential stands in the command itself."""
    LOCAL_CODE = "local-code"
    """A program that lies in the working folder is run; `target` is it, where it has a name."""
    FOREIGN_CHECKOUT = "foreign-checkout"
    """The working folder is changed to a revision that is named from outside."""
    FOREIGN_FETCH = "foreign-fetch"
    """A revision that is named from outside is fetched; the working folder stays as it is. `target`
    is the name that it gets here, if it gets one."""
    REVISION = "revision"
    """The working folder is changed to another revision."""
    ARTIFACT = "artifact"
    """An artifact of another run is fetched."""
    AGENT = "agent"
    """A language model is asked, with tools of its own."""
    PERMISSION = "permission"
    """The permission of an account is asked for."""


@dataclass(frozen=True, slots=True)
class Act:
    """One thing that is done: in which line, and how the command reads."""

    kind: Kind
    line: int
    text: str
    detail: str = ""
    target: str = ""


_SHELLS: Final = frozenset(("sh", "bash", "zsh", "dash", "ksh", "ash", "pwsh", "powershell"))
_INTERPRETERS: Final = re.compile(r"python[\d.]*|pypy[\d.]*|perl|ruby|node|php|deno|bun")
_PYTHON: Final = re.compile(r"(?:python|pypy)[\d.]*(?:\.exe)?|py")
_FETCHERS: Final = frozenset(("curl", "wget", "aria2c", "iwr", "irm", "invoke-webrequest",
                              "invoke-restmethod"))  # fmt: skip
_THROUGH: Final = frozenset(("tee", "gunzip", "zcat", "xz", "base64", "cat", "tr", "dos2unix",
                             "bunzip2", "envsubst"))  # fmt: skip
_WRAPPERS: Final = frozenset(("sudo", "doas", "exec", "command", "nohup", "builtin", "stdbuf",
                              "nice",
                              "ionice", "env", "timeout", "time", "retry", "xvfb-run", "setsid",
                              "xargs", "watch", "script"))  # fmt: skip
_WITH_VALUE: Final = {
    "sudo": frozenset(("-u", "-g", "-h", "-p", "-C", "-r", "-t")),
    "env": frozenset(("-u", "-C", "-S")),
    "timeout": frozenset(("-k", "-s", "--signal", "--kill-after")),
    "xargs": frozenset(("-n", "-I", "-P", "-L", "-d", "-a", "-E", "-s")),
    "nice": frozenset(("-n",)),
    "stdbuf": frozenset(("-i", "-o", "-e")),
}
_SHA: Final = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}", re.IGNORECASE)
_URL: Final = re.compile(r"(?:https?|ftp)://[^\s'\"|)]+", re.IGNORECASE)
_CHECKING: Final = frozenset(("sha256sum", "sha512sum", "shasum", "gpg", "gpgv", "cosign",
                              "minisign",
                              "b2sum", "md5sum", "openssl", "slsa-verifier"))  # fmt: skip
_PULL: Final = re.compile(r"\bpull/[^/]{1,200}/(?:head|merge)")
_GIT: Final = re.compile(r"\b(?:git|hg)\+[a-z+]{1,20}://\S+")
_REQUIREMENT: Final = re.compile(r"[A-Za-z][\w.-]*(?:\[[\w,.-]*\])?\s*(?:[<>=!~]|$)")
_HUB: Final = re.compile(r"https?://(?:www\.)?(?:huggingface\.co|hf\.co)/", re.IGNORECASE)
_PINNED: Final = re.compile(r"===?\s*[\w.]*\d[\w.+!-]*$|\.whl$|@\s*(?:https|file)|[0-9a-f]{40}")
_PIP_VALUE: Final = frozenset((
    "-r", "--requirement", "-c", "--constraint", "-i", "--index-url", "--extra-index-url", "-f",
    "--find-links", "--trusted-host", "-t", "--target", "--python", "-p", "--prefix", "--root",
    "--timeout", "--retries", "--cache-dir", "--platform", "--python-version", "--implementation",
    "--abi", "--progress-bar", "--only-binary", "--no-binary", "--proxy", "--index",
    "--default-index", "--index-strategy", "--torch-backend", "--prerelease", "--override",
    "--build-constraint", "-b", "--log", "--src", "--upgrade-strategy", "--extra", "--group",
    "--config-settings", "-C", "--global-option", "--no-build-isolation-package", "--with",
    "--upgrade-package", "-P", "--refresh-package", "--reinstall-package", "--resolution",
    "--exclude-newer", "--link-mode", "--keyring-provider", "--directory", "--project",
))  # fmt: skip
_PROGRAMS: Final = frozenset(("make", "gmake", "cmake", "ninja", "tox", "nox", "pytest", "py.test",
    "npm", "yarn", "pnpm", "npx", "bun", "cargo", "gradle", "mvn", "gradlew", "bazel", "meson",
    "pre-commit", "poetry", "hatch", "pdm", "rake", "bundle", "composer", "just", "task",
    "invoke", "sphinx-build", "mkdocs", "jupyter", "papermill", "accelerate", "torchrun",
    "deepspeed", "modal", "cibuildwheel", "maturin", "scons", "ctest", "coverage", "mypy", "pylint",
    "doc-builder", "ansible-playbook", "docker-compose", "earthly"))  # fmt: skip
"""Programs that run what the working folder says."""
_PUBLISHERS: Final[tuple[tuple[tuple[str, ...], str], ...]] = (
    (("hf", "upload"), "model"),
    (("hf", "upload-large-folder"), "model"),
    (("huggingface-cli", "upload"), "model"),
    (("huggingface-cli", "upload-large-folder"), "model"),
    (("ollama", "push"), "model"),
    (("twine", "upload"), "package"),
    (("uv", "publish"), "package"),
    (("poetry", "publish"), "package"),
    (("flit", "publish"), "package"),
    (("hatch", "publish"), "package"),
    (("pdm", "publish"), "package"),
    (("maturin", "publish"), "package"),
    (("maturin", "upload"), "package"),
    (("npm", "publish"), "package"),
    (("pnpm", "publish"), "package"),
    (("yarn", "publish"), "package"),
    (("cargo", "publish"), "package"),
    (("anaconda", "upload"), "package"),
    (("conda", "upload"), "package"),
    (("gem", "push"), "package"),
    (("docker", "push"), "image"),
    (("docker", "image", "push"), "image"),
    (("docker", "manifest", "push"), "image"),
    (("docker", "buildx", "imagetools", "create"), "image"),
    (("podman", "push"), "image"),
    (("buildah", "push"), "image"),
    (("crane", "push"), "image"),
    (("crane", "copy"), "image"),
    (("skopeo", "copy"), "image"),
    (("oras", "push"), "image"),
    (("helm", "push"), "image"),
    (("gh", "release", "create"), "release"),
    (("gh", "release", "upload"), "release"),
    (("git", "push"), "commit"),
)
_PLATFORM_INDEX: Final = re.compile(
    r"https://(?:download\.pytorch\.org|pypi\.nvidia\.com|pypi\.org|pypi\.ngc\.nvidia\.com"
    r"|wheels\.vllm\.ai|storage\.googleapis\.com)(?:/|$)"
)
"""Indexes that projects of this field name as a second one, by their own vendors."""


@dataclass(frozen=True, slots=True)
class Run:
    """A command without what only wraps it (`sudo`, `env`, `timeout`)."""

    program: str
    words: tuple[Word, ...]
    command: Command

    @property
    def arguments(self) -> tuple[str, ...]:
        """The texts behind the program."""
        return tuple(w.text for w in self.words[1:])

    @property
    def text(self) -> str:
        """How it reads, shortened."""
        whole = " ".join(w.text for w in self.command.words)
        whole = " ".join(whole.split())
        return whole if len(whole) <= SHOWN else whole[: SHOWN - 1] + "…"


def runs(script: Script, depth: int = 0) -> Iterator[Run]:
    """What a script runs, in order; scripts that stand in an argument (`bash -c`) are opened."""
    for command in script.everything():
        words = command.words
        while words and (name := _base(words[0].text)) in _WRAPPERS:
            inner = _unwrapped(name, words)
            if inner == words:
                break
            words = inner
        if not words:
            continue
        run = Run(_base(words[0].text), words, command)
        yield run
        if depth < DEPTH and (text := _spoken(run)) is not None:
            yield from runs(read(text.text, text.line), depth + 1)


def _base(text: str) -> str:
    """The name of a program without its folder."""
    if text.startswith(("./", "../")) or "$" in text:
        return text
    return text.rpartition("/")[2].removesuffix(".exe")


def _unwrapped(name: str, words: tuple[Word, ...]) -> tuple[Word, ...]:
    with_value = _WITH_VALUE.get(name, frozenset())
    at = 1
    while at < len(words):
        text = words[at].text
        if text in with_value:
            at += 2
        elif (
            text.startswith("-")
            or (name == "env" and re.match(r"\w+=", text))
            or (name in ("timeout", "retry") and re.fullmatch(r"[\d.]+[smhd]?", text))
        ):
            at += 1
        else:
            break
    return words[at:]


def _spoken(run: Run) -> Word | None:
    """The script that a shell is given as an argument, or `eval` as its words."""
    if run.program in _SHELLS:
        for number, word in enumerate(run.words[1:], 1):
            text = word.text
            if text.startswith("-") and not text.startswith("--") and text.endswith("c"):
                return run.words[number + 1] if number + 1 < len(run.words) else None
            if not text.startswith("-"):
                return None
    if run.program == "eval" and len(run.words) > 1:
        return Word(" ".join(run.arguments), run.command.line)
    heredoc = next((r.target for r in run.command.redirects if r.operator == "<<"), None)
    if run.program in _SHELLS and heredoc is not None:
        return heredoc
    return None


def acts(script: Script) -> Iterator[Act]:
    """What a script does, in order."""
    fetched: dict[str, str] = {}
    checked = False
    before: Run | None = None
    source = ""  # what flows through the pipe that is being read
    for run in runs(script):
        arguments = run.arguments
        source = source if run.command.piped else ""
        if run.program in _FETCHERS:
            source = _address(run) or "an address"
            if place := _saved(run):
                fetched[place] = source
        elif run.program in _CHECKING and not (
            run.program == "openssl" and "dgst" not in arguments
        ):
            checked = True
        if source and run.command.piped and _takes_program(run):
            yield _act(Kind.REMOTE_SCRIPT, run, f"{_joined(before, run)}", source)
            source = ""
        elif run.program not in _FETCHERS and run.program not in _THROUGH:
            source = ""
        yield from _substituted(run)
        if not checked and (started := _started(run)) is not None:
            for name, address in fetched.items():
                if _same(started, name):
                    yield _act(Kind.REMOTE_SCRIPT, run, run.text, address)
                    break
        yield from _of_program(run)
        before = run


def _act(kind: Kind, run: Run, text: str = "", detail: str = "", target: str = "") -> Act:
    return Act(kind, run.command.line, text or run.text, detail, target)


def _joined(before: Run | None, run: Run) -> str:
    return f"{before.text} | {run.text}"[: 2 * SHOWN] if before is not None else run.text


def _address(run: Run) -> str:
    found = next((m[0] for a in run.arguments if (m := _URL.search(a))), "")
    return found or next((a for a in run.arguments if "$" in a and not a.startswith("-")), "")


def _saved(run: Run) -> str:
    """The file that a download is written to."""
    target = next((r.target.text for r in run.command.redirects if r.operator in (">", ">>")), "")
    if target:
        return target
    arguments = run.arguments
    for number, text in enumerate(arguments):
        if text in ("-o", "--output", "-O", "--output-document", "-OutFile", "-outfile"):
            following = arguments[number + 1] if number + 1 < len(arguments) else ""
            if run.program == "curl" and text == "-O":
                break
            if following and not following.startswith("-"):
                return following
        if text.startswith(("--output=", "--output-document=")):
            return text.partition("=")[2]
        short = run.program == "curl" and re.fullmatch(r"-[A-Za-z]*o", text)
        if short and number + 1 < len(arguments):
            return arguments[number + 1]
    address = _address(run)
    named = run.program == "wget" or any(
        re.fullmatch(r"-[A-Za-z]*O|--remote-name", a) for a in arguments
    )
    return address.rpartition("/")[2].partition("?")[0] if named else ""


def _takes_program(run: Run) -> bool:
    """Whether a command at the end of a pipe runs what comes through it."""
    arguments = run.arguments
    if run.program in _SHELLS:
        return not any(
            not a.startswith("-") for a in arguments[: 1 if "-s" not in arguments else 0]
        )
    if run.program in ("iex", "invoke-expression"):
        return True
    if _INTERPRETERS.fullmatch(run.program):
        return not arguments or arguments[0] == "-"
    return run.program in ("source", ".") and arguments[:1] == ("/dev/stdin",)


def _substituted(run: Run) -> Iterator[Act]:
    """`bash <(curl …)`, `sh -c "$(curl …)"`, `eval "$(curl …)"`."""
    shell = run.program in _SHELLS or run.program in ("eval", "source", ".", "iex")
    if not shell and not _INTERPRETERS.fullmatch(run.program):
        return
    for number, word in enumerate(run.words[1:], 1):
        whole = shell and (
            run.program in ("eval", "iex") or word.text.startswith(("$(", "<(", "`"))
        )
        if not word.inner or not (whole or word.text.startswith("<(")):
            continue
        if number > 1 and not run.words[number - 1].text.startswith("-"):
            continue  # an argument of the program, not the program
        for inner in word.inner:
            if inner.commands and (last := next(runs(inner), None)) and last.program in _FETCHERS:
                yield _act(Kind.REMOTE_SCRIPT, run, run.text, _address(last) or "an address")


def _started(run: Run) -> str | None:
    """The file that a command runs as a program."""
    if (
        run.program in _SHELLS
        or run.program in ("source", ".")
        or _INTERPRETERS.fullmatch(run.program)
    ):
        return next((a for a in run.arguments if not a.startswith("-")), None)
    return run.words[0].text if "/" in run.words[0].text else None


def _same(place: str, name: str) -> bool:
    return place.removeprefix("./") == name.removeprefix("./")


def _of_program(run: Run) -> Iterator[Act]:
    """What is known of a program and its arguments."""
    program, arguments = run.program, run.arguments
    if (python := _PYTHON.fullmatch(program)) and arguments[:1] == ("-m",) and len(arguments) > 1:
        module = arguments[1]
        program, arguments = (
            {"pip": "pip", "twine": "twine", "build": "python-build"}.get(module, f"-m {module}"),
            arguments[2:],
        )
    if re.fullmatch(r"pip[\d.]*|pipx|micropip|%pip", program):
        yield from _install(run, program, arguments)
    elif program == "uv" and arguments[:1] == ("pip",):
        yield from _install(run, program, arguments[1:])
    elif program in ("uv", "uvx") and (
        program == "uvx"
        or arguments[:2] in (("tool", "install"), ("tool", "run"))
        or arguments[:1] == ("add",)
    ):
        yield from _install(run, program, ("install", *arguments))
    yield from _published(run, program, arguments)
    yield from _downloaded(run, program, arguments)
    yield from _credentials(run, program, arguments)
    yield from _git(run, program, arguments)
    if program == "gh" and arguments[:1] == ("api",):
        if any("/collaborators/" in a and "/permission" in a for a in arguments):
            yield _act(Kind.PERMISSION, run)
    elif program in _FETCHERS and any("/collaborators/" in a for a in arguments):
        yield _act(Kind.PERMISSION, run)
    if (target := _local(run, program, arguments, bool(python))) is not None:
        yield _act(Kind.LOCAL_CODE, run, target=target)


def _install(run: Run, program: str, arguments: tuple[str, ...]) -> Iterator[Act]:
    """`pip install`, `uv pip install`, `pipx install`, `uvx`."""
    if not arguments or arguments[0] not in (
        "install",
        "sync",
        "download",
        "wheel",
        "run",
        "inject",
    ):
        return
    loose: list[str] = []
    at = 1
    lists = False
    while at < len(arguments):
        text = arguments[at]
        name, has_value, value = text.partition("=") if text.startswith("--") else (text, "", "")
        if not has_value and name in _PIP_VALUE:
            at += 1
            value = arguments[at] if at < len(arguments) else ""
        if name in ("-i", "--index-url", "--extra-index-url", "-f", "--find-links", "--index",
                    "--default-index") and value.lower().startswith("http://"):  # fmt: skip
            yield _act(Kind.INSTALL_PLAIN, run, detail=value)
        elif name == "--trusted-host":
            yield _act(Kind.INSTALL_PLAIN, run, detail=f"the certificate of {value} is not checked")
        elif name in ("--extra-index-url", "--index"):
            known = "vendor" if _PLATFORM_INDEX.match(value) else ""
            yield _act(Kind.INSTALL_INDEX, run, detail=value, target=known)
        elif name in ("-r", "--requirement"):
            lists = True
        elif not text.startswith("-"):
            if found := _GIT.search(text):
                if not _pinned(found[0]):
                    yield _act(Kind.INSTALL_GIT, run, detail=found[0])
            elif text.lower().startswith("http://"):
                yield _act(Kind.INSTALL_PLAIN, run, detail=text)
            elif _REQUIREMENT.match(text) and not (
                _PINNED.search(text[:300]) or text.endswith((".txt", ".toml"))
            ):
                loose.append(text)
        at += 1
    if loose and not lists and program not in ("uvx",) and "--require-hashes" not in arguments:
        yield _act(Kind.INSTALL_UNPINNED, run, detail=" ".join(loose[:8]))


def _pinned(address: str) -> bool:
    """Whether a git address names a commit in full."""
    revision = address.partition("#")[0].partition("://")[2].partition("/")[2].rpartition("@")
    return bool(revision[1]) and _SHA.fullmatch(revision[2]) is not None


def _published(run: Run, program: str, arguments: tuple[str, ...]) -> Iterator[Act]:
    plain = (program, *(a for a in arguments if not a.startswith("-")))
    for pattern, what in _PUBLISHERS:
        if plain[: len(pattern)] == pattern:
            if program == "git" and "--dry-run" in arguments:
                return
            yield _act(Kind.PUBLISH, run, detail=what)
            return
    if program == "docker" and "build" in plain[1:3] and "--push" in arguments:
        yield _act(Kind.PUBLISH, run, detail="image")
    elif program == "aws" and plain[1:3] in (("s3", "cp"), ("s3", "sync"), ("s3", "mv")):
        if plain[-1].startswith("s3://"):
            yield _act(Kind.PUBLISH, run, detail="files")
    elif program in ("gsutil", "gcloud") and plain[-1].startswith("gs://") and "cp" in plain:
        yield _act(Kind.PUBLISH, run, detail="files")
    elif program in ("setup.py",) or (plain[1:3] == ("setup.py", "upload")):
        yield _act(Kind.PUBLISH, run, detail="package")


def _downloaded(run: Run, program: str, arguments: tuple[str, ...]) -> Iterator[Act]:
    if program in ("hf", "huggingface-cli") and arguments[:1] == ("download",):
        revision = _value(arguments, "--revision")
        if not _SHA.fullmatch(revision) and "$" not in revision:
            name = next((a for a in arguments[1:] if not a.startswith("-")), "")
            yield _act(Kind.MODEL_DOWNLOAD, run, detail=name)
    elif program in _FETCHERS:
        for text in arguments:
            if _HUB.match(text) and "/resolve/" in text:
                revision = text.partition("/resolve/")[2].partition("/")[0]
                if not _SHA.fullmatch(revision) and "$" not in revision:
                    yield _act(Kind.MODEL_DOWNLOAD, run, detail=text)
    elif program == "git" and "clone" in arguments[:2]:
        address = next((a for a in arguments if _HUB.match(a)), "")
        if address:
            yield _act(Kind.MODEL_DOWNLOAD, run, detail=address)


def _value(arguments: tuple[str, ...], *names: str) -> str:
    for number, text in enumerate(arguments):
        if text in names:
            return arguments[number + 1] if number + 1 < len(arguments) else ""
        if any(text.startswith(f"{name}=") for name in names):
            return text.partition("=")[2]
    return ""


_TOKEN_OPTIONS: Final = {
    "hf": ("--token",),
    "huggingface-cli": ("--token",),
    "twine": ("-p", "--password"),
    "uv": ("--token", "--publish-token", "-t", "-p", "--password"),
    "docker": ("-p", "--password"),
    "podman": ("-p", "--password"),
    "wandb": ("--api-key",),
    "anaconda": ("-t", "--token"),
    "mysql": (),
}


def _credentials(run: Run, program: str, arguments: tuple[str, ...]) -> Iterator[Act]:
    names = _TOKEN_OPTIONS.get(program, ())
    if program == "docker" and arguments[:1] != ("login",):
        names = ()
    if program == "uv" and arguments[:1] != ("publish",):
        names = ()
    value = _value(arguments, *names) if names else ""
    if program == "wandb" and arguments[:1] == ("login",):
        value = next((a for a in arguments[1:] if not a.startswith("-")), "")
    if program in _FETCHERS:
        header = next(
            (a for a in arguments if re.match(r"(?:proxy-)?authorization\s*:", a, re.I)), ""
        )
        value = header.rpartition(" ")[2] if header else ""
    if _credible(value):
        shown = run.text.replace(value, f"{value[:4]}…")
        yield _act(Kind.LITERAL_SECRET, run, shown, f"{value[:4]}… ({len(value)} characters)")


def _credible(value: str) -> bool:
    """Whether a text can be a credential: long, mixed, and nothing that stands for one."""
    if len(value) < 16 or any(c in value for c in "$`{}<>* ") or not value.isascii():
        return False
    kinds = (any(c.isdigit() for c in value), any(c.isalpha() for c in value))
    fake = re.search(r"example|your|token|secret|password|dummy|test|xxxx|(.)\1{4}", value, re.I)
    return all(kinds) and len(set(value)) >= 10 and not fake


def _git(run: Run, program: str, arguments: tuple[str, ...]) -> Iterator[Act]:
    if program == "gh" and arguments[:2] == ("pr", "checkout"):
        yield _act(Kind.FOREIGN_CHECKOUT, run)
    elif program == "gh" and arguments[:2] == ("run", "download"):
        yield _act(Kind.ARTIFACT, run)
    elif program == "git" and "fetch" in arguments[:3]:
        if pulled := next(filter(_PULL.search, arguments), None):
            name = pulled.partition(":")[2].removeprefix("refs/heads/")
            yield _act(Kind.FOREIGN_FETCH, run, target=name)
    elif program == "git" and "pull" in arguments[:3] and any(map(_PULL.search, arguments)):
        yield _act(Kind.FOREIGN_CHECKOUT, run)
    elif program == "git" and not _MOVES.isdisjoint(arguments[:3]):
        yield _act(Kind.REVISION, run)


_MOVES: Final = frozenset(("checkout", "switch", "merge", "reset", "rebase", "cherry-pick",
                           "worktree", "read-tree", "restore", "apply", "am"))  # fmt: skip
"""What git does to change the files of the working folder."""


_INERT_MODULES: Final = ("venv", "ensurepip", "json.tool", "http.server", "zipfile", "tarfile",
                         "virtualenv", "compileall", "py_compile", "black", "ruff", "isort",
                         "flake8", "pip", "twine")  # fmt: skip


def _local(run: Run, program: str, arguments: tuple[str, ...], python: bool) -> str | None:
    """The file of the working folder that is run; empty where the program reads what to run from
    the folder; None where nothing of it is run."""
    first = run.words[0].text
    if first.startswith(("./", "../")):
        return first
    if program in _SHELLS or program in ("source", "."):
        place = next((a for a in arguments if not a.startswith("-")), None)
        if place is not None and place.endswith("/activate"):
            return None  # an environment of Python, which is made in place
        return (
            place
            if place and "-c" not in arguments and not place.startswith(("$", "<", "/"))
            else None
        )
    if re.fullmatch(r"pip[\d.]*", program) or (program == "uv" and arguments[:1] == ("pip",)):
        packages = arguments[1:] if program == "uv" else arguments
        if "install" in packages[:1] or "wheel" in packages[:1]:
            local = [a for a in packages[1:] if re.match(r"\.{1,2}(?:/|\[|$)", a)]
            listed = any(a in ("-r", "--requirement") for a in packages)
            return local[0] if local else ("" if listed else None)
        return None
    if program == "twine":
        return None
    if _INTERPRETERS.fullmatch(run.program):
        if python and program.startswith("-m "):
            return None if program[3:] in _INERT_MODULES else ""
        if program == "python-build":
            return ""
        place = next((a for a in arguments if not a.startswith("-")), None)
        inline = any(a in ("-c", "-e", "-", "-m") for a in arguments[:2])
        return place if place and not inline and not place.startswith(("$", "/", "<")) else None
    if program == "uv" and arguments[:1] in (("run",), ("sync",), ("build",)):
        rest = [a for a in arguments[1:] if not a.startswith("-")]
        return rest[0] if rest and rest[0].endswith((".py", ".sh")) else ""
    if program == "docker" and "build" in arguments[:2]:
        return ""
    if program in ("go", "dotnet") and arguments[:1] in (
        ("test",),
        ("run",),
        ("generate",),
        ("build",),
    ):
        return "" if program == "dotnet" or arguments[0] in ("test", "run", "generate") else None
    return "" if program in _PROGRAMS else None
