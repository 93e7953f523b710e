"""What well-known actions of GitHub do: publish, restore caches, run a text that they are given.

The lists were put together from the actions' own descriptions (`action.yml`) and are kept in
`actions.json`. An action that is not on a list is believed to do nothing of the kind: a miss, never
an accusation.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

import msgspec

from weighbridge.core.report import Intel

_FILE: Final = Path(__file__).with_name("actions.json")


class Actions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The lists, by `owner/name` in small letters.

    `publishes` says what (`package`, `image`, `model`, `release`, `pages`); `publishes_if` inputs,
    the values of each that make it publish (`a|b`; no input: always) and what; `release_files` the
    inputs that name what a release is given beside its notes; `registries` where an action's
    packages go (`pypi`, `npm`); `attests` says what
    is made that tells where an artifact came from (also by the repository of a workflow); `caches`
    the input that switches a cache on (empty: always on); `scripts` the input that is run; `agents`
    the inputs that a language model is instructed by, `agent_programs` programs that are one;
    `foreign_outputs` outputs that hold what the author of a pull request wrote; `platform` the
    owners that belong to GitHub; `short_lived_runners` how labels of runners begin that live for
    one job.
    """

    date: str
    platform: tuple[str, ...]
    publishes: dict[str, str]
    publishes_if: dict[str, tuple[tuple[str, str, str], ...]]
    release_files: dict[str, tuple[str, ...]]
    registries: dict[str, str]
    attests: dict[str, str]
    caches: dict[str, str]
    permission_checks: tuple[str, ...]
    scripts: dict[str, str]
    agents: dict[str, tuple[str, ...]]
    agent_programs: tuple[str, ...]
    artifacts: tuple[str, ...]
    foreign_outputs: dict[str, tuple[str, ...]]
    short_lived_runners: tuple[str, ...]


@cache
def actions() -> Actions:
    """The lists, read once."""
    return msgspec.json.decode(_FILE.read_bytes(), type=Actions)


def load() -> Intel:
    """Read the lists; says of when they are."""
    return Intel(name="actions of GitHub", date=actions().date)
