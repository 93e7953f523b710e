"""Counts, on the table of fixture workflows, what zizmor finds alone and what Weighbridge finds.

An attack counts as found by zizmor if it reports anything of the same class, of any severity; a
guarded or a well-made workflow counts as accused if it reports anything of the classes that attacks
have, of medium or high severity. `.venv/bin/python bench/workflow_table.py` (zizmor installed).
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from weighbridge.core.fact import Automation, ToolFinding
from weighbridge.core.format import Limits
from weighbridge.core.tree import Blob, Held
from weighbridge.engine import zizmor
from weighbridge.engine.examine import examine
from weighbridge.engine.ruleset import load
from workflows import CASES, Case, said

CLASSES = {
    "workflow-untrusted-code": {"dangerous-triggers"},
    "workflow-injection": {"template-injection", "github-env"},
    "workflow-unpinned-action": {"unpinned-uses", "unpinned-images"},
    "workflow-permissions": {"excessive-permissions"},
    "workflow-runner": {"self-hosted-runner"},
    "workflow-download": {"adhoc-packages", "unpinned-tools", "insecure-url-scheme"},
    "workflow-agent": {"template-injection"},
    "release-cache": {"cache-poisoning"},
    "release-secret": {"secrets-inherit", "overprovisioned-secrets"},
    "release-credential": {"use-trusted-publishing"},
}
ALL = {id for ids in CLASSES.values() for id in ids}


def asked(case: Case) -> list[ToolFinding]:
    """What zizmor says of a case."""
    blobs: dict[str, Blob] = {p: Held(p, t.encode()) for p, t in case.files.items()}
    facts = [f for b in blobs.values() for f in examine(b, load(), Limits()).facts]
    run = zizmor.look([f for f in facts if isinstance(f, Automation)], blobs)
    assert run is not None
    assert not run.absent, run.absent
    assert not run.failed, run.failed
    return list(run.findings)


def main() -> None:
    """Print the counts."""
    counts: Counter[tuple[str, str, str]] = Counter()
    for case in CASES:
        theirs = asked(case)
        ours = said(case.files)
        counts[case.sort, "cases", ""] += 1
        if case.sort == "attack":
            wanted = {entry.partition(":")[0] for entry in case.expected}
            ids = {f.id for f in theirs}
            counts["attack", "found", "zizmor"] += any(CLASSES.get(w, set()) & ids for w in wanted)
            counts["attack", "found", "weighbridge"] += case.expected <= ours
        else:
            loud = {f.id for f in theirs if f.severity in ("Medium", "High")} & ALL
            counts[case.sort, "accused", "zizmor"] += bool(loud)
            counts[case.sort, "accused", "weighbridge"] += bool(ours)
    for (sort, what, tool), count in sorted(counts.items()):
        print(f"{sort:8} {what:8} {tool:12} {count}")


if __name__ == "__main__":
    main()
