"""Check `source-hides-code`."""

from __future__ import annotations

from collections.abc import Iterator

from weighbridge.analysis.python_acts import Origin, capped, excerpt, moment, place_of, read
from weighbridge.core.check import Domain, check
from weighbridge.core.evidence import Text
from weighbridge.core.finding import Action, Finding
from weighbridge.formats.python_source import PythonSource
from weighbridge.intel.source_calls import phrase

_RUNS = ("execute", "evaluate", "unmarshal", "native")


@check("source-hides-code", control="code-and-templates", reads=PythonSource, domain=Domain.MODEL)
def source_hides_code(source: PythonSource) -> Iterator[Finding]:
    """Code hides what it does: it runs what it decodes or downloads, or conceals a name.

    ## Why it matters
    Nobody who publishes a model needs to decode a program from a string, to fetch one and run it,
    or to put the word `system` together from pieces. Whoever does keeps a reader from seeing it.

    ## What to do
    Do not load the model with its code. Tell the publisher and the hub. What is decoded stands
    beside the finding as far as it can be told without running it.

    ## Limits
    Constants are followed through concatenation, joins, `chr`, base64, hexadecimal, rot13 and the
    usual compressions; what is computed from anything else stays unknown. A string inside another
    file (a pickle) does not run by itself: it is a review where it had to be decoded, else a note.

    ## References
    - https://attack.mitre.org/techniques/T1027/
    - https://cwe.mitre.org/data/definitions/506.html
    """
    acts = read(source)
    worst = capped(source, Action.BLOCK)
    for act in acts.with_effect(*_RUNS):
        if act.origin is not Origin.PLAIN:
            evidence = [excerpt(source, act.node, "Where it does")]
            evidence += [Text("What is decoded", text=h.text) for h in acts.hidden[:3]]
            yield Finding(
                message=f"{act.name} runs what was {act.origin.value}, {moment(act)}",
                at=place_of(source, act.node),
                action=worst,
                symbol=f"{act.name} of {act.origin.value}",
                evidence=tuple(evidence),
            )
        elif act.built:
            yield Finding(
                message=f"{act.name} is reached without being spelled out: it "
                f"{phrase(act.effect)}, {moment(act)}",
                at=place_of(source, act.node),
                action=worst,
                symbol=f"{act.name} built",
                evidence=(excerpt(source, act.node, "Where it is"),),
            )
    for node in acts.climbs:
        yield Finding(
            message="it climbs from an object to every class there is, to find one that acts",
            at=place_of(source, node),
            action=worst,
            symbol="__subclasses__",
            evidence=(excerpt(source, node, "Where it does"),),
        )
    for hidden in acts.hidden:
        yield Finding(
            message=f"a constant decodes to {hidden.what}: {hidden.text[:120]!r}",
            at=place_of(source, hidden.node),
            action=worst,
            symbol=hidden.text[:120],
            evidence=(
                Text("What it decodes to", text=hidden.text),
                excerpt(source, hidden.node, "Where it stands"),
            ),
        )
