"""Check `source-connects`."""

from __future__ import annotations

from collections.abc import Iterator

from weighbridge.analysis.python_acts import Act, Acts, capped, excerpt, moment, place_of, read
from weighbridge.analysis.reverse_shell import reverse_shell
from weighbridge.core.check import Domain, check
from weighbridge.core.finding import Action, Finding, Related
from weighbridge.formats.python_source import PythonSource


@check("source-connects", control="code-and-templates", reads=PythonSource, domain=Domain.MODEL)
def source_connects(source: PythonSource) -> Iterator[Finding]:
    """Code that comes with the model connects to the network.

    ## Why it matters
    A connection takes prompts, keys and files out, and brings instructions in. A shell whose input
    and output are tied to a socket gives the machine away; stored credentials that are read beside
    a connection are about to leave.

    ## What to do
    Read where it connects and what it sends. Deny the model's process any way out of the network,
    or do not load it with its code.

    ## Limits
    Libraries that connect by themselves (downloads from the hub included) are not counted. A call
    that only fetches an address that its caller gives, as image loaders do, is a note.

    ## References
    - https://attack.mitre.org/techniques/T1041/
    - https://cwe.mitre.org/data/definitions/200.html
    """
    acts = read(source)
    worst = capped(source, Action.BLOCK)
    connections = list(acts.with_effect("connect"))
    shell = reverse_shell(acts)
    if shell is not None:
        yield Finding(
            message=f"a shell is tied to a network connection, {moment(shell)}",
            at=place_of(source, shell.node),
            action=worst,
            symbol="reverse shell",
            evidence=(excerpt(source, shell.node, "Where it connects"),),
        )
    for host, node in acts.collectors[:5]:
        yield Finding(
            message=f"it names {host}, which receives stolen data and callbacks",
            at=place_of(source, node),
            action=worst if connections else capped(source, Action.REVIEW),
            symbol=host,
            evidence=(excerpt(source, node, "Where it stands"),),
        )
    stolen = [p for p in acts.places if p.kind == "credentials"]
    if stolen and connections:
        yield Finding(
            message=f"it names stored credentials ({stolen[0].mark}) and connects to the network",
            at=place_of(source, stolen[0].node),
            action=worst,
            symbol=stolen[0].mark,
            related=(Related("the connection", place_of(source, connections[0].node)),),
            evidence=(
                excerpt(source, stolen[0].node, "The credentials"),
                excerpt(source, connections[0].node, "The connection"),
            ),
        )
    if shell is not None:
        return
    for act in connections:
        if act.built:
            continue  # said by `source-hides-code`
        asks = act.on_import or act.fixed or _sends(acts, act)
        to = f" to {act.text[:100]!r}" if act.text else ""
        yield Finding(
            message=f"{act.name} connects{to}, {moment(act)}",
            at=place_of(source, act.node),
            action=capped(source, Action.REVIEW) if asks else Action.NOTE,
            symbol=f"{act.name} {act.scope}".strip(),
            evidence=(excerpt(source, act.node, "Where it does"),),
        )
    if acts.unverified and connections:
        yield Finding(
            message="it connects without verifying who answers (TLS verification is off)",
            at=place_of(source, acts.unverified[0]),
            action=capped(source, Action.REVIEW),
            symbol="unverified TLS",
            evidence=(excerpt(source, acts.unverified[0], "Where it is turned off"),),
        )


def _sends(acts: Acts, act: Act) -> bool:
    return any(a.scope == act.scope for a in acts.with_effect("send"))
