"""Check `image-configuration`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from weighbridge.analysis.build_secrets import is_secret
from weighbridge.analysis.shell_acts import acts
from weighbridge.analysis.shell_kinds import Kind
from weighbridge.core.check import check
from weighbridge.core.evidence import Text
from weighbridge.core.finding import Action, Finding
from weighbridge.core.regex import regex
from weighbridge.formats.dockerfile import split
from weighbridge.formats.image_manifest import configuration_of
from weighbridge.formats.shell import read
from weighbridge.formats.text import Json

STEPS: Final = 1_000
"""How many steps of a history are read."""
LENGTH: Final = 64 << 10
_PAIR: Final = regex(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)
_SETS: Final = regex(r"(?:/bin/sh -c #\(nop\)\s+)?(?:ENV|ARG)\s+(.*)", re.DOTALL)
_ARGUMENTS: Final = regex(r"(?:RUN )?\|(\d+) ")
_SHELL: Final = regex(r"(?:RUN )?(?:/bin/)?(?:ba)?sh (?:-\w+ )*-\w*c ")


@check("image-configuration", control="dependencies", reads=Json)
def image_configuration(document: Json) -> Iterator[Finding]:
    """The configuration of an image keeps a credential, or what was run without a check.

    ## Why it matters
    The configuration and its history travel with the image: what was handed to the build as an
    argument, or set with `ENV`, is read by everyone who can pull it. The history also tells that a
    script was downloaded and run, which no layer shows.

    ## What to do
    Revoke the credential. Hand secrets in with `RUN --mount=type=secret`, and when the image runs,
    by its environment.

    ## Limits
    A value counts as a secret by its variable's name; what stands for one (`changeme`) does not.
    The history is what the builder wrote there, and can be left out. What was deleted by a later
    layer is still looked at in its own.

    ## References
    - https://github.com/opencontainers/image-spec/blob/main/config.md
    - https://docs.docker.com/build/building/secrets/
    - https://cwe.mitre.org/data/definitions/538.html
    - https://cwe.mitre.org/data/definitions/250.html
    """
    said = configuration_of(document.value)
    if said is None:
        return
    settings = said.get("config")
    settings = settings if isinstance(settings, dict) else {}
    told: set[str] = set()
    for name, value, where in (*_environment(settings), *_history(said)):
        if name not in told and is_secret(name, value):
            told.add(name)
            yield Finding(
                message=f"{where} keeps a credential in the image: {name[:80]} "
                f"({len(value):,} characters)",
                at=document.where,
                action=Action.REVIEW,
                symbol=name[:80],
            )
    for step in _steps(said):
        shell = _SHELL.search(step)
        for act in acts(read(step[shell.end() :] if shell else step.removeprefix("RUN "))):
            if act.kind is Kind.REMOTE_SCRIPT:
                yield Finding(
                    message="the build ran what it had downloaded, and compared it with nothing",
                    at=document.where,
                    action=Action.REVIEW,
                    symbol=act.text[:160],
                    evidence=(Text("The step of the history", text=act.text, language="sh"),),
                )
    user = settings.get("User")
    if settings and (not user or str(user).partition(":")[0] in ("0", "root")):
        yield Finding(
            message="what the image starts runs as root",
            at=document.where,
            action=Action.NOTE,
            symbol="root",
        )


def _environment(settings: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    listed = settings.get("Env")
    for said in listed[:STEPS] if isinstance(listed, list) else ():
        pair = _PAIR.fullmatch(said) if isinstance(said, str) else None
        if pair is not None:
            yield pair[1], pair[2], "its environment"


def _steps(said: dict[str, Any]) -> Iterator[str]:
    listed = said.get("history")
    for step in listed[:STEPS] if isinstance(listed, list) else ():
        made = step.get("created_by") if isinstance(step, dict) else None
        if isinstance(made, str):
            yield made[:LENGTH]


def _history(said: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """What steps set, and the arguments that were handed in (`|2 NAME=value …`)."""
    for step in _steps(said):
        sets, handed = _SETS.fullmatch(step), _ARGUMENTS.match(step)
        words: list[str] = []
        if sets is not None:
            words = split(sets[1])
        elif handed is not None:
            words = split(step[handed.end() :])[: int(handed[1][:4])]
        for word in words:
            pair = _PAIR.fullmatch(word)
            if pair is not None:
                yield pair[1], pair[2], "a step of its history"
