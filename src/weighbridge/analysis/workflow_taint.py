"""What in a workflow is written by others: contexts of GitHub, and where their text flows.

List of contexts: https://docs.github.com/en/actions/reference/security/secure-use, "Understanding
the risk of script injections", and the GitHub Security Lab's research on branch names, commit
messages and authors.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from msgspec import Struct, field

from weighbridge.analysis.expressions import expressions, flowing
from weighbridge.analysis.workflow_reach import PULL
from weighbridge.core.regex import regex
from weighbridge.core.workflow import Step
from weighbridge.formats.shell import Command, Script, Word
from weighbridge.intel.actions import actions

DEPTH: Final = 8
"""How many assignments are followed from a value back to what it comes from."""
SOURCES: Final = 12

_TEXT: Final = regex(
    r"github\.head_ref"
    r"|github\.event\.(?:issue|pull_request|discussion|comment|review|review_comment)(?:\.(?:title|body))?"
    r"|github\.event\.pull_request\.head\.(?:ref|label|repo\.(?:default_branch|description|homepage))"
    r"|github\.event\.pull_request\.head(?:\.repo)?"
    r"|github\.event\.pages\..*page_name"
    r"|github\.event\.workflow_run\.(?:head_branch|display_title)"
    r"|github\.event\.workflow_run\.head_commit(?:\.(?:message|author\.(?:name|email)))?"
    r"|github\.event\.workflow_run\.pull_requests\..*head\.ref"
    r"|github\.event\.workflow_run(?:\.head_repository(?:\.(?:description|homepage))?)?"
    r"|github\.event|github"
)
"""Texts that an outsider writes."""
_COMMITTED: Final = regex(
    r"github\.event\.(?:head_commit(?:\.(?:message|(?:author|committer)\.(?:name|email)))?"
    r"|commits(?:\..*(?:message|author\.name|author\.email))?)"
)
"""Texts that come with a commit: an outsider's, once somebody has merged it."""
_INSIDER: Final = regex(
    r"inputs\..+|github\.event\.inputs\..+|github\.ref_name|github\.ref|github\.base_ref"
    r"|github\.event\.(?:release\.(?:name|body|tag_name|target_commitish)|client_payload.*|label\..*"
    r"|ref|base_ref)|github\.event\.workflow\b.*"
)
"""Texts that only those write who may write to the repository."""
_REVISION: Final = regex(
    r"github\.head_ref|github\.event\.pull_request\.(?:head\.(?:sha|ref|label|repo\..*)|merge_commit_sha)"
    r"|github\.event\.workflow_run\.(?:head_sha|head_branch|head_commit\.id|head_repository\.full_name"
    r"|pull_requests\..*head\..*)|github\.event\.(?:check_suite|check_run)\..*(?:head_sha|head\.sha)"
)
"""What names a revision that an outsider wrote."""
_NUMBERED: Final = regex(r"refs/(?:remotes/)?pull/")
_PULL_QUERY: Final = regex(r"pulls\.get\b|/pulls/|getPull\b|pull_requests?/|gh pr view")
_HEAD: Final = regex(r"\bhead\.(?:ref|sha|repo)|headRef(?:Name|Oid)|head_ref|head_sha|\.head\b")
_NAMED: Final = regex(r"\bhead\.ref|headRefName|head_ref\b|\.title\b|\.body\b|head\.label")


READERS: Final = frozenset(
    ("cat", "head", "tail", "jq", "yq", "grep", "sed", "awk", "cut", "tr", "read", "sort", "xargs")
)
"""Programs that give out what is in a file."""


def reads_file(command: Command) -> bool:
    """Whether a command gives out what is in a file."""
    return bool(command.argv and command.argv[0] in READERS) or any(
        r.operator == "<" for r in command.redirects
    )


class Origin(Struct, frozen=True):
    """Where a text comes from: the context, and whether an outsider writes it."""

    name: str
    outsider: bool
    text: bool = True
    """Whether it is free text, not only the name of a revision."""
    revision: bool = False
    merged: bool = False


def origin_of(path: str, event: str) -> Origin | None:
    """What a context holds under an event; None where nothing in it is free."""
    revision = _REVISION.fullmatch(path) is not None
    if _COMMITTED.fullmatch(path):
        return Origin(path, outsider=False, merged=True)
    if _TEXT.fullmatch(path):
        if event in ("push", "schedule", "workflow_dispatch", "release") and path in (
            "github",
            "github.event",
        ):
            return Origin(path, outsider=False)
        if path == "github.head_ref" and event not in ("pull_request", "pull_request_target"):
            return None
        if path.startswith(PULL) and not event.startswith("pull_request"):
            return None
        return Origin(path, outsider=True, revision=revision)
    if revision:
        return Origin(path, outsider=True, text=False, revision=True)
    if _INSIDER.fullmatch(path):
        if "inputs." in path and event not in ("workflow_dispatch", "workflow_call"):
            return None
        named = path in ("github.ref_name", "github.ref", "github.base_ref")
        if named and event in ("pull_request", "pull_request_target", "issue_comment", "schedule"):
            return None
        return Origin(path, outsider=False)
    return None


Origins = tuple[Origin, ...]


