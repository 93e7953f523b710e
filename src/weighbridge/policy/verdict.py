"""From what was found to what is said: the answer to each control, and the verdict of the audit."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from datetime import date
from typing import Final

import msgspec
from msgspec import Struct, field

from weighbridge.core.check import Check
from weighbridge.core.control import Control, ControlVerdict, OnFail, Verdict
from weighbridge.core.finding import Action, Finding, Gap, GapKind
from weighbridge.core.report import AppliedWaiver, ControlResult, FileRecord
from weighbridge.policy.controls import CONTROLS, GROUPS
from weighbridge.policy.policy import GapAcceptance, Policy, Waiver

QUOTED: Final = 240
"""How many characters of a message a sentence quotes."""

_ANSWERS: Final = {ControlVerdict.PASS, ControlVerdict.WARN, ControlVerdict.FAIL}


class Judgement(Struct, frozen=True):
    """What the policy makes of an audit. `controls` are all 14 in order, with their findings and
    gaps stamped; `waivers` is every entry of the policy with what became of it."""

    verdict: Verdict
    sentence: str
    exit_code: int
    controls: tuple[ControlResult, ...]
    waivers: tuple[AppliedWaiver, ...]


def judge(
    *,
    findings: Iterable[Finding],
    gaps: Iterable[Gap],
    checks: Collection[Check],
    ran: Mapping[str, int],
    files: Collection[FileRecord],
    policy: Policy,
    today: date,
) -> Judgement:
    """Answer the 14 controls and the audit.

    `findings` bear the id of their check; `gaps` the controls they leave open, or none, which
    leaves open every control that a check reads. `ran` counts for each check the documents it ran
    on. Raises `ValueError` for a finding of a check, or a gap of a control, that is not known: it
    would be lost.
    """
    desk = _Desk(policy, today)
    stamped = [desk.waive(finding) for finding in findings]
    open_gaps = list(gaps)
    _nothing_lost(stamped, open_gaps, checks)
    results = tuple(_answer(control, stamped, open_gaps, checks, ran, desk) for control in CONTROLS)
    verdict, reason = _overall(results, files, policy)
    return Judgement(
        verdict=verdict,
        sentence=f"{verdict.value.capitalize()}: {reason}. {_scope(results)}",
        exit_code=exit_code(verdict, policy),
        controls=results,
        waivers=desk.applied(),
    )


def exit_code(verdict: Verdict, policy: Policy) -> int:
    """0 pass or review, 1 block (and review where the policy says so), 3 incomplete."""
    if verdict is Verdict.INCOMPLETE:
        return 3
    fails = verdict is Verdict.BLOCK or (verdict is Verdict.REVIEW and policy.rules.review_fails)
    return int(fails)


class _Desk(Struct):
    """Applies the waivers and acceptances that hold today, and counts what each covers."""

    policy: Policy
    today: date
    covered: defaultdict[str, set[Finding | Gap]] = field(default_factory=lambda: defaultdict(set))

    def waive(self, finding: Finding) -> Finding:
        for waiver in self.policy.waivers:
            if not self.expired(waiver) and waiver.covers(finding):
                self.covered[waiver.id].add(finding)
                return msgspec.structs.replace(finding, waiver=waiver.id)
        return finding

    def accept(self, gap: Gap, control: str) -> Gap:
        for entry in self.policy.accepted_gaps:
            if not self.expired(entry) and entry.covers(gap, control):
                self.covered[entry.id].add(gap)  # once, however many controls it leaves open
                return msgspec.structs.replace(gap, accepted=entry.reason)
        return gap

    def expired(self, entry: Waiver | GapAcceptance) -> bool:
        return entry.expires < self.today

    def applied(self) -> tuple[AppliedWaiver, ...]:
        entries: list[Waiver | GapAcceptance] = [*self.policy.waivers, *self.policy.accepted_gaps]
        return tuple(
            AppliedWaiver(
                id=entry.id,
                reason=entry.reason,
                owner=entry.owner,
                expires=entry.expires.isoformat(),
                expired=self.expired(entry),
                covers=len(self.covered[entry.id]),
            )
            for entry in entries
        )


def _nothing_lost(findings: list[Finding], gaps: list[Gap], checks: Collection[Check]) -> None:
    known = {check.id for check in checks}
    if strange := {finding.check for finding in findings} - known:
        raise ValueError(f"findings of checks that are not registered: {sorted(strange)}")
    controls = {control.id for control in CONTROLS}
    if strange := {id for gap in gaps for id in gap.controls} - controls:
        raise ValueError(f"gaps of controls that do not exist: {sorted(strange)}")


def _answer(
    control: Control,
    findings: list[Finding],
    gaps: list[Gap],
    checks: Collection[Check],
    ran: Mapping[str, int],
    desk: _Desk,
) -> ControlResult:
    own = [check.id for check in checks if check.control == control.id]
    found = tuple(finding for finding in findings if finding.check in own)
    left = tuple(
        desk.accept(gap, control.id)
        for gap in gaps
        if control.id in gap.controls or (own and not gap.controls)
    )
    verdict, because = _question(found, left, own, ran)
    return ControlResult(
        id=control.id,
        group=GROUPS[control.group],
        title=control.title,
        question=control.question,
        verdict=verdict,
        because=because,
        given=verdict is not ControlVerdict.UNKNOWN or any(map(_unread, left)),
        findings=found,
        gaps=left,
        checks=tuple(id for id in own if ran.get(id, 0)),
        frameworks=control.frameworks,
    )


def _question(
    findings: tuple[Finding, ...], gaps: tuple[Gap, ...], own: list[str], ran: Mapping[str, int]
) -> tuple[ControlVerdict, str]:
    """The verdict of one control and why. A warn never hides a gap, and silence is a pass only
    where something was examined."""
    unread = [gap for gap in gaps if _unread(gap)]
    still_open = [gap for gap in unread if gap.accepted is None]
    not_given = [gap for gap in gaps if gap.kind is GapKind.NOT_GIVEN]
    times = sum(ran.get(id, 0) for id in own)
    if blocking := _active(findings, Action.BLOCK):
        return ControlVerdict.FAIL, _first(map(_told, blocking), len(blocking), "finding")
    if still_open:
        return ControlVerdict.UNKNOWN, _first(map(_unseen, still_open), len(still_open), "gap")
    if reviews := _active(findings, Action.REVIEW):
        return ControlVerdict.WARN, _first(map(_told, reviews), len(reviews), "finding")
    if not own:
        return ControlVerdict.UNKNOWN, "no check reads this yet"
    if not_given:
        return ControlVerdict.UNKNOWN, _first((g.message for g in not_given), len(not_given), "gap")
    if not times:
        if unread:
            return ControlVerdict.UNKNOWN, "all that there was to read is a gap the policy accepts"
        return ControlVerdict.NOT_APPLICABLE, "nothing of what its checks read is in the target"
    because = f"nothing stands against it: {_count(times, 'reading')} by "
    because += _count(sum(1 for id in own if ran.get(id, 0)), "check")
    if waived := sum(1 for finding in findings if finding.waiver is not None):
        because += f"; {_count(waived, 'finding')} waived by the policy"
    if unread:
        because += f"; {_count(len(unread), 'gap')} accepted by the policy"
    return ControlVerdict.PASS, because


def _overall(
    results: tuple[ControlResult, ...], files: Collection[FileRecord], policy: Policy
) -> tuple[Verdict, str]:
    """The order is that of the checklist: block, incomplete, review, pass."""
    table = {control.id: control for control in CONTROLS}

    def blocks(result: ControlResult) -> bool:
        raised = result.id in policy.rules.block
        return result.verdict is ControlVerdict.FAIL and (
            raised or table[result.id].on_fail is OnFail.BLOCK
        )

    if failing := [result for result in results if blocks(result)]:
        return Verdict.BLOCK, _decided(failing, (Action.BLOCK,))
    if not files:
        return Verdict.INCOMPLETE, "no file of the target could be examined"
    for result in results:
        still_open = [gap for gap in result.gaps if _unread(gap) and gap.accepted is None]
        if still_open and table[result.id].gap_incompletes:
            more = _more(len(still_open) - 1, "gap")
            reason = f"{_unseen(still_open[0])}{more}, which leaves {_name(result)} open"
            return Verdict.INCOMPLETE, reason
    for result in results:
        if result.id in policy.rules.demand and result.verdict is ControlVerdict.UNKNOWN:
            reason = f"the policy demands {_name(result)}, which is unknown: {result.because}"
            return Verdict.INCOMPLETE, reason
    if not any(result.verdict in _ANSWERS for result in results):
        return Verdict.INCOMPLETE, "no control could be answered from what was given"
    if open_to_review := [
        result for result in results if result.verdict in (ControlVerdict.FAIL, ControlVerdict.WARN)
    ]:
        return Verdict.REVIEW, _decided(open_to_review, (Action.BLOCK, Action.REVIEW))
    for result in results:
        # Something was there and was not seen: a person has to look, even where the checklist
        # does not call the whole audit incomplete for it.
        if still_open := [gap for gap in result.gaps if _unread(gap) and gap.accepted is None]:
            more = _more(len(still_open) - 1, "gap")
            return Verdict.REVIEW, f"{_unseen(still_open[0])}{more} ({_name(result)})"
    pardoned: dict[str, Collection[Finding | Gap]] = {
        "waived finding": {f for r in results for f in r.findings if f.waiver is not None},
        "accepted gap": {g for r in results for g in r.gaps if g.accepted is not None},
    }
    but = " and ".join(_count(len(those), thing) for thing, those in pardoned.items() if those)
    return Verdict.PASS, "nothing stands against these files" + (f" but {but}" if but else "")


def _decided(results: list[ControlResult], actions: tuple[Action, ...]) -> str:
    """The finding that decided, the worst first, and how many more there are."""
    deciding = [
        (finding, result)
        for action in actions
        for result in results
        for finding in _active(result.findings, action)
    ]
    finding, result = deciding[0]
    return f"{_told(finding)} ({_name(result)}){_more(len(deciding) - 1, 'finding')}"


def _scope(results: tuple[ControlResult, ...]) -> str:
    answered = sum(result.verdict in _ANSWERS for result in results)
    return f"{answered} of {len(results)} controls answered from these files."


def _unread(gap: Gap) -> bool:
    """Something was given and could not be read whole."""
    return gap.kind is not GapKind.NOT_GIVEN


def _active(findings: Iterable[Finding], action: Action) -> list[Finding]:
    return [f for f in findings if f.action is action and f.waiver is None]


def _told(finding: Finding) -> str:
    where, message = finding.at.path, finding.message
    said = message if where in (".", "") or where in message else f"{where}: {message}"
    return _quoted(said)


def _unseen(gap: Gap) -> str:
    where = "" if gap.at.path in (".", "") else f"{'/'.join((gap.at.path, *gap.at.inside))}: "
    return _quoted(f"{where}{gap.message} ({gap.kind.value})")


def _quoted(text: str) -> str:
    text = text.rstrip(".")
    return text if len(text) <= QUOTED else f"{text[:QUOTED]}…"


def _first(texts: Iterable[str], count: int, thing: str) -> str:
    return next(iter(texts)) + _more(count - 1, thing)


def _more(count: int, thing: str) -> str:
    return f", and {_count(count, f'more {thing}')}" if count else ""


def _count(number: int, thing: str) -> str:
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"


def _name(result: ControlResult) -> str:
    return result.title[:1].lower() + result.title[1:]
