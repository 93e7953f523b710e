"""What the commands of a shell script install with pip, uv, conda and the installers of systems, as
they are written in builds of images, start scripts, steps of CI and cells of notebooks."""

from __future__ import annotations

import posixpath
import re
from collections import ChainMap
from collections.abc import Mapping
from typing import Final

from msgspec import Struct, field
from msgspec.structs import replace

from weighbridge.analysis.shell_runs import Run, runs
from weighbridge.core.fact import Firmness, IncludedFile, Installs, PackageIndex, Requirement
from weighbridge.core.location import Location
from weighbridge.core.regex import regex
from weighbridge.formats.conda import read_spec
from weighbridge.formats.dockerfile import replaced
from weighbridge.formats.requirements import Kind, as_fact, read_line
from weighbridge.formats.shell import Script

REQUIREMENTS: Final = 2_000
"""How many requirements of one file are kept."""
EXPANDED: Final = 4 << 20
"""How many characters may come of the variables of one file."""
SHOWN: Final = 10
_PIP: Final = regex(r"(?:.*/)?pip[\d.]*")
_PYTHON: Final = regex(r"(?:.*/)?python[\d.]*")
_CONDA: Final = frozenset(("conda", "mamba", "micromamba"))
_SYSTEM: Final = {"apt-get": "Debian", "apt": "Debian", "aptitude": "Debian", "apk": "Alpine",
                  "dnf": "rpm", "yum": "rpm", "microdnf": "rpm", "zypper": "rpm"}  # fmt: skip
SYSTEMS: Final = frozenset({"Debian", "Alpine"})
"""The kinds of packages whose lists say what a system has installed, and that advisories are kept
for."""
_SYSTEM_PACKAGE: Final = regex(r"([a-zA-Z0-9][a-zA-Z0-9+._-]*)(?::[a-z0-9]+)?(?:=([^\s*$=]+))?")
_SYSTEM_VALUE: Final = frozenset(("-t", "--target-release", "-o", "--option", "-c", "--repository",
                                  "-X", "--virtual"))  # fmt: skip
_MODULES: Final = {("-m", "pip"): "pip", ("-m", "uv"): "uv"}
"""Installers that are started through the interpreter."""
_PROGRAMS: Final = frozenset(("uv", "uvx", "pipx", *_CONDA, *_SYSTEM))
_INDEX: Final = {
    "-i": "index", "--index-url": "index", "--default-index": "index", "--pypi-url": "index",
    "--extra-index-url": "extra", "--index": "extra", "-f": "find-links",
    "--find-links": "find-links", "--trusted-host": "trusted-host",
    "--allow-insecure-host": "trusted-host", "--index-strategy": "strategy",
}  # fmt: skip
_FILE: Final = {"-r": False, "--requirement": False, "--requirements": False, "-c": True,
                "--constraint": True, "--constraints": True}  # fmt: skip
_WITH_VALUE: Final = frozenset((
    "-t", "--target", "--python", "-p", "--prefix", "--root", "--timeout", "--retries",
    "--cache-dir", "--platform", "--python-version", "--implementation", "--abi",
    "--progress-bar", "--only-binary", "--no-binary", "--proxy", "--torch-backend", "--prerelease",
    "--override", "--overrides", "--build-constraint", "-b", "--log", "--src",
    "--upgrade-strategy", "--extra", "--group", "--config-settings", "-C", "--global-option",
    "--no-build-isolation-package", "--upgrade-package", "-P", "--refresh-package", "--resolution",
    "--reinstall-package", "--exclude-newer", "--link-mode", "--keyring-provider", "--directory",
    "--project", "--report", "--use-feature", "--default-timeout", "-d", "--dest", "-w",
    "--wheel-dir", "--cert", "--client-cert", "--exists-action", "--install-option",
))  # fmt: skip
_CONDA_VALUE: Final = frozenset(("-n", "--name", "-p", "--prefix", "--solver", "--repodata-fn",
                                 "-r", "--root-prefix"))  # fmt: skip