class Scope(Struct):
    """What names mean in one step: the environment as texts, the outputs of steps and jobs, the
    inputs of a caller, the values of a matrix; `brought` is what an outsider's checkout before it
    has brought in."""

    event: str
    env: Mapping[str, str] = field(default_factory=dict)
    steps: dict[str, dict[str, Origins]] = field(default_factory=dict)
    needs: Mapping[str, Mapping[str, Origins]] = field(default_factory=dict)
    inputs: Mapping[str, Origins] | None = None
    matrix: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    brought: Origins = ()

    def of(self, text: str, depth: int = 0) -> Origins:
        """What flows into a text through its expressions."""
        if "${{" not in text:
            return ()
        found: dict[str, Origin] = {}
        for expression in expressions(text):
            for path in flowing(expression.tree):
                for origin in self.context(path, depth):
                    found.setdefault(origin.name, origin)
                    if len(found) >= SOURCES:
                        return tuple(found.values())
        return tuple(found.values())

    def context(self, path: str, depth: int = 0) -> Origins:
        """What a context comes to."""
        if depth > DEPTH:
            return ()
        head, _, rest = path.partition(".")
        if head == "env":
            value = self.env.get(rest) or next(
                (v for k, v in self.env.items() if k.lower() == rest), ""
            )
            return self.of(value, depth + 1)
        if head == "steps":
            id, _, output = rest.partition(".outputs.")
            known = self.steps.get(id, {})
            return known.get(output) or known.get("*", ())
        if head == "needs":
            id, _, output = rest.partition(".outputs.")
            job = next((v for k, v in self.needs.items() if k.lower() == id), {})
            return next((v for k, v in job.items() if k.lower() == output), ())
        if head == "matrix":
            values = (*self.matrix.get(rest.partition(".")[0], ()), *self.matrix.get("*", ()))
            return tuple(o for v in values[:50] for o in self.of(v, depth + 1))
        if self.inputs is not None and (
            head == "inputs" or path.startswith("github.event.inputs.")
        ):
            name = path.removeprefix("github.event.").partition(".")[2]
            return next((v for k, v in self.inputs.items() if k.lower() == name), ())
        origin = origin_of(path, self.event)
        return (origin,) if origin is not None else ()

    def variables(self, names: tuple[str, ...]) -> Origins:
        """What flows into variables of a shell."""
        found = [o for name in names for o in self.of(self.env.get(name, ""))]
        return tuple(dict.fromkeys(found))


def written_outputs(step: Step, script: Script | None, scope: Scope) -> dict[str, Origins]:
    """What the outputs of a step hold that others have written."""
    action = step.uses.partition("@")[0].lower()
    if named := actions().foreign_outputs.get(action):
        origin = Origin(f"the output of {action}", True, True, "ref" in "".join(named))
        return dict.fromkeys(named, (origin,))
    text = step.run or step.inputs.get("script", "")
    if not text:
        return {}
    made: dict[str, Origins] = {}
    if _PULL_QUERY.search(text) and _HEAD.search(text):
        free = _NAMED.search(text) is not None
        label = f"the head of the pull request (step {step.id or step.name or 'without name'})"
        made["*"] = (Origin(label, True, free, True),)
    if script is not None and step.run:
        assigned: dict[str, Origins] = {}
        for command in script.everything():
            for name, word in command.assignments:
                if origins := _of_word(word, scope, assigned):
                    assigned[name] = origins
            if _sets_output(command):
                for name, origins in _outputs(command, scope, assigned):
                    made[name.lower()] = made.get(name.lower(), ()) + origins
    elif step.inputs.get("script") and (origins := scope.of(text)):
        made["*"] = origins
    return made


def _of_word(word: Word, scope: Scope, assigned: Mapping[str, Origins]) -> Origins:
    found = list(scope.of(word.text))
    for name in word.variables:
        found += assigned.get(name, ())
        found += scope.of(scope.env.get(name, ""))
    for inner in word.inner:
        for command in inner.everything():
            for part in command.words:
                found += _of_word(part, scope, assigned) if not part.inner else ()
            if scope.brought and reads_file(command):
                found += scope.brought
    return tuple(dict.fromkeys(found))


def _sets_output(command: Command) -> bool:
    return any("GITHUB_OUTPUT" in r.target.text for r in command.redirects) or any(
        "::set-output" in w.text or "GITHUB_OUTPUT" in w.text for w in command.words[1:]
    )


def _outputs(
    command: Command, scope: Scope, assigned: Mapping[str, Origins]
) -> Iterator[tuple[str, Origins]]:
    heredocs = [r.target for r in command.redirects if r.operator == "<<"]
    for word in (*command.words[1:], *heredocs):
        if origins := _of_word(word, scope, assigned):
            name = re.match(r"\s*(?:::set-output name=)?([\w-]+)(?:=|::|<<)", word.text)
            yield (name[1] if name else "*"), origins


def foreign_revision(step: Step, scope: Scope) -> Origins:
    """What an `actions/checkout` takes that an outsider wrote: a revision or a repository."""
    found: list[Origin] = []
    for name in ("ref", "repository"):
        value = step.inputs.get(name, "")
        found += [o for o in scope.of(value) if o.revision]
        if name == "ref" and _NUMBERED.search(value):
            found.append(Origin(f"the pull request ({value[:80]})", True, False, True))
    return tuple(dict.fromkeys(found))
