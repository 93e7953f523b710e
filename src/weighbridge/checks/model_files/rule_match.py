"""Check `rule-match`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from weighbridge.core.check import check
from weighbridge.core.evidence import AnyEvidence, Bytes, Table
from weighbridge.core.finding import Action, Finding
from weighbridge.formats.rule_matches import RuleMatch, RuleMatches

_ACTIONS: Final = {"note": Action.NOTE, "review": Action.REVIEW, "block": Action.BLOCK}
PATTERNS_SHOWN: Final = 10


@check("rule-match", control="payload-scan", reads=RuleMatches)
def rule_match(document: RuleMatches) -> Iterator[Finding]:
    """A YARA rule of the auditor's own matches.

    ## Why it matters
    You, or whoever wrote the rule, know this sign: of a campaign, of a tool, of something that
    must not leave the house. The rule's file, its digest and what its author says of it stand
    beside the finding.

    ## What to do
    Read what the rule is for (`reference`), and look at the bytes that it found. If it is wrong
    here, mend the rule or waive the finding.

    ## Limits
    A rule sees the first 16 MiB of each file and of each member that is not plainly a tensor, and
    `filesize` is that of what it sees; the coverage says how many bytes these were. A match is only
    as good as the rule: `weighbridge_action` in its `meta` (note, review, block) says what to do,
    and without it a person must look.

    ## References
    - https://virustotal.github.io/yara-x/docs/writing_rules/anatomy-of-a-rule/
    - https://virustotal.github.io/yara-x/docs/writing_rules/metadata/
    """
    for match in document.matches:
        first = min((p.offset for p in match.patterns), default=None)
        says = match.says("description")[:200]
        yield Finding(
            message=f"rule {match.rule} of {match.file} matches" + (f": {says}" if says else ""),
            at=document.at(first),
            action=_ACTIONS.get(match.says("weighbridge_action"), Action.REVIEW),
            symbol=f"{match.file}: {match.rule}",
            evidence=tuple(_evidence(match)),
        )


def _evidence(match: RuleMatch) -> Iterator[AnyEvidence]:
    rows = [("file", match.file), ("sha256 of the file", match.sha256)]
    rows += [("tag", tag) for tag in match.tags]
    rows += [(key, value[:400]) for key, value in match.meta]
    yield Table("Where the rule comes from", ("field", "value"), tuple(rows))
    for pattern in match.patterns[:PATTERNS_SHOWN]:
        times = f", {pattern.count:,} times" if pattern.count > 1 else ""
        yield Bytes(f"What {pattern.identifier} found{times}", pattern.data.hex(), pattern.offset)
