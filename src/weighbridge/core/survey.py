"""What was seen in many repositories: one observation of each, and what they come to together."""

from __future__ import annotations

from msgspec import Struct

from weighbridge.core.report import Tool

SURVEY_SCHEMA = "weighbridge/survey/1"


class Tally(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How many findings of one check there are, by action."""

    block: int = 0
    review: int = 0
    note: int = 0


class Blocked(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A finding to block, whole enough to be looked up: `steps` is its attack path, where it has
    one, as the labels of its steps."""

    check: str
    control: str
    message: str
    path: str
    line: int | None = None
    steps: tuple[str, ...] = ()


class Observation(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the source checks saw in one repository.

    `target` is the folder as it was given; `name`, `commit` and `branch` are those of the clone,
    where it is one. `rules` is a digest of all that takes part in a judgement: two observations of
    one commit by the same rules say the same. `failed` says why it could not be surveyed; then
    nothing else is known.

    `workflows` counts the workflows of GitHub, `other_ci` the files of other systems, `python` the
    files of Python and notebooks outside tests, examples and documentation. `events` counts the
    workflows that an event starts. `verdicts` answers each control; `tallies` are findings by
    check, `aside` those that stand in tests, examples or documentation; `kinds` names what of a
    check is told apart in a study, with its strongest action. `gaps` counts for each control what
    could not be read, outside tests, examples and documentation, `gaps_aside` what could not be
    read in these; `unread` names the first of the former. `seconds` is how long it took.
    """

    target: str
    name: str = ""
    commit: str | None = None
    branch: str | None = None
    rules: str = ""
    zizmor: str = ""
    files: int = 0
    workflows: int = 0
    other_ci: int = 0
    python: int = 0
    events: dict[str, int] = {}
    verdicts: dict[str, str] = {}
    tallies: dict[str, Tally] = {}
    aside: dict[str, Tally] = {}
    kinds: dict[str, str] = {}
    blocked: tuple[Blocked, ...] = ()
    gaps: dict[str, int] = {}
    gaps_aside: int = 0
    unread: tuple[str, ...] = ()
    seconds: float = 0.0
    failed: str = ""


class Share(Struct, frozen=True, kw_only=True):
    """`found` of `of` repositories; in `open` further ones nothing was found, but something that
    the question is about could not be read, so that they are not counted as clean."""

    found: int
    of: int
    open: int


class Prevalence(Struct, frozen=True, kw_only=True):
    """How common it is that a rule says something.

    `any` counts the repositories with a finding outside tests, examples and documentation, `acted`
    those where one is to be reviewed or blocked, `blocked` those where one is to be blocked;
    `aside` those with findings in tests, examples and documentation only. `findings` are all of
    them, in all repositories and places.
    """

    rule: str
    control: str
    title: str
    among: str
    any: Share
    acted: Share
    blocked: Share
    aside: int
    findings: Tally


class Compared(Struct, frozen=True, kw_only=True):
    """A class of weakness for which a published study gives a share (`published`, in per cent),
    and how it is told here."""

    name: str
    published: float
    told_by: str
    any: Share
    acted: Share


class Survey(Struct, frozen=True, kw_only=True):
    """What the observations come to. `complete` counts the repositories with a complete attack
    path in a workflow, `code` those with training code to block; `definition` says what is meant.
    `denominators` are the repositories that a question can be put to, by name."""

    schema: str
    tool: Tool
    created: str
    definition: str
    study: str
    denominators: dict[str, int]
    complete: Share
    code: Share
    compared: tuple[Compared, ...]
    rules: tuple[Prevalence, ...]
    repositories: tuple[Observation, ...]