_ENVIRONMENT: Final = {
    "PIP_INDEX_URL": "index", "UV_INDEX_URL": "index", "UV_DEFAULT_INDEX": "index",
    "PIP_EXTRA_INDEX_URL": "extra", "UV_EXTRA_INDEX_URL": "extra", "UV_INDEX": "extra",
    "PIP_FIND_LINKS": "find-links", "UV_FIND_LINKS": "find-links",
    "PIP_TRUSTED_HOST": "trusted-host", "UV_INSECURE_HOST": "trusted-host",
    "UV_INDEX_STRATEGY": "strategy", "CONDA_CHANNEL_PRIORITY": "channel-priority",
    "CONDA_CHANNELS": "channel",
}  # fmt: skip
_SETTINGS: Final = {
    "index-url": "index", "extra-index-url": "extra", "trusted-host": "trusted-host",
    "find-links": "find-links",
}  # fmt: skip
_LOOSE: Final = regex(r"([A-Za-z][\w.-]*)(?:\[[^\]]*\])?\s*(?:[<>=!~@].*)?")


class ShellInstalls(Struct):
    """What scripts install, gathered over those of one file. `copied` are the places of files that
    were brought to where the scripts run, by their last names."""

    copied: Mapping[str, str] = field(default_factory=dict)
    requirements: list[Requirement] = field(default_factory=list)
    indexes: list[PackageIndex] = field(default_factory=list)
    files: list[IncludedFile] = field(default_factory=list)
    told_later: list[int] = field(default_factory=list)
    expanded: int = 0
    folder: str = ""

    def fact(self, at: Location, place: str) -> Installs | None:
        """All of it as a fact, or None where nothing is installed that is known here."""
        if not (self.requirements or self.indexes or self.files or self.told_later):
            return None
        unread = []
        if len(self.requirements) > REQUIREMENTS:
            unread.append(f"more than {REQUIREMENTS:,} requirements: the rest are not kept")
        if self.told_later:
            lines = ", ".join(f"{line:,}" for line in sorted(set(self.told_later))[:SHOWN])
            unread.append(f"what is installed is told only when it runs: line {lines}")
        if self.expanded > EXPANDED:
            unread.append("too much comes of its variables: the rest were not replaced")
        return Installs(
            at=at,
            place=place,
            requirements=tuple(self.requirements[:REQUIREMENTS]),
            indexes=self._distinct(),
            files=tuple(dict.fromkeys(self.files)),
            unread=tuple(unread),
        )

    def setting(self, name: str, value: str, line: int) -> None:
        """A variable that an installer obeys."""
        kind = _ENVIRONMENT.get(name)
        if kind is None:
            return
        for said in value.split():
            self._index(kind, said, line)

    def script(self, script: Script, environment: dict[str, str], folder: str = "") -> None:
        """What one script installs; `environment` are the variables that are set where it runs,
        `folder` is where it begins."""
        self.folder = folder
        known = ChainMap({}, environment)  # never written to: every script begins anew
        for command in script.everything():
            for name, word in command.assignments:
                if not word.inner:
                    self._set(known, name, word.text, command.line)
            if command.words and command.words[0].text == "export":
                for word in command.words[1:]:
                    name, _, value = word.text.partition("=")
                    if value and not word.inner:
                        self._set(known, name, value, command.line)
        for run in runs(script):
            if run.program in ("cd", "pushd") and len(run.words) == 2:
                self._enter(run.words[1].text)
            elif run.program in _PROGRAMS or _PIP.fullmatch(run.program) or (
                _PYTHON.fullmatch(run.program) or "$" in run.program
            ):  # fmt: skip
                self._command(run, known)

    def _enter(self, folder: str) -> None:
        """Another folder, as far as the script says which."""
        plain = "$" not in folder and not folder.startswith(("/", "~", "-"))
        self.folder = posixpath.normpath(posixpath.join(self.folder, folder)) if plain else ""
        if self.folder.startswith("..") or self.folder == ".":
            self.folder = ""

    def _set(self, known: ChainMap[str, str], name: str, value: str, line: int) -> None:
        known[name] = self._replaced(value, known)
        self.setting(name, known[name], line)

    def _replaced(self, text: str, known: Mapping[str, str]) -> str:
        """A text with its variables replaced, until that has come to too much in all."""
        if "$" not in text or self.expanded > EXPANDED:
            return text
        made = replaced(text, known)
        self.expanded += len(made)
        return made

    def _index(self, kind: str, said: str, line: int) -> None:
        """A place that packages are taken from; uv writes `name=address`."""
        said = re.sub(r"^[\w-]+=(?=https?://)", "", said)
        if said and "$" not in said:
            self.indexes.append(PackageIndex(kind=kind, said=said[:500], line=line))

    def _distinct(self) -> tuple[PackageIndex, ...]:
        """The places, each once: a second index that is the first one again is none."""
        firsts = {i.said.rstrip("/") for i in self.indexes if i.kind == "index"}
        return tuple(
            i for i in dict.fromkeys(self.indexes)
            if i.kind != "extra" or i.said.rstrip("/") not in firsts
        )  # fmt: skip

    def _command(self, run: Run, known: Mapping[str, str]) -> None:
        """What one command installs."""
        words: list[str] = []
        for word in run.words:
            text = self._replaced(word.text, known)
            words += text.split() if word.bare and "$" in word.text else [text]
        if not words:
            return
        line = run.command.line
        program, rest = words[0].rpartition("/")[2], words[1:]
        if _PYTHON.fullmatch(program):
            program, rest = next(
                ((p, rest[len(m) :]) for m, p in _MODULES.items() if tuple(rest[: len(m)]) == m),
                ("", rest),
            )
        while program != "uv" and rest and rest[0].startswith("-"):  # options of pip itself
            rest = rest[2 if rest[0] in _WITH_VALUE else 1 :]
        if program == "uv":
            self._uv(rest, line)
        elif program == "uvx":
            self._tool(rest, line)
        elif _PIP.fullmatch(program) or program == "pipx":
            self._of_pip(rest, line)
        elif program in _CONDA:
            self._conda(rest, line)
        elif program in _SYSTEM and rest[:1] in (["install"], ["add"]):
            self._systems(_SYSTEM[program], rest[1:], line)

    def _of_pip(self, rest: list[str], line: int) -> None:
        if rest[:1] in (["install"], ["wheel"], ["download"], ["sync"]):
            self._pip(rest[1:], line, files=rest[0] == "sync")
        elif rest[:2] == ["config", "set"] and len(rest) >= 4:
            self._index(_SETTINGS.get(rest[2].rpartition(".")[2], ""), rest[3], line)

    def _uv(self, rest: list[str], line: int) -> None:
        while rest and rest[0].startswith("-"):
            rest = rest[2 if rest[0] in _WITH_VALUE else 1 :]
        if rest[:1] == ["pip"]:
            self._of_pip(rest[1:], line)
        elif rest[:2] == ["tool", "install"]:
            self._pip(rest[2:], line, files=False)
        elif rest[:1] == ["add"]:
            self._pip(rest[1:], line, files=False)
        elif rest[:2] == ["tool", "run"]:
            self._tool(rest[2:], line)
        elif rest[:1] == ["run"]:
            self._with(rest[1:], line)

    def _tool(self, rest: list[str], line: int) -> None:
        """`uvx`: the package that the tool is in, and those beside it."""
        start = self._with(rest, line)
        if start < len(rest) and not any(r.partition("=")[0] == "--from" for r in rest[:start]):
            self._package(rest[start].replace("@", "==", 1).removesuffix("==latest"), line)

    def _with(self, rest: list[str], line: int) -> int:
        """The packages that options of `uv run` ask for; where the command itself begins."""
        at = 0
        while at < len(rest) and rest[at].startswith("-"):
            name, given, value = rest[at].partition("=")
            if not given and (name in _WITH_VALUE or name in ("--with", "--from", "--python")):
                at += 1
                value = rest[at] if at < len(rest) else ""
            at += 1
            if name in ("--with", "--from"):
                for one in value.split(","):
                    self._package(one.strip(), line)
        return at

    def _pip(self, rest: list[str], line: int, files: bool) -> None:
        at = 0
        while at < len(rest):
            name, given, value = rest[at].partition("=") if rest[at].startswith("--") else (
                rest[at], "", "")  # fmt: skip
            at += 1
            if not given and (name in _INDEX or name in _FILE or name in _WITH_VALUE
                              or name in ("-e", "--editable")):  # fmt: skip
                value = rest[at] if at < len(rest) else ""
                at += 1
            if name in _INDEX:
                self._index(_INDEX[name], value, line)
            elif name in _FILE or (files and not name.startswith("-")):
                self._file(value or name, line, _FILE.get(name, False))
            elif name in ("-e", "--editable"):
                self._package(f"-e {value}", line)
            elif not name.startswith("-"):
                self._package(name, line)

    def _file(self, path: str, line: int, constraint: bool) -> None:
        if "$" in path:
            self.told_later.append(line)
        elif path and path not in ("-", "/dev/stdin"):
            copied = self.copied.get(posixpath.basename(path))
            path = (copied or posixpath.join(self.folder, path)).lstrip("/")
            self.files.append(IncludedFile(path=path[:500], line=line, constraint=constraint))

    def _package(self, text: str, line: int) -> None:
        if "$" in text:  # its version, or all of it, is told when it is built
            loose = _LOOSE.fullmatch(text.partition("$")[0] or "$")
            if loose:
                self.requirements.append(Requirement(name=loose[1], line=line))
            elif "/" not in text and not text.startswith("."):
                self.told_later.append(line)
            return
        read_as = read_line(text[:2_000], line)
        made = as_fact(read_as)
        if made is not None and (read_as.kind is not Kind.PATH or made.version):
            self.requirements.append(made)

    def _conda(self, rest: list[str], line: int) -> None:
        if rest[:1] == ["config"]:
            for key, value in zip(rest, rest[2:], strict=False):
                if key in ("--add", "--append", "--prepend") and "channels" in rest:
                    self._index("channel", value, line)
            if "channel_priority" in rest[:-1]:
                said = rest[rest.index("channel_priority") + 1]
                self._index("channel-priority", said, line)
            return
        if not any(word in ("install", "create", "update") for word in rest[:2]):
            return
        at = 0
        while at < len(rest):
            name, given, value = rest[at].partition("=") if rest[at].startswith("--") else (
                rest[at], "", "")  # fmt: skip
            at += 1
            if not given and (name in _CONDA_VALUE or name in ("-c", "--channel", "-f", "--file")):
                value = rest[at] if at < len(rest) else ""
                at += 1
            if name in ("-c", "--channel"):
                self._index("channel", value, line)
            elif name in ("-f", "--file"):
                self._file(value, line, False)
            elif not name.startswith("-") and name not in ("install", "create", "update", "env"):
                made = read_spec(name, line) if "$" not in name else None
                if made is not None and made.name not in ("python", "pip"):
                    self.requirements.append(made)

    def _systems(self, ecosystem: str, rest: list[str], line: int) -> None:
        at = 0
        while at < len(rest):
            text = rest[at]
            at += 2 if text in _SYSTEM_VALUE else 1
            found = _SYSTEM_PACKAGE.fullmatch(text)
            if found is None or text in _SYSTEM_VALUE:
                continue
            made = Requirement(name=found[1], line=line, ecosystem=ecosystem)
            if found[2]:
                version = found[2]
                made = replace(made, version=version, specifier=f"=={version}",
                               firm=Firmness.EXACT)  # fmt: skip
            self.requirements.append(made)
