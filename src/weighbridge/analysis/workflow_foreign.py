"""What an outsider brings into a job by a checkout, and what of it is run there."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from typing import Final

from weighbridge.analysis.shell_kinds import Act, Kind
from weighbridge.analysis.workflow_taint import Origin, Origins, foreign_revision
from weighbridge.analysis.workflow_views import JobView, StepView
from weighbridge.core.location import Location


def foreign_code(
    view: JobView,
) -> Iterator[tuple[StepView, Origins, list[tuple[StepView, str, Location]]]]:
    """Each step that brings an outsider's code into a job, and what of it is run afterwards: the
    step, how that reads, where."""
    folders: dict[str, int] = {}
    found: list[tuple[StepView, Origins, list[tuple[StepView, str, Location]]]] = []
    fetched: list[Act] = []
    for step in view.steps:
        inputs = step.step.inputs
        name = step.action.name.lower() if step.action is not None else ""
        if name == "actions/checkout":
            place = posixpath.normpath(inputs.get("path", "") or ".")
            if origins := foreign_revision(step.step, step.scope):
                folders[place] = len(found)
                found.append((step, origins, []))
            elif place in folders:
                del folders[place]
            continue
        begins: dict[str, int] = {}
        for file, act in step.every(Kind.FOREIGN_CHECKOUT, Kind.FOREIGN_FETCH, Kind.REVISION):
            if act.kind is Kind.FOREIGN_FETCH:
                fetched.append(act)
                continue
            if act.kind is Kind.REVISION:
                taken = next((f for f in fetched if _takes(act, f)), None)
                if taken is None:
                    continue
                act = taken
            folders["."] = len(found)
            begins.setdefault(file, act.line)
            origin = Origin(act.text, True, False, True)
            found.append((step, (origin,), []))
        if not folders:
            continue
        for number, text, at in _run_from(step, folders, name):
            if at.line is None or at.line >= begins.get(at.path, 0):
                found[number][2].append((step, text, at))
    yield from found


def _takes(moved: Act, fetched: Act) -> bool:
    """Whether a change of the working folder takes what was fetched: by its name, as the last
    thing that was fetched, or by a name that is not known."""
    named = fetched.target and fetched.target in moved.text
    return bool(named) or "FETCH_HEAD" in moved.text or "$" in moved.text


_RUNS_FOLDER: Final = frozenset(("pre-commit/action", "pypa/cibuildwheel",
                                 "docker/build-push-action",
                                 "docker/bake-action", "pyo3/maturin-action",
                                 "gradle/gradle-build-action"))  # fmt: skip


def _run_from(
    step: StepView, folders: Mapping[str, int], action: str
) -> Iterator[tuple[int, str, Location]]:
    """What a step runs out of folders with foreign code."""
    if step.action is not None and step.action.tier == "local":
        place = posixpath.normpath(step.action.name)
        if (number := _inside(place, folders)) is not None:
            yield number, step.action.name, step.at("uses")
    if action in _RUNS_FOLDER and "." in folders:
        yield folders["."], step.step.uses, step.at("uses")
    folder = posixpath.normpath(step.step.folder or ".")
    moved = folder
    for act in step.acts:
        if act.kind is not Kind.LOCAL_CODE:
            continue
        target = act.target
        place = (
            posixpath.normpath(posixpath.join(moved, target.partition("[")[0])) if target else moved
        )
        number = _inside(place, folders)
        if number is None and "." not in folders:
            # `cd there && make` and `make -C there` name the folder somewhere in the script.
            number = next((n for f, n in folders.items() if _names(step, f)), None)
        if number is not None:
            yield number, act.text, step.at(line=act.line)


def _inside(place: str, folders: Mapping[str, int]) -> int | None:
    """Which foreign folder a path lies in: the innermost."""
    best = max((f for f in folders if f == "." or place == f or place.startswith(f"{f}/")),
               key=len, default=None)  # fmt: skip
    return folders[best] if best is not None else None


def _names(step: StepView, folder: str) -> bool:
    if step.script is None:
        return False
    return any(
        posixpath.normpath(w.text or ".") == folder or w.text.startswith(f"{folder}/")
        for c in step.script.commands
        if c.words
        and c.words[0].text in ("cd", "pushd", "make", "pip", "npm", "uv", "python", "bash")
        for w in c.words[1:]
    )
