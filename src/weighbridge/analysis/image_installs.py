"""What the build of an image installs: its `RUN` scripts, read as a shell reads them, and the
settings of installers that it leaves in the environment."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from msgspec.structs import replace

from weighbridge.analysis.shell_runs import Run, runs
from weighbridge.core.fact import (
    ImageBuild,
    IncludedFile,
    Installs,
    PackageIndex,
    Requirement,
)
from weighbridge.core.image import Instruction, Stage
from weighbridge.formats.conda import read_spec
from weighbridge.formats.dockerfile import replaced
from weighbridge.formats.requirements import Kind, as_fact, read_line
from weighbridge.formats.shell import Script, read

REQUIREMENTS: Final = 2_000
"""How many requirements of one file are kept."""
_PIP: Final = re.compile(r"(?:.*/)?pip[\d.]*")
_PYTHON: Final = re.compile(r"(?:.*/)?python[\d.]*")
_CONDA: Final = frozenset(("conda", "mamba", "micromamba"))
_SYSTEM: Final = {"apt-get": "Debian", "apt": "Debian", "aptitude": "Debian", "apk": "Alpine"}
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
_LOOSE: Final = re.compile(r"([A-Za-z][\w.-]*)(?:\[[^\]]*\])?\s*(?:[<>=!~@].*)?")


@dataclass(frozen=True, slots=True)
class BuildScript:
    """A `RUN` instruction: its commands, and what stands in the environment while it runs."""

    stage: Stage
    instruction: Instruction
    script: Script
    environment: dict[str, str]


def scripts(build: ImageBuild) -> Iterator[BuildScript]:
    """Every script that a build runs, in order; of those for later builds too."""
    ends: list[dict[str, str]] = []
    for stage in build.stages:
        known = dict(ends[stage.base]) if stage.base is not None else {}
        for one in stage.instructions:
            if one.name in ("ENV", "ARG"):
                known |= {k: v for k, v in one.pairs if v is not None
                          and not (one.name == "ARG" and k in known)}  # fmt: skip
            elif one.name == "RUN":
                yield BuildScript(stage, one, _script(one), dict(known))
        ends.append(known)


def _script(one: Instruction) -> Script:
    if not one.exec:
        return read(one.text, one.line)
    quoted = " ".join("'" + word.replace("'", "'\\''") + "'" for word in one.words)
    return read(quoted, one.line)


def installs(build: ImageBuild) -> Installs | None:
    """What a build installs, or None where it installs nothing that is known here."""
    found = _Found(copied=_copied(build))
    for stage in build.stages:
        for one in stage.instructions:
            if one.name in ("ENV", "ARG"):
                for name, value in one.pairs:
                    found.setting(name, value or "", one.line)
    for made in scripts(build):
        found.script(made)
    if not (found.requirements or found.indexes or found.files):
        return None
    return Installs(
        at=build.at,
        place="image",
        requirements=tuple(found.requirements[:REQUIREMENTS]),
        indexes=found.distinct(),
        files=tuple(dict.fromkeys(found.files)),
        unread=("more requirements than are kept",) if len(found.requirements) > REQUIREMENTS
        else (),
    )  # fmt: skip


def _copied(build: ImageBuild) -> dict[str, str]:
    """The files that the build takes from its context, by their last names."""
    known: dict[str, str] = {}
    for stage in build.stages:
        for one in stage.instructions:
            if one.name in ("COPY", "ADD") and one.flag("from") is None:
                for path in one.words[:-1]:
                    known.setdefault(posixpath.basename(path.rstrip("/")), path)
    mounts = (v for s in build.stages for o in s.instructions for k, v in o.flags if k == "mount")
    for mount in mounts:
        fields = dict(f.partition("=")[::2] for f in mount.split(","))
        source = fields.get("source") or fields.get("src")
        target = fields.get("target") or fields.get("dst") or source
        if fields.get("type", "bind") == "bind" and source and target and "from" not in fields:
            known.setdefault(posixpath.basename(target), source)
    return known


@dataclass
class _Found:
    copied: dict[str, str]
    requirements: list[Requirement] = field(default_factory=list)
    indexes: list[PackageIndex] = field(default_factory=list)
    files: list[IncludedFile] = field(default_factory=list)

    def setting(self, name: str, value: str, line: int) -> None:
        """A variable that an installer obeys."""
        kind = _ENVIRONMENT.get(name)
        if kind is None:
            return
        for said in value.split():
            self.index(kind, said, line)

    def index(self, kind: str, said: str, line: int) -> None:
        """A place that packages are taken from; uv writes `name=address`."""
        said = re.sub(r"^[\w-]+=(?=https?://)", "", said)
        if said and "$" not in said:
            self.indexes.append(PackageIndex(kind=kind, said=said[:500], line=line))

    def distinct(self) -> tuple[PackageIndex, ...]:
        """The places, each once: a second index that is the first one again is none."""
        firsts = {i.said.rstrip("/") for i in self.indexes if i.kind == "index"}
        return tuple(
            i for i in dict.fromkeys(self.indexes)
            if i.kind != "extra" or i.said.rstrip("/") not in firsts
        )  # fmt: skip

    def script(self, made: BuildScript) -> None:
        """What one script installs."""
        known = dict(made.environment)
        for command in made.script.everything():
            for name, word in command.assignments:
                if not word.inner:
                    known[name] = replaced(word.text, known)
                    self.setting(name, known[name], command.line)
            if command.words and command.words[0].text == "export":
                for word in command.words[1:]:
                    name, _, value = word.text.partition("=")
                    if value and not word.inner:
                        known[name] = replaced(value, known)
                        self.setting(name, known[name], command.line)
        for run in runs(made.script):
            self.command(run, known)

    def command(self, run: Run, known: dict[str, str]) -> None:
        """What one command installs."""
        words: list[str] = []
        for word in run.words:
            text = replaced(word.text, known)
            words += text.split() if word.bare and "$" in word.text else [text]
        line = run.command.line
        program, rest = run.program, words[1:]
        if _PYTHON.fullmatch(program) and rest[:2] == ["-m", "pip"]:
            program, rest = "pip", rest[2:]
        elif _PYTHON.fullmatch(program) and rest[:3] == ["-m", "uv", "pip"]:
            program, rest = "pip", rest[3:]
        elif program == "uv" and rest[:1] in (["pip"], ["tool"]):
            program, rest = "pip", rest[1:]
        while program != "uv" and rest and rest[0].startswith("-"):  # options of pip itself
            rest = rest[2 if rest[0] in _WITH_VALUE else 1 :]
        if _PIP.fullmatch(program) or program == "pipx":
            if rest[:1] in (["install"], ["wheel"], ["download"], ["sync"]):
                self._pip(rest[1:], line, files=rest[0] == "sync")
            elif rest[:2] == ["config", "set"] and len(rest) >= 4:
                self.index(_SETTINGS.get(rest[2].rpartition(".")[2], ""), rest[3], line)
        elif program in _CONDA:
            self._conda(rest, line)
        elif program in _SYSTEM and rest[:1] in (["install"], ["add"]):
            for text in rest[1:]:
                self._system(_SYSTEM[program], text, line)

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
                self.index(_INDEX[name], value, line)
            elif name in _FILE or (files and not name.startswith("-")):
                self._file(value or name, line, _FILE.get(name, False))
            elif name in ("-e", "--editable"):
                self._package(f"-e {value}", line)
            elif not name.startswith("-"):
                self._package(name, line)

    def _file(self, path: str, line: int, constraint: bool) -> None:
        if path and "$" not in path and path not in ("-", "/dev/stdin"):
            path = self.copied.get(posixpath.basename(path), path).lstrip("/")
            self.files.append(IncludedFile(path=path[:500], line=line, constraint=constraint))

    def _package(self, text: str, line: int) -> None:
        if "$" in text:  # its version, or all of it, is told when it is built
            loose = _LOOSE.fullmatch(text.partition("$")[0] or "$")
            if loose:
                self.requirements.append(Requirement(name=loose[1], line=line))
            return
        read_as = read_line(text[:2_000], line)
        made = as_fact(read_as)
        if made is not None and (read_as.kind is not Kind.PATH or made.version):
            self.requirements.append(made)

    def _conda(self, rest: list[str], line: int) -> None:
        if rest[:1] == ["config"]:
            for key, value in zip(rest, rest[2:], strict=False):
                if key in ("--add", "--append", "--prepend") and "channels" in rest:
                    self.index("channel", value, line)
            if "channel_priority" in rest[:-1]:
                said = rest[rest.index("channel_priority") + 1]
                self.index("channel-priority", said, line)
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
                self.index("channel", value, line)
            elif name in ("-f", "--file"):
                self._file(value, line, False)
            elif not name.startswith("-") and name not in ("install", "create", "update", "env"):
                made = read_spec(name, line) if "$" not in name else None
                if made is not None and made.name not in ("python", "pip"):
                    self.requirements.append(made)

    def _system(self, ecosystem: str, text: str, line: int) -> None:
        found = re.fullmatch(r"([a-z0-9][a-z0-9+._-]*)(?::[a-z0-9]+)?(?:=([^\s*$]+))?", text)
        if found and not text.startswith("-"):
            made = Requirement(name=found[1], line=line, ecosystem=ecosystem)
            if found[2]:
                version = found[2]
                made = replace(made, version=version, specifier=f"=={version}")
            self.requirements.append(made)
