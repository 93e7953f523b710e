"""What is known of a program and its arguments."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from weighbridge.analysis.shell_installs import installed
from weighbridge.analysis.shell_kinds import Act, Kind
from weighbridge.analysis.shell_publishing import published
from weighbridge.analysis.shell_runs import INTERPRETERS, PYTHON, SHELLS, Run
from weighbridge.core.regex import regex

FETCHERS: Final = frozenset(("curl", "wget", "aria2c", "iwr", "irm", "invoke-webrequest",
                              "invoke-restmethod"))  # fmt: skip
_SHA: Final = regex(r"[0-9a-f]{40}|[0-9a-f]{64}", re.IGNORECASE)
_PULL: Final = regex(r"\bpull/[^/]{1,200}/(?:head|merge)")
_HUB: Final = regex(r"https?://(?:www\.)?(?:huggingface\.co|hf\.co)/", re.IGNORECASE)
_PROGRAMS: Final = frozenset(("make", "gmake", "cmake", "ninja", "tox", "nox", "pytest", "py.test",
    "npm", "yarn", "pnpm", "npx", "bun", "cargo", "gradle", "mvn", "gradlew", "bazel", "meson",
    "pre-commit", "poetry", "hatch", "pdm", "rake", "bundle", "composer", "just", "task",
    "invoke", "sphinx-build", "mkdocs", "jupyter", "papermill", "accelerate", "torchrun",
    "deepspeed", "modal", "cibuildwheel", "maturin", "scons", "ctest", "coverage", "mypy", "pylint",
    "doc-builder", "ansible-playbook", "docker-compose", "earthly"))  # fmt: skip
"""Programs that run what the working folder says."""


def of_program(run: Run) -> Iterator[Act]:
    """What is known of a program and its arguments."""
    program, arguments = run.program, run.arguments
    if (python := PYTHON.fullmatch(program)) and arguments[:1] == ("-m",) and len(arguments) > 1:
        module = arguments[1]
        program, arguments = (
            {"pip": "pip", "twine": "twine", "build": "python-build"}.get(module, f"-m {module}"),
            arguments[2:],
        )
    if re.fullmatch(r"pip[\d.]*|pipx|micropip|%pip", program):
        yield from installed(run, program, arguments)
    elif program == "uv" and arguments[:1] == ("pip",):
        yield from installed(run, program, arguments[1:])
    elif program in ("uv", "uvx") and (
        program == "uvx"
        or arguments[:2] in (("tool", "install"), ("tool", "run"))
        or arguments[:1] == ("add",)
    ):
        yield from installed(run, program, ("install", *arguments))
    yield from published(run, program, arguments)
    yield from _downloaded(run, program, arguments)
    yield from _credentials(run, program, arguments)
    yield from _git(run, program, arguments)
    if program == "gh" and arguments[:1] == ("api",):
        if any("/collaborators/" in a and "/permission" in a for a in arguments):
            yield run.act(Kind.PERMISSION)
        if any("/actions/artifacts/" in a and a.endswith("/zip") for a in arguments):
            yield run.act(Kind.ARTIFACT)
    elif program in FETCHERS and any("/collaborators/" in a for a in arguments):
        yield run.act(Kind.PERMISSION)
    elif program in FETCHERS and any("/actions/artifacts/" in a for a in arguments):
        yield run.act(Kind.ARTIFACT)
    if (target := _local(run, program, arguments, bool(python))) is not None:
        yield run.act(Kind.LOCAL_CODE, target=target)


def _downloaded(run: Run, program: str, arguments: tuple[str, ...]) -> Iterator[Act]:
    if program in ("hf", "huggingface-cli") and arguments[:1] == ("download",):
        revision = _value(arguments, "--revision")
        if not _SHA.fullmatch(revision) and "$" not in revision:
            name = next((a for a in arguments[1:] if not a.startswith("-")), "")
            yield run.act(Kind.MODEL_DOWNLOAD, detail=name)
    elif program in FETCHERS:
        for text in arguments:
            if _HUB.match(text) and "/resolve/" in text:
                revision = text.partition("/resolve/")[2].partition("/")[0]
                if not _SHA.fullmatch(revision) and "$" not in revision:
                    yield run.act(Kind.MODEL_DOWNLOAD, detail=text)
    elif program == "git" and "clone" in arguments[:2]:
        address = next((a for a in arguments if _HUB.match(a)), "")
        if address:
            yield run.act(Kind.MODEL_DOWNLOAD, detail=address)


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
    if program in FETCHERS:
        header = next(
            (a for a in arguments if re.match(r"(?:proxy-)?authorization\s*:", a, re.I)), ""
        )
        value = header.rpartition(" ")[2] if header else ""
    if _credible(value):
        shown = run.text.replace(value, f"{value[:4]}…")
        yield run.act(Kind.LITERAL_SECRET, shown, f"{value[:4]}… ({len(value)} characters)")


def _credible(value: str) -> bool:
    """Whether a text can be a credential: long, mixed, and nothing that stands for one."""
    if len(value) < 16 or any(c in value for c in "$`{}<>* ") or not value.isascii():
        return False
    kinds = (any(c.isdigit() for c in value), any(c.isalpha() for c in value))
    fake = re.search(r"example|your|token|secret|password|dummy|test|xxxx|(.)\1{4}", value, re.I)
    return all(kinds) and len(set(value)) >= 10 and not fake


def _git(run: Run, program: str, arguments: tuple[str, ...]) -> Iterator[Act]:
    if program == "gh" and arguments[:2] == ("pr", "checkout"):
        yield run.act(Kind.FOREIGN_CHECKOUT)
    elif program == "gh" and arguments[:2] == ("run", "download"):
        yield run.act(Kind.ARTIFACT)
    elif program == "git" and "fetch" in arguments[:3]:
        if pulled := next(filter(_PULL.search, arguments), None):
            name = pulled.partition(":")[2].removeprefix("refs/heads/")
            yield run.act(Kind.FOREIGN_FETCH, target=name)
    elif program == "git" and "pull" in arguments[:3] and any(map(_PULL.search, arguments)):
        yield run.act(Kind.FOREIGN_CHECKOUT)
    elif program == "git" and not _MOVES.isdisjoint(arguments[:3]):
        yield run.act(Kind.REVISION)


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
    if program in SHELLS or program in ("source", "."):
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
    if INTERPRETERS.fullmatch(run.program):
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
