"""Check `base-image`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Final

import msgspec

from weighbridge.analysis.dependencies import lies_aside, weighed
from weighbridge.analysis.image_names import judged, parsed, parts
from weighbridge.core.check import Audit, check
from weighbridge.core.fact import ImageBuild
from weighbridge.core.finding import Action, Finding, Gap, GapKind
from weighbridge.core.image import Stage
from weighbridge.core.regex import regex

_FRONTENDS: Final = regex(r"(?:docker\.io/)?docker/dockerfile(?:-upstream)?(?:[:@].*)?")


@check("base-image", control="dependencies", reads=Audit)
def base_image(audit: Audit) -> Iterator[Finding | Gap]:
    """What an image is built on can change, or gets no security fixes any more.

    ## Why it matters
    A tag is moved by its owner at any time: the same build makes another image tomorrow, and
    whoever takes over the account or the registry puts code below yours. A system, CUDA or Python
    past its end of life keeps the holes that are found from then on. What the image runs as root,
    an attacker who comes in through the model owns whole.

    ## What to do
    Name the digest (`image:tag@sha256:…`) and have a bot move it. Move to a version that is kept
    up. End the last stage with a `USER` that is not root.

    ## Limits
    No registry is asked: whether a digest exists and what the image holds is not known. Ends of
    life are told by the tag alone, from a dated table. An image's own base may set a user, which
    is not seen from here. Builds of a repository's tests and examples are judged one step lower.

    ## References
    - https://docs.docker.com/build/building/best-practices/#pin-base-image-versions
    - https://cwe.mitre.org/data/definitions/1104.html
    - https://cwe.mitre.org/data/definitions/250.html
    """
    today = datetime.now(UTC).date()
    for fact in audit.facts:
        if isinstance(fact, ImageBuild):
            aside = lies_aside(fact, audit)
            for met in _judged(fact, today):
                yield (
                    met
                    if isinstance(met, Gap)
                    else msgspec.structs.replace(met, action=weighed(met.action, aside))
                )


def _judged(build: ImageBuild, today: date) -> Iterator[Finding | Gap]:
    stages = build.stages
    told: set[str] = set()
    for line, image, said in _images(build):
        if image in told:
            continue
        told.add(image)
        at = msgspec.structs.replace(build.at, line=line)
        if "$" in image:
            why = f"which image {said[:120]} is was not given: it is told when it is built"
            yield Gap(kind=GapKind.NOT_GIVEN, message=why, at=at)
            continue
        for message, action in judged(parsed(image), today):
            yield Finding(
                message=message,
                at=at,
                action=action,
                symbol=image[:200],
                evidence=(parts(parsed(image)),),
            )
    syntax = build.syntax
    if syntax and not _FRONTENDS.fullmatch(syntax):
        yield Finding(
            message=f"the builder is exchanged for another image: {syntax[:160]}",
            at=msgspec.structs.replace(build.at, line=1),
            action=Action.REVIEW,
            symbol=f"syntax {syntax[:160]}",
        )
    yield from _user(build, stages)


def _images(build: ImageBuild) -> Iterator[tuple[int, str, str]]:
    """The images that come from outside: those that stages begin with or copy from."""
    names = {s.name.lower() for s in build.stages if s.name}
    for stage in build.stages:
        if stage.base is None and stage.image.lower() not in ("scratch", ""):
            yield stage.line, stage.image, stage.said
        for one in stage.instructions:
            source = one.flag("from") if one.name in ("COPY", "ADD") else None
            if source and not source.isdecimal() and source.lower() not in names:
                yield one.line, source, source


def _user(build: ImageBuild, stages: tuple[Stage, ...]) -> Iterator[Finding]:
    """The user of the last stage, through the stages that it is built on."""
    stage: Stage | None = stages[-1]
    while stage is not None:
        users = [i for i in stage.instructions if i.name == "USER" and i.words and not i.trigger]
        if users:
            named = users[-1].words[0].partition(":")[0]
            if named in ("root", "0"):
                yield Finding(
                    message="what the image starts runs as root",
                    at=msgspec.structs.replace(build.at, line=users[-1].line),
                    action=Action.NOTE,
                    symbol="root",
                )
            return
        stage = stages[stage.base] if stage.base is not None else None
    yield Finding(
        message="no USER is named: what the image starts runs as root, unless what it is built on "
        "says otherwise",
        at=msgspec.structs.replace(build.at, line=stages[-1].line),
        action=Action.NOTE,
        symbol="root",
    )
