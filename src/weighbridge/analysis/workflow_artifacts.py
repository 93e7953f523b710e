"""What a job takes of the artifacts of another run: where they are unpacked, and what of it acts.

An artifact is unpacked over whatever lies in the folder, so a file of that folder that is run
afterwards is the artifact's if it holds one of that name, also where a checkout came before.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from weighbridge.analysis.shell_kinds import Kind
from weighbridge.analysis.workflow_taint import READERS, reads_file
from weighbridge.analysis.workflow_views import StepView
from weighbridge.core.location import Location
from weighbridge.core.regex import regex
from weighbridge.formats.shell import Command, Script, Word

_ROOT: Final = regex(r"\$\{\{ *github\.workspace *\}\}|\$\{?GITHUB_WORKSPACE\}?")
_UNPACKERS: Final = {"unzip": ("-d",), "tar": ("-C", "--directory"), "bsdtar": ("-C",), "7z": ()}
OUTSIDE: Final = "/"
"""Stands for a folder that is not in the workspace."""


class Unpacked(Struct, frozen=True):
    """An artifact of another run in a job. `how` it is fetched; `folder` within the workspace, None
    where that cannot be told; `nested` where each artifact gets a folder of its own name; `step`
    and `line` say where it lies there."""

    how: str
    folder: str | None
    nested: bool
    step: int
    line: int = 0


class Ran(Struct, frozen=True):
    """Something that is run afterwards. `certain` where it is the artifact's if that has it."""

    step: StepView
    text: str
    at: Location
    certain: bool


def artifacts(steps: list[StepView]) -> Iterator[tuple[StepView, Unpacked]]:
    """What the steps of a job fetch of other runs."""
    for number, step in enumerate(steps):
        name = step.action.name.lower() if step.action is not None else ""
        inputs = {k.lower(): v for k, v in step.step.inputs.items()}
        robot = name == "dawidd6/action-download-artifact"
        if robot or (name == "actions/download-artifact" and "run-id" in inputs):
            nested = not inputs.get("name") and inputs.get("merge-multiple", "") != "true"
            yield step, Unpacked(step.step.uses, _folder(inputs.get("path", "")), nested, number)
        elif "listWorkflowRunArtifacts" in inputs.get("script", ""):
            yield step, _expanded("listWorkflowRunArtifacts", steps, number)
        else:
            for _, act in step.every(Kind.ARTIFACT):
                argv = act.text.split()
                if "download" not in argv:
                    yield step, _expanded(act.text, steps, number)
                else:
                    place = posixpath.join(step.step.folder, _option(argv, ("-D", "--dir")))
                    nested = not _option(argv, ("-n", "--name"))
                    yield step, Unpacked(act.text, _folder(place), nested, number, act.line)
                break


def _expanded(how: str, steps: list[StepView], number: int) -> Unpacked:
    """An archive that was fetched lies where a later command unpacks it."""
    for later in range(number, len(steps)):
        script = steps[later].script
        for command in script.everything() if script is not None else ():
            argv = [w.text for w in command.words]
            options = _UNPACKERS.get(argv[0]) if argv else None
            if options is not None:
                place = posixpath.join(steps[later].step.folder, _option(argv, options))
                return Unpacked(how, _folder(place), False, later, command.line)
    return Unpacked(how, None, False, number)


def _option(argv: list[str], names: tuple[str, ...]) -> str:
    for number, text in enumerate(argv[:-1]):
        if text in names:
            return argv[number + 1]
    return next((t.partition("=")[2] for t in argv if t.partition("=")[0] in names), "")


def _folder(text: str) -> str | None:
    """A folder as it lies in the workspace."""
    place = _ROOT.sub(".", text).strip().strip("\"'")
    if place.startswith(("/", "~", "../", "${{ runner.temp", "$RUNNER_TEMP", "${RUNNER_TEMP")):
        return OUTSIDE
    return None if "$" in place else posixpath.normpath(place or ".")


