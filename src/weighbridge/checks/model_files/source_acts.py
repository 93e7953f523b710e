"""Check `source-acts`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from weighbridge.analysis.python_acts import (
    Act,
    Acts,
    Origin,
    capped,
    excerpt,
    moment,
    place_of,
    read,
)
from weighbridge.core.check import Domain, check
from weighbridge.core.finding import Action, Finding, Gap, GapKind
from weighbridge.formats.python_source import PythonSource
from weighbridge.intel.source_calls import phrase

_EFFECTS: Final = (
    "evaluate", "unmarshal", "native", "delete", "persist", "watch", "intercept", "import",
    "lookup", "patch", "remote",
)  # fmt: skip
_SHOWN: Final = 200


@check("source-acts", control="code-and-templates", reads=PythonSource, domain=Domain.MODEL)
def source_acts(source: PythonSource) -> Iterator[Finding | Gap]:
    """Code that comes with the model evaluates strings, unpickles, loads native code or worse.

    ## Why it matters
    These calls do whatever their data say. In code that a loader imports they are where a harmless
    looking file gets its power from.

    ## What to do
    Read the lines. An `eval` of the configuration is careless, one of anything that arrives with a
    request is a hole. Ask for a version without it, or waive the finding with your reason.

    ## Limits
    Where the argument of a call comes from is followed within one function only.

    ## References
    - https://cwe.mitre.org/data/definitions/95.html
    - https://cwe.mitre.org/data/definitions/502.html
    """
    acts = read(source)
    if not acts.whole:
        why = "the code is too involved to be followed through; a part of it was not judged"
        yield Gap(kind=GapKind.TOO_LARGE, message=why, at=source.where)
    for act in acts.with_effect(*_EFFECTS):
        if act.origin is not Origin.PLAIN or act.built:
            continue  # said by `source-hides-code`
        yield Finding(
            message=_message(act),
            at=place_of(source, act.node),
            action=capped(source, _action(act, acts)),
            symbol=f"{act.name} {act.scope}".strip(),
            evidence=(excerpt(source, act.node, "Where it does"),),
        )
    for place in acts.places:
        if place.kind == "start-up":
            yield Finding(
                message=f"it names {place.mark}, from which programs are started",
                at=place_of(source, place.node),
                action=capped(source, Action.REVIEW),
                symbol=place.mark,
                evidence=(excerpt(source, place.node, "Where it stands"),),
            )


def _message(act: Act) -> str:
    name, does = act.name, phrase(act.effect)
    if act.handed:
        return f"{name} is handed on, which {does}, {moment(act)}"
    of = f" ({act.text[:_SHOWN]})" if act.effect == "remote" else ""
    return f"{name}{of} {does}, {moment(act)}"


def _action(act: Act, acts: Acts) -> Action:
    """What acts by itself is reviewed; what tools of every kind do inside functions is a note."""
    match act.effect:
        case "persist" | "watch" | "intercept" | "lookup" | "patch":
            return Action.REVIEW
        case "remote":  # a script that shows how the model is used names the model
            return Action.NOTE if acts.is_script else Action.REVIEW
        case "evaluate":
            return Action.NOTE if act.name.endswith("compile") else Action.REVIEW
        case "import":
            return Action.REVIEW
        case effect:
            return Action.REVIEW if act.on_import and effect != "delete" else Action.NOTE
