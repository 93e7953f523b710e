"""From observations of many repositories to how common each weakness is. Pure functions.

The published shares are those of Mitiga's study of ten thousand AI repositories.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Final, NamedTuple

from weighbridge.core.finding import Action, Finding
from weighbridge.core.report import CheckDoc, Tool
from weighbridge.core.survey import (
    SURVEY_SCHEMA,
    Compared,
    Observation,
    Prevalence,
    Share,
    Survey,
    Tally,
)

CONTROLS: Final = ("workflows", "training-code", "release")
"""What a repository of source code is asked."""
STUDY: Final = "Mitiga's study of 10,000 AI repositories"
DEFINITION: Final = (
    "A complete attack path is a finding to block of the controls workflows and release: in one "
    "job, an event that anybody can cause with the repository's rights (exposure), text or code of "
    "that person that is run there (weakness), and a secret, a token that writes, or something "
    "that is published (capability), with no guard in the way. Training code to block is a "
    "finding to block of that control, outside tests, examples and documentation. A repository in "
    "which something could not be read counts as open, not as clean."
)
DANGEROUS: Final = ("pull_request_target", "workflow_run", "issue_comment")
"""Events that run with the repository's rights, whoever caused them."""
UNPINNED: Final = "unpinned third-party actions"
_OTHERS_OWN: Final = ("platform actions", "own actions")


class _Rows(NamedTuple):
    """The tallies of one observation that count, without those aside."""

    any: bool
    acted: bool
    blocked: bool


def kinds(findings: Iterable[Finding]) -> dict[str, str]:
    """What a study tells apart and a check says together, with its strongest action."""
    order = list(Action)
    found: dict[str, Action] = {}
    for finding in findings:
        if finding.check == "workflow-unpinned-action" and finding.symbol not in _OTHERS_OWN:
            known = found.get(UNPINNED, Action.NOTE)
            found[UNPINNED] = min(known, finding.action, key=order.index)
    return {kind: action.value for kind, action in found.items()}


def survey(
    observations: Iterable[Observation], checks: Sequence[CheckDoc], tool: Tool, created: str
) -> Survey:
    """What the observations come to: a function of nothing else. `checks` are the rules that were
    asked, in the order in which they are to be shown."""
    ordered = tuple(sorted(observations, key=lambda o: (o.name.lower(), o.target)))
    seen = [o for o in ordered if not o.failed]
    of = {among: [o for o in seen if is_asked(o)] for among, is_asked in _AMONG.items()}
    return Survey(
        schema=SURVEY_SCHEMA,
        tool=tool,
        created=created,
        definition=DEFINITION,
        study=STUDY,
        denominators={
            "given": len(ordered),
            "surveyed": len(seen),
            **{among: len(those) for among, those in of.items()},
            "read whole": sum(1 for o in seen if not o.gaps),
        },
        complete=_share(of[WORKFLOWS], ("workflows", "release"), is_complete),
        code=_share(of[PYTHON], ("training-code",), has_code_to_block),
        compared=tuple(_compared(of)),
        rules=tuple(_prevalence(doc, of[_among(doc)], _among(doc)) for doc in checks),
        repositories=ordered,
    )


WORKFLOWS: Final = "with workflows of GitHub"
PYTHON: Final = "with Python"
EITHER: Final = "with either"
ZIZMOR: Final = "read by zizmor"
_AMONG: Final[dict[str, Callable[[Observation], bool]]] = {
    WORKFLOWS: lambda o: o.workflows > 0,
    PYTHON: lambda o: o.python > 0,
    EITHER: lambda o: o.workflows > 0 or o.python > 0,
    ZIZMOR: lambda o: o.workflows > 0 and bool(o.zizmor),
}


def is_complete(observation: Observation) -> bool:
    """Whether a repository has a complete attack path in a workflow; see `DEFINITION`."""
    return any(b.control in ("workflows", "release") for b in observation.blocked)