def ran_from(unpacked: Unpacked, steps: list[StepView]) -> Iterator[Ran]:
    """What is run of the folder that an artifact was unpacked into, before a checkout replaces what
    lies there; where the folder is not known, what is run without any checkout."""
    unknown = unpacked.folder is None
    if unknown and any(map(_checkout, steps)):
        return
    folder = unpacked.folder or "."
    replaced: list[str] = []
    for number, step in enumerate(steps[unpacked.step :]):
        if number and (place := _checkout(step)):
            if _within(folder, place):
                return
            replaced.append(place)
        base = _folder(step.step.folder) or "."
        if number and step.action is not None and step.action.tier == "local":
            place = posixpath.normpath(step.action.name)
            if _within(place, folder) and not any(_within(place, r) for r in replaced):
                yield Ran(step, step.action.name, step.at("uses"), not unknown)
        for act in step.acts:
            if act.kind is not Kind.LOCAL_CODE or (not number and act.line <= unpacked.line):
                continue
            place = posixpath.normpath(posixpath.join(base, act.target.partition("[")[0] or "."))
            inside = _within(place, folder) or _moved(step, folder, act.line)
            if inside and not any(_within(place, r) for r in replaced):
                own = unpacked.nested and folder == "." and "/" not in place
                yield Ran(step, act.text, step.at(line=act.line), not unknown and not own)


def _moved(step: StepView, folder: str, line: int) -> bool:
    """Whether a script has changed to a folder before a line, or says there to work in it."""
    for command in step.script.everything() if step.script is not None else ():
        argv = [w.text for w in command.words]
        to = _option(argv, ("-C", "--prefix", "--directory")) if command.line == line else ""
        if argv[:1] in (["cd"], ["pushd"]) and command.line <= line:
            to = argv[1] if len(argv) > 1 else ""
        if to and _within(posixpath.normpath(to), folder):
            return True
    return False


def _checkout(step: StepView) -> str:
    """The folder that a checkout replaces, empty where the step is none."""
    if step.action is None or step.action.name.lower() != "actions/checkout":
        return ""
    if step.step.inputs.get("clean", "").lower() == "false":
        return ""
    return posixpath.normpath(_ROOT.sub(".", step.step.inputs.get("path", "")) or ".")


def _within(place: str, folder: str) -> bool:
    if folder == ".":
        return not place.startswith(("/", "..", "$", "~"))
    return place == folder or place.startswith(f"{folder}/")


def poisoned(unpacked: Unpacked, steps: list[StepView]) -> Iterator[tuple[StepView, Location]]:
    """The steps that write what they read of a file into the environment of later steps."""
    for number, step in enumerate(steps[unpacked.step :]):
        if step.script is None:
            continue
        read: set[str] = set()
        for command in step.script.everything():
            if not number and command.line <= unpacked.line:
                continue
            read.update(n for n, word in command.assignments if _of_file(word, read))
            argv = command.argv
            if argv[:1] == ("read",):
                read.update(a for a in argv[1:] if not a.startswith("-"))
            to = any(
                mark in r.target.text for r in command.redirects if r.operator in (">", ">>")
                for mark in ("GITHUB_ENV", "GITHUB_PATH")
            )  # fmt: skip
            tee = argv[:1] == ("tee",) and any("GITHUB_ENV" in a for a in argv)
            if (to or tee) and _writes_read(command, read):
                yield step, step.at(line=command.line)
                break


def _writes_read(command: Command, read: set[str]) -> bool:
    if command.argv and (command.argv[0] == "tee" or command.argv[0] in READERS):
        return True
    here = [r.target for r in command.redirects if r.operator in ("<<", "<<<")]
    return any(_of_file(word, read) for word in (*command.words, *here))


def _of_file(word: Word, read: set[str]) -> bool:
    """Whether a word holds what a program has read of a file."""
    return not read.isdisjoint(word.variables) or any(_reads(s) for s in word.inner)


def _reads(script: Script) -> bool:
    return any(map(reads_file, script.everything()))
