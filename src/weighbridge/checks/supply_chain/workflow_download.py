"""Check `workflow-download`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from weighbridge.analysis.shell_kinds import Act, Kind
from weighbridge.analysis.workflow_jobs import automations
from weighbridge.analysis.workflow_levels import loss, path, worst
from weighbridge.analysis.workflow_views import JobView
from weighbridge.core.check import Audit, check
from weighbridge.core.evidence import Text
from weighbridge.core.finding import Action, Finding
from weighbridge.core.location import Location
from weighbridge.core.regex import regex

SAID: Final = {
    Kind.REMOTE_SCRIPT: "runs what it has just downloaded, unchecked, from",
    Kind.INSTALL_GIT: "installs from git, by no full commit:",
    Kind.INSTALL_PLAIN: "installs without the protection of TLS:",
    Kind.INSTALL_INDEX: "asks a second index for the same names:",
    Kind.INSTALL_UNPINNED: "installs whatever version is the newest:",
    Kind.MODEL_DOWNLOAD: "fetches a model or data set in no fixed revision:",
    Kind.LITERAL_SECRET: "has a credential written into a command:",
}
ALWAYS: Final = frozenset((Kind.INSTALL_PLAIN, Kind.LITERAL_SECRET))
"""What is for review wherever it stands."""
_HELD: Final = frozenset((Kind.REMOTE_SCRIPT, Kind.INSTALL_GIT, Kind.INSTALL_INDEX))
"""What is for review where the job holds something."""


@check("workflow-download", control="workflows", reads=Audit)
def workflow_download(audit: Audit) -> Iterator[Finding]:
    """A job runs or installs what can be another thing tomorrow.

    ## Why it matters
    What `curl … | sh` fetches, what stands at the tip of a git branch or first in a second index is
    chosen by others, at the time of the run. In a job that publishes or holds secrets it needs one
    taken-over server or one name registered elsewhere (`torchtriton`, 2022) to change what is
    published. A model without a revision brings new weights, and new code, into the tests.

    ## What to do
    Compare a digest before running a download, or use a pinned action or a package in its place;
    name full commits in `git+` addresses; use one index with `--require-hashes`; name a `revision`
    for every model.

    ## Limits
    Scripts of steps and the shell and Python scripts of the repository that steps call are read;
    what programs install in their turn is not. A second index of a framework's own vendor, git
    repositories of the same owner, versions that are not pinned, and models without a revision are
    notes. Whether a written credential still
    works is never tried.

    ## References
    - https://cwe.mitre.org/data/definitions/494.html
    - https://cwe.mitre.org/data/definitions/427.html
    """
    known = automations(audit)
    yield from worst(f for view in known.views for f in _of(view, known.owners_of(view)))


_OWNER: Final = regex(r"git\+\w+://(?:[^@/]*@)?github\.com[/:]([\w-]+)/")


def _of(view: JobView, owners: frozenset[str]) -> Iterator[Finding]:
    loose: list[tuple[str, Act]] = []
    for step in view.steps:
        for file, act in step.every(*SAID):
            if act.kind is Kind.INSTALL_UNPINNED:
                loose.append((file, act))
                continue
            at = Location(file, line=act.line)
            action = Action.NOTE
            whose = _OWNER.match(act.detail)
            own = whose is not None and whose[1].lower() in owners
            if act.kind in ALWAYS or (
                act.kind in _HELD and view.held and not act.target and not own
            ):
                action = Action.REVIEW
            yield Finding(
                message=f"job {view.job.id} {SAID[act.kind]} {act.detail[:160]}, "
                f"with {loss(view)} in reach",
                at=at,
                action=action,
                symbol=f"{act.kind.value}: {act.detail[:100]}",
                evidence=(path("What is fetched at the time of the run", view, (act.text, at)),),
            )
    if loose:
        file, act = loose[0]
        lines = "\n".join(f"{a.line}: {a.text}" for f, a in loose[:20] if f == file)
        yield Finding(
            message=f"job {view.job.id} {SAID[Kind.INSTALL_UNPINNED]} {act.detail[:120]}",
            at=Location(file, line=act.line),
            action=Action.NOTE,
            symbol=f"{view.job.id}: unpinned",
            evidence=(Text("The commands", text=lines, language="shell"),),
        )
