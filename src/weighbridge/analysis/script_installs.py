"""What notebooks, start scripts and steps of CI install, each with its file and line."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Final

from weighbridge.analysis.other_ci import LIMIT, is_script, scripts, system_of
from weighbridge.analysis.shell_requirements import ShellInstalls
from weighbridge.core.document import Malformed
from weighbridge.core.fact import ImageReferences, Installs
from weighbridge.core.image import ImageReference
from weighbridge.core.location import within
from weighbridge.core.regex import regex
from weighbridge.core.workflow import Job, Step
from weighbridge.formats.notebook import Notebook
from weighbridge.formats.shell import read
from weighbridge.formats.text import Source, Written
from weighbridge.formats.workflow import Workflow

NOTEBOOK: Final = "notebook"
CI: Final = "ci"
SCRIPT: Final = "script"
_SHELL_LINE: Final = regex(rb"#![^\n]*\b(?:ba|z|da|k|a)?sh\b")
_OTHER_SHELLS: Final = ("python", "pwsh", "powershell", "cmd")


def of_notebook(notebook: Notebook) -> Iterator[Installs]:
    """What the magics and shell lines of the cells install: one fact for each cell."""
    cells: dict[int, ShellInstalls] = defaultdict(ShellInstalls)
    for shell in notebook.shells:
        cells[shell.cell].script(read(shell.text, shell.line), {})
    for cell, found in cells.items():
        fact = found.fact(notebook.in_cell(cell), NOTEBOOK)
        if fact is not None:
            yield fact


def of_script(document: Written) -> Iterator[Installs]:
    """What a start script, a makefile, or the configuration of another system of CI installs."""
    part, own = within(document.where.path)
    path = (document.where.inside or (own,))[-1]
    system = None if document.where.inside else system_of(document.where.path)
    if part == "env" or not (is_script(path) or system or _starts_a_shell(document)):
        return
    found = ShellInstalls()
    unread = ""
    if document.blob.size > LIMIT:
        unread = f"only the first {LIMIT:,} bytes of this script were read"
    text = document.blob.read(0, LIMIT).decode("utf-8", "replace")
    try:
        for one in scripts(document.where.path if system else path, text):
            found.script(read(one.text, one.line), {})
    except Malformed as error:
        unread = error.why
    place = CI if system else SCRIPT
    fact = found.fact(document.where, place)
    if unread:
        fact = fact or Installs(at=document.where, place=place)
        fact = Installs(
            at=fact.at, place=place, requirements=fact.requirements, indexes=fact.indexes,
            files=fact.files, unread=(*fact.unread, unread),
        )  # fmt: skip
    if fact is not None:
        yield fact


def _starts_a_shell(document: Written) -> bool:
    return isinstance(document, Source) and bool(_SHELL_LINE.match(document.blob.read(0, 200)))


def of_workflow(workflow: Workflow) -> Iterator[Installs | ImageReferences]:
    """What the steps of a workflow install, and the images that its jobs run in."""
    automation = workflow.automation
    found = ShellInstalls()
    images: list[ImageReference] = []
    for job in automation.jobs:
        images += [ImageReference(image=i, line=job.line) for i in job.images]
        for name, value in {**automation.env, **job.env}.items():
            found.setting(name, value, job.line)
        for step in job.steps:
            _step(found, job, step, automation.env)
            if step.uses.startswith("docker://"):
                line = step.lines.get("uses", step.line)
                image = step.uses.removeprefix("docker://")
                images.append(ImageReference(image=image, line=line))
    fact = found.fact(workflow.where, CI)
    if fact is not None:
        yield fact
    if images:
        yield ImageReferences(at=workflow.where, place=CI, images=tuple(dict.fromkeys(images)))


def _step(found: ShellInstalls, job: Job, step: Step, outer: dict[str, str]) -> None:
    for name, value in step.env.items():
        found.setting(name, value, step.lines.get(f"env.{name}", step.line))
    shell = (step.shell or job.shell).lower()
    if step.run and not shell.startswith(_OTHER_SHELLS):
        environment = {**outer, **job.env, **step.env}
        folder = step.folder or job.folder
        script = read(step.run, step.lines.get("run", step.line))
        found.script(script, environment, "" if "$" in folder else folder)
