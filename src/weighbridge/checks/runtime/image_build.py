"""Check `image-build`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import msgspec

from weighbridge.analysis.build_secrets import is_secret, is_secret_file, names_secret
from weighbridge.analysis.dependencies import shown
from weighbridge.analysis.image_installs import scripts
from weighbridge.analysis.shell_acts import acts
from weighbridge.analysis.shell_kinds import Kind
from weighbridge.core.check import check
from weighbridge.core.evidence import Text
from weighbridge.core.finding import Action, Finding, Gap, GapKind
from weighbridge.core.image import Instruction
from weighbridge.core.regex import regex
from weighbridge.formats.dockerfile import Dockerfile

_WITH_DIGEST: Final = regex(r"[0-9a-f]{40}|[0-9a-f]{64}")


@check("image-build", control="dependencies", reads=Dockerfile)
def image_build(document: Dockerfile) -> Iterator[Finding | Gap]:
    """The build of an image runs or keeps what it should not.

    ## Why it matters
    A script that is downloaded and run (`curl … | sh`), and a file that `ADD` fetches, are whatever
    their address answers on the day of the build. A credential in `ARG`, `ENV` or a copied file
    stays in the image's history for everyone who can pull it; deleting it in a later layer does
    not take it out.

    ## What to do
    Download a release, compare its digest (`sha256sum -c`, `ADD --checksum=sha256:…`), then run
    it. Hand secrets in with `RUN --mount=type=secret`.

    ## Limits
    Nothing is fetched. What copied scripts do is not followed here. A value counts as a secret by
    its name; what stands for one (`changeme`, `${TOKEN}`) does not. Installs of packages are told
    by the checks of indexes and requirements.

    ## References
    - https://docs.docker.com/build/building/secrets/
    - https://docs.docker.com/reference/dockerfile/#add---checksum
    - https://cwe.mitre.org/data/definitions/494.html
    - https://cwe.mitre.org/data/definitions/538.html
    """
    for stage in document.build.stages:
        for one in stage.instructions:
            yield from _kept(document, one)
            if one.name == "ADD":
                yield from _fetched(document, one)
    for made in scripts(document.build):
        if made.script.broken:
            at = msgspec.structs.replace(document.where, line=made.script.broken)
            yield Gap(kind=GapKind.MALFORMED, message="a script whose quotes do not end", at=at)
        for act in acts(made.script):
            if act.kind in (Kind.REMOTE_SCRIPT, Kind.LITERAL_SECRET):
                remote = act.kind is Kind.REMOTE_SCRIPT
                yield Finding(
                    message="the build runs what it has downloaded, and compares it with nothing"
                    if remote
                    else f"a credential stands in a command, and in the image's history "
                    f"({act.detail})",
                    at=msgspec.structs.replace(document.where, line=act.line),
                    action=Action.REVIEW,
                    symbol=act.text[:160],
                    evidence=(Text("The command", text=act.text, language="sh"),),
                )


def _kept(document: Dockerfile, one: Instruction) -> Iterator[Finding]:
    at = msgspec.structs.replace(document.where, line=one.line)
    for name, value in one.pairs:
        if value is not None and is_secret(name, value):
            yield Finding(
                message=f"{one.name} {name[:80]} keeps a credential in the image "
                f"({len(value):,} characters)",
                at=at,
                action=Action.REVIEW,
                symbol=f"{one.name} {name[:80]}",
            )
        elif one.name == "ARG" and value is None and names_secret(name):
            yield Finding(
                message=f"ARG {name[:80]}: what is handed in stays in the image's history",
                at=at,
                action=Action.NOTE,
                symbol=f"ARG {name[:80]}",
            )
    if one.name in ("COPY", "ADD") and one.flag("from") is None:
        for path in one.words[:-1]:
            if is_secret_file(path):
                yield Finding(
                    message=f"a file of credentials is copied into the image: {path[:160]}",
                    at=at,
                    action=Action.REVIEW,
                    symbol=path[:160],
                )


def _fetched(document: Dockerfile, one: Instruction) -> Iterator[Finding]:
    if one.flag("checksum"):
        return
    for source in one.words[:-1]:
        git = source.startswith("git@") or re.search(r"\.git(?:#|$)", source)
        if git and _WITH_DIGEST.fullmatch(source.partition("#")[2].partition(":")[0]):
            continue
        if git or re.match(r"(?:https?|ftp)://", source, re.IGNORECASE):
            plain = source.lower().startswith(("http://", "ftp://"))
            way = ", over a way on which anybody can answer" if plain else ""
            yield Finding(
                message=f"ADD fetches {shown(source)} and compares it with nothing{way}",
                at=msgspec.structs.replace(document.where, line=one.line),
                action=Action.REVIEW,
                symbol=shown(source),
            )
