"""What the build of an image installs: its `RUN` scripts, read as a shell reads them, and the
settings of installers that it leaves in the environment."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator

from msgspec import Struct
from msgspec.structs import replace

from weighbridge.analysis.image_names import parsed
from weighbridge.analysis.shell_requirements import SYSTEMS, ShellInstalls
from weighbridge.core.fact import ImageBuild, Installs
from weighbridge.core.image import Instruction, Stage
from weighbridge.formats.shell import Script, read
from weighbridge.intel.images import system


class BuildScript(Struct, frozen=True):
    """A `RUN` instruction: its commands, and what stands in the environment while it runs."""

    stage: Stage
    instruction: Instruction
    script: Script
    environment: dict[str, str]


def scripts(build: ImageBuild) -> Iterator[BuildScript]:
    """Every script that a build runs, in order; of those for later builds too."""
    ends: list[dict[str, str]] = []
    for stage in build.stages:
        known = ends[stage.base] if stage.base is not None else {}
        for one in stage.instructions:
            if one.name in ("ENV", "ARG"):
                known = {**known, **{k: v for k, v in one.pairs if v is not None
                                     and not (one.name == "ARG" and k in known)}}  # fmt: skip
            elif one.name == "RUN":
                yield BuildScript(stage, one, _script(one), known)
        ends.append(known)


def _script(one: Instruction) -> Script:
    if not one.exec:
        return read(one.text, one.line)
    quoted = " ".join("'" + word.replace("'", "'\\''") + "'" for word in one.words)
    return read(quoted, one.line)


def installs(build: ImageBuild) -> Installs | None:
    """What a build installs, or None where it installs nothing that is known here."""
    found = ShellInstalls(copied=_copied(build))
    for stage in build.stages:
        for one in stage.instructions:
            if one.name in ("ENV", "ARG"):
                for name, value in one.pairs:
                    found.setting(name, value or "", one.line)
    releases = _releases(build)
    for made in scripts(build):
        before = len(found.requirements)
        found.script(made.script, made.environment)
        release = releases[id(made.stage)]
        found.requirements[before:] = [
            replace(r, source=release) if r.ecosystem in SYSTEMS else r
            for r in found.requirements[before:]
        ]
    return found.fact(build.at, "image")


def _releases(build: ImageBuild) -> dict[int, str]:
    """The release of the system that each stage stands on (`debian-12`), by the stage's `id`; empty
    where the name of its image does not tell. A stage can only stand on an earlier one."""
    made: dict[int, str] = {}
    for stage in build.stages:
        if stage.base is not None:
            made[id(stage)] = made.get(id(build.stages[stage.base]), "")
            continue
        image = parsed(stage.image)
        name, version = system(image.path, image.tag)
        made[id(stage)] = f"{name}-{version}" if name else ""
    return made


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
