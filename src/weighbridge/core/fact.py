"""What an artifact says, in a form that crosses from the jailed child to the questions that are
asked across files: a tagged union, so that every kind has its own shape.

A document that has `facts()` says them; the engine keeps them, in order.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from msgspec import Struct

from weighbridge.core.evidence import TriggerInput
from weighbridge.core.finding import Gap, GapKind
from weighbridge.core.image import ImageReference, Stage
from weighbridge.core.location import Location
from weighbridge.core.workflow import Job, Trigger


class Fact(Struct, frozen=True, kw_only=True, tag_field="fact"):
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


class TensorEntry(Struct, frozen=True, array_like=True):
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


class Digested(Struct, frozen=True, array_like=True):
    """A file that a listing names, with the algorithm and its value in hexadecimal."""

    path: str
    algorithm: str
    value: str


class Signature(Fact, frozen=True, tag="signature"):
    """A signature over files, as it stands in its own file. Nothing of it is verified here.

    `material` says what it is proven with: a `key` (`hint` is how the signer calls it), a
    `certificate` (`certificates` in DER, the signer's first) or `sigstore`, a certificate with an
    entry in a public log, for which the whole `bundle` is needed. `signatures` were made over the
    DSSE encoding of `payload_type` and `payload`, or, where that type is empty, over the one file
    itself. `files` are those that it covers, `ignored` the paths that the signer left out,
    `layout` how the files were digested. `faults` say why it cannot be what it claims to be.
    """

    material: str
    payload_type: str
    payload: bytes
    signatures: tuple[bytes, ...]
    certificates: tuple[bytes, ...] = ()
    hint: str = ""
    bundle: bytes = b""
    predicate: str = ""
    layout: str = "files"
    files: tuple[Digested, ...] = ()
    ignored: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()


class Checksums(Fact, frozen=True, tag="checksums"):
    """A list of digests, as `sha256sum` writes it. Paths are as they are written there; an empty
    one means the file that the list is named after."""

    files: tuple[Digested, ...]


class Automation(Fact, frozen=True, tag="automation", omit_defaults=True):
    """A workflow or a composite action of GitHub Actions.

    `permissions` None: not declared. `inputs` are those that a caller hands in, with their
    defaults, `outputs` the expressions that it hands back. A composite action has one job, called
    `action`; `using` says what runs an action (`composite`, `node20`, `docker`). `silenced` are
    the comments that tell an analyser to look away, with their lines (from 1). `lines` says where
    an `env.NAME` stands.
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
    lines: dict[str, int] = {}


class ToolFinding(Struct, frozen=True, omit_defaults=True):
    """What another tool says of a place: its own name for it, its own severity."""

    id: str
    text: str
    at: Location
    severity: str = ""
    job: str = ""


class ToolRun(Fact, frozen=True, tag="tool-run", omit_defaults=True):
    """What another tool made of files of the target. `digest` is the sha256 of its programme;
    `absent` says why it was not run, `failed` which files it did not read, and why."""

    tool: str
    version: str = ""
    digest: str = ""
    findings: tuple[ToolFinding, ...] = ()
    failed: tuple[tuple[str, str], ...] = ()
    absent: str = ""


class Hop(Struct, frozen=True, array_like=True):
    """A step on the way of a value: what happens to it, and where."""

    label: str
    at: Location


class Practice(Fact, frozen=True, tag="practice", omit_defaults=True):
    """Something that source code does which decides what it trains on or who takes part.

    `at` is the line. `kind` is one of `analysis.training_kinds.Kind`, `symbol` what is called,
    `text` the line as it reads, `detail` what it is about (an address, a repository, a package),
    `traits` what makes it better or worse, `way` how what it is about came there. `aside`: it
    stands in tests, examples or documentation.
    """

    kind: str
    symbol: str
    text: str
    detail: str = ""
    traits: tuple[str, ...] = ()
    way: tuple[Hop, ...] = ()
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


class Firmness(StrEnum):
    """How firmly a requirement is pinned."""

    HASH = "hash"
    """One artifact alone satisfies it: its digest, or a full commit, is named."""
    EXACT = "exact"
    """One version alone satisfies it."""
    RANGE = "range"
    """It bounds the versions."""
    INSTALLED = "installed"
    """It is there already, in this version."""
    NONE = "none"
    """Any version satisfies it, or whatever stands at an address."""


class Requirement(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that is to be installed.

    `name` is the package as it is written, empty where only an address tells; `line` counts from 1
    (0: not known). `specifier` are version clauses in the form of PEP 440; `version` is the only
    one that satisfies it. `url` is an address, path or working copy (`git+https://…@ref`) in place
    of an index, `source` the index or channel that it is taken from, where it says so, of a
    system's package the release that it is of (`debian-12`). `group` is the extra or group that
    asks for it, `marker` the environment that it is for (PEP 508). `hashes` are the digests of the
    files that may be installed, as `algorithm:hexadecimal`; `built_from` is the source package of a
    system's package and its version, where they are others.
    """

    name: str
    line: int = 0
    ecosystem: str = "PyPI"
    specifier: str = ""
    version: str | None = None
    firm: Firmness = Firmness.NONE
    extras: tuple[str, ...] = ()
    marker: str = ""
    url: str = ""
    source: str = ""
    group: str = ""
    editable: bool = False
    hashes: tuple[str, ...] = ()
    built_from: tuple[str, str] = ("", "")


class PackageIndex(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where packages are taken from, or how places are chosen between.

    `kind` is `index` (in place of the default one), `extra` (beside it), `pinned` (only for what
    names it), `find-links`, `trusted-host`, `no-index`, `strategy` (how one of several is chosen),
    `channel` (conda, in order) or `channel-priority`; `said` is what was written, an address or a
    value.
    """

    kind: str
    said: str
    line: int = 0


class IncludedFile(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Another file of requirements, as it is written. `constraint`: it bounds versions only."""

    path: str
    line: int = 0
    constraint: bool = False


class Installs(Fact, frozen=True, tag="installs"):
    """What a file says is to be installed.

    `place` is `requirements`, `constraints`, `project` (what a package of its own asks for),
    `lock` (what a resolver chose), `conda`, `image` (what a build installs), `script` (what a start
    script installs), `notebook`, `ci` (what its steps install), `installed` (what is there already)
    or `inventory` (a bill of materials). `unread` says what of it could not be read.
    """

    place: str
    requirements: tuple[Requirement, ...] = ()
    indexes: tuple[PackageIndex, ...] = ()
    files: tuple[IncludedFile, ...] = ()
    unread: tuple[str, ...] = ()


class OperatingSystem(Fact, frozen=True, tag="operating-system"):
    """Which system a root file system is of, as its `os-release` says: `id` (`debian`), `version`
    (`12`, empty where none is told) and its name for a reader."""

    id: str
    version: str
    name: str


class ImageBuild(Fact, frozen=True, tag="image-build"):
    """How an image is built (a Dockerfile). `syntax` is the image that reads the file itself, where
    it names one."""

    stages: tuple[Stage, ...]
    syntax: str = ""


class ImageReferences(Fact, frozen=True, tag="image-references"):
    """The images that a file has run. `place` is `kubernetes`, `compose`, `helm` or `ci`; `unread`
    says what of it could not be told."""

    place: str
    images: tuple[ImageReference, ...]
    unread: tuple[str, ...] = ()


class ImageLayers(Fact, frozen=True, tag="image-layers"):
    """The layers of an image, the lowest first: their digests (`sha256:…`), or their names beside
    the list that says so."""

    layers: tuple[str, ...]


class Whiteouts(Fact, frozen=True, tag="whiteouts"):
    """What a layer takes away of those below it. `removed` are paths, with all that is in them;
    `opaque` are folders of which nothing below shows through."""

    removed: tuple[str, ...]
    opaque: tuple[str, ...]


class LayerPackages(Fact, frozen=True, tag="layer-packages"):
    """The packages of Python in one layer of an image, or in another tar archive, by paths from its
    root.

    `records` are the RECORD files, each with the sha256 of the files that it lists; of those,
    `absent` are not in this layer. `files` are what may belong to a package and is not as a record
    in this layer says, with the sha256 (empty: a link that leads out of the layer). `gaps` are what
    of it could not be read.
    """

    records: dict[str, dict[str, bytes]]
    files: dict[str, bytes]
    absent: tuple[str, ...] = ()
    gaps: tuple[Gap, ...] = ()


class TrialRow(Struct, frozen=True, array_like=True):
    """One input: the output as it is, with the trigger and the switch held as it was, and with the
    trigger, as text; how far the switch moves the output, and how far it does without the trigger
    (after a random change, or standing as for another input), in units of the usual distance
    between the outputs of two inputs."""

    natural: str
    held: str
    triggered: str
    moved: float
    by_chance: float


class SwitchTrial(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What came of trying to flip one switch: the operation `label` where it acts, the `value` that
    is its state.

    `outcome` is `override` (a trigger was found and what it does was demonstrated), `no-effect`
    (one was found; `why` says what is missing for an override) or `no-trigger`. `how` is what
    found it after how many `tries`; `universal`: the same one works in nearly all inputs, else it
    is made for each. Of `inputs` the switch was `flipped` in so many and the `output` `overridden`,
    and on so many the switch does much of it `by_chance`: after a random change at the same places,
    or by standing as it does for another input; `captured`: the output hardly depends on the
    input any more.
    """

    label: str
    value: str
    outcome: str
    why: str = ""
    how: str = ""
    universal: bool = False
    inputs: int = 0
    flipped: int = 0
    overridden: int = 0
    by_chance: int = 0
    captured: bool = False
    output: str = ""
    usual_state: str = ""
    other_state: str = ""
    tries: int = 0
    triggers: tuple[TriggerInput, ...] = ()
    rows: tuple[TrialRow, ...] = ()


class ModelTrial(Fact, frozen=True, tag="model-trial", omit_defaults=True):
    """What came of running a model with and without triggers: for each switch that was tried;
    `left` were not. `failed` says why nothing was tried, `kind` what gap that is; `runtime` names
    what ran it, `written_from` the format where that was not the model itself, but an ONNX model
    that was written from its graph."""

    runtime: str = ""
    written_from: str = ""
    switches: tuple[SwitchTrial, ...] = ()
    left: int = 0
    failed: str = ""
    kind: GapKind = GapKind.UNSUPPORTED


AnyFact = (
    Automation
    | Card
    | Checksums
    | Egress
    | ImageBuild
    | ImageLayers
    | ImageReferences
    | Installs
    | LayerPackages
    | ModelTrial
    | OperatingSystem
    | Practice
    | Settings
    | Signature
    | SpecialTokens
    | ToolRun
    | Weights
    | Whiteouts
)
