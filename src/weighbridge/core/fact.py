"""What an artifact says, in a form that crosses from the jailed child to the questions that are
asked across files: a tagged union, so that every kind has its own shape.

A document that has `facts()` says them; the engine keeps them, in order.
"""

from __future__ import annotations

from typing import Any

import msgspec

from weighbridge.core.location import Location
from weighbridge.core.workflow import Job, Trigger


class Fact(msgspec.Struct, frozen=True, kw_only=True, tag_field="fact"):
    """Base of the union. `at` is the artifact that says it."""

    at: Location


class Card(Fact, frozen=True, tag="card"):
    """A model card: the declarations of its header and its text, shortened to what is kept."""

    header: dict[str, Any]
    text: str


class Settings(Fact, frozen=True, tag="settings"):
    """A small JSON file of a known kind, or the scalar keys of a container of weights.

    `kind` is `config`, `generation`, `adapter`, `tokenizer`, `weight-index` or `gguf`.
    """

    kind: str
    values: dict[str, Any]


class SpecialTokens(Fact, frozen=True, tag="special-tokens"):
    """What a file says of special tokens, for the files of a folder to be compared: pairs of a
    subject (`eos id`) and what is said of it, as text."""

    said: tuple[tuple[str, str], ...]


class TensorEntry(msgspec.Struct, frozen=True, array_like=True):
    """A tensor: its element type as the format names it, its shape in row-major order, and where
    its bytes stand in the file (`start` -1: not in one piece), both in bytes."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    size: int


class Weights(Fact, frozen=True, tag="weights"):
    """The tensors of one artifact. `format` names the format that they are laid out by."""

    format: str
    tensors: tuple[TensorEntry, ...]


class Automation(Fact, frozen=True, tag="automation", omit_defaults=True):
    """A workflow or a composite action of GitHub Actions.

    `permissions` None: not declared. `inputs` are those that a caller hands in, with their
    defaults, `outputs` the expressions that it hands back. A composite action has one job, called
    `action`; `using` says what runs an action (`composite`, `node20`, `docker`). `silenced` are
    the comments that tell an analyser to look away, with their lines (from 1).
    """

    action: bool
    name: str = ""
    triggers: tuple[Trigger, ...] = ()
    permissions: dict[str, str] | None = None
    env: dict[str, str] = {}
    jobs: tuple[Job, ...] = ()
    inputs: dict[str, str] = {}
    outputs: dict[str, str] = {}
    using: str = ""
    silenced: tuple[tuple[int, str], ...] = ()


class Practice(Fact, frozen=True, tag="practice", omit_defaults=True):
    """Something that source code does which decides what it trains on or who takes part.

    `at` is the line. `kind` is one of `analysis.training_calls.Kind`, `symbol` what is called,
    `text` the line as it reads, `detail` what it is about (an address, a repository, a package),
    `traits` what makes it better or worse. `aside`: it stands in tests, examples or documentation.
    """

    kind: str
    symbol: str
    text: str
    detail: str = ""
    traits: tuple[str, ...] = ()
    aside: bool = False


class Egress(Fact, frozen=True, tag="egress", omit_defaults=True):
    """A host that source code names. `at` is the line; `how` is `calls` (it connects there),
    `reports` (telemetry), or `names` (it only spells the address); `sends`: it sends something
    there. `aside`: it stands in tests, examples or documentation."""

    host: str
    how: str
    symbol: str
    sends: bool = False
    aside: bool = False


AnyFact = Card | Settings | SpecialTokens | Weights | Automation | Practice | Egress
