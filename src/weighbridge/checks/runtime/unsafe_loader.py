"""Check `unsafe-loader`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from weighbridge.analysis.advised import Hold, weaknesses
from weighbridge.analysis.dependencies import dependencies, loads
from weighbridge.core.check import Audit, check
from weighbridge.core.finding import Action, Confidence, Finding
from weighbridge.intel.advisories.index import Index, Merged, NoIndex
from weighbridge.intel.advisories.severity import LEVELS


@check("unsafe-loader", control="file-format", reads=Audit)
def unsafe_loader(audit: Audit) -> Iterator[Finding]:
    """A format that is data only in a sound loader is to be read by one with a known hole.

    ## Why it matters
    Whether a file can act depends on what reads it: `weights_only=True` held a checkpoint to data
    only from torch 2.6 on, Keras's safe mode was passed by in several versions, readers of GGUF
    have written past their buffers.

    ## What to do
    Ask for the version that the finding of `affected-version` names.

    ## Limits
    Looks only at what the target itself asks for, and at loaders in a reviewed list; without
    advisories nothing is known (`affected-version` says so). Of a weakness that no advisory rates
    only a note is made; PyPA's own advisories rate few, GitHub's do. Whether the hole is in the
    part that reads this format is not known.

    ## References
    - https://nvd.nist.gov/vuln/detail/CVE-2025-32434
    - https://cwe.mitre.org/data/definitions/502.html
    """
    if audit.advisories is None:
        return
    told: set[tuple[str, str]] = set()
    try:
        with Index(Path(audit.advisories)) as index:
            for wanted in dependencies(audit).wanted:
                format = loads(wanted.key, audit)
                said = wanted.version or wanted.specifier
                if not format or (wanted.key, said) in told:
                    continue
                open_ = [
                    one.merged
                    for one in weaknesses(wanted, index)
                    if one.hold in (Hold.AFFECTED, Hold.ONLY)
                ]
                grave = [m for m in open_ if m.severity in ("high", "critical") or m.exploited]
                # What is exploited first, then the gravest. What nobody has rated may be grave.
                met = sorted(grave, key=_gravest) or [m for m in open_ if not m.severity]
                if met:
                    told.add((wanted.key, said))
                    names = ", ".join(m.ids[0] for m in met[:3])
                    more = f" and {len(met) - 3:,} more" if len(met) > 3 else ""
                    what = "a known hole" if grave else "a weakness that nobody has rated"
                    yield Finding(
                        message=f"{format} is to be loaded by {wanted.told}, which has {what}: "
                        f"{names}{more}",
                        at=wanted.at,
                        action=Action.REVIEW if grave else Action.NOTE,
                        symbol=f"{wanted.key} {said}".strip(),
                        confidence=Confidence.LIKELY,
                    )
    except NoIndex:
        return


def _gravest(one: Merged) -> tuple[bool, int, tuple[str, ...]]:
    return not one.exploited, -LEVELS.index(one.severity), one.ids