def has_code_to_block(observation: Observation) -> bool:
    """Whether a repository has training code to block."""
    return any(b.control == "training-code" for b in observation.blocked)


def _among(doc: CheckDoc) -> str:
    if doc.id == "zizmor":
        return ZIZMOR
    return PYTHON if doc.control == "training-code" else WORKFLOWS


def _rows(observation: Observation, check: str) -> _Rows:
    every = observation.tallies.get(check, Tally())
    aside = observation.aside.get(check, Tally())
    block, review, note = (
        every.block - aside.block,
        every.review - aside.review,
        every.note - aside.note,
    )
    return _Rows(block + review + note > 0, block + review > 0, block > 0)


def _share(
    those: Collection[Observation],
    controls: Collection[str],
    holds: Callable[[Observation], bool],
) -> Share:
    found = [o for o in those if holds(o)]
    rest = [o for o in those if not holds(o)]
    return Share(
        found=len(found),
        of=len(those),
        open=sum(1 for o in rest if any(o.gaps.get(c) for c in controls)),
    )


def _prevalence(doc: CheckDoc, those: list[Observation], among: str) -> Prevalence:
    controls = (doc.control,)
    tallies = [o.tallies[doc.id] for o in those if doc.id in o.tallies]
    return Prevalence(
        rule=doc.id,
        control=doc.control,
        title=doc.title,
        among=among,
        any=_share(those, controls, lambda o: _rows(o, doc.id).any),
        acted=_share(those, controls, lambda o: _rows(o, doc.id).acted),
        blocked=_share(those, controls, lambda o: _rows(o, doc.id).blocked),
        aside=sum(1 for o in those if doc.id in o.aside and not _rows(o, doc.id).any),
        findings=Tally(
            block=sum(t.block for t in tallies),
            review=sum(t.review for t in tallies),
            note=sum(t.note for t in tallies),
        ),
    )


class _Class(NamedTuple):
    """A class of the study, and how it is told: `any` by whatever is said of it, `acted` by what
    is to be reviewed or blocked."""

    name: str
    published: float
    told_by: str
    among: str
    controls: tuple[str, ...]
    any: Callable[[Observation], bool]
    acted: Callable[[Observation], bool]


def _of_check(check: str) -> tuple[Callable[[Observation], bool], Callable[[Observation], bool]]:
    return (lambda o: _rows(o, check).any), (lambda o: _rows(o, check).acted)


def _acts(observation: Observation) -> bool:
    return any(_rows(observation, check).acted for check in observation.tallies)


_CLASSES: Final = (
    _Class("anything critical or high", 70.0, "any finding to review or block", EITHER, CONTROLS,
           _acts, _acts),
    _Class(UNPINNED, 68.4, "workflow-unpinned-action, without GitHub's and the owner's own",
           WORKFLOWS, ("workflows",), lambda o: UNPINNED in o.kinds,
           lambda o: o.kinds.get(UNPINNED, "note") != "note"),
    _Class("excessive permissions", 42.7, "workflow-permissions", WORKFLOWS, ("workflows",),
           *_of_check("workflow-permissions")),
    _Class("script injection", 34.1, "workflow-injection", WORKFLOWS, ("workflows",),
           *_of_check("workflow-injection")),
    _Class("dangerous triggers", 27.2,
           "an event of " + ", ".join(DANGEROUS) + "; to act on: workflow-untrusted-code",
           WORKFLOWS, ("workflows",), lambda o: any(e in o.events for e in DANGEROUS),
           _of_check("workflow-untrusted-code")[1]),
    _Class("secrets in reach while artifacts are written", 22.8, "release-secret", WORKFLOWS,
           ("release",), *_of_check("release-secret")),
)  # fmt: skip


def _compared(of: dict[str, list[Observation]]) -> Iterable[Compared]:
    for row in _CLASSES:
        those = of[row.among]
        yield Compared(
            name=row.name,
            published=row.published,
            told_by=row.told_by,
            any=_share(those, row.controls, row.any),
            acted=_share(those, row.controls, row.acted),
        )
