"""What a finding shows: a tagged union, so that every reporter can draw each kind in its way."""

from __future__ import annotations

from msgspec import Struct

from weighbridge.core.location import Location


class Evidence(Struct, frozen=True, tag_field="kind", tag=str.lower, omit_defaults=True):
    """Base of the union."""

    title: str


class Text(Evidence, frozen=True, tag="text"):
    """A quotation of the target, or a listing made from it (source, disassembly)."""

    text: str
    language: str = ""


class Bytes(Evidence, frozen=True, tag="bytes"):
    """Raw bytes as they stand in the file, in hexadecimal, and the offset of the first."""

    hex: str
    offset: int


class CallNode(Struct, frozen=True, omit_defaults=True):
    """One call that loading the file makes.

    `name` is what is called, `how` the opcode that does it, `offset` where that opcode stands,
    `arguments` how the arguments read (shortened), `calls` the calls that produced the callee or
    an argument, `reason` why this name matters, `accused` whether it is what the finding is about.
    """

    name: str
    how: str
    offset: int
    arguments: tuple[str, ...] = ()
    calls: tuple[CallNode, ...] = ()
    reason: str = ""
    accused: bool = False


class CallTree(Evidence, frozen=True, tag="call-tree"):
    """A call together with the calls that feed it."""

    root: CallNode


class Node(Struct, frozen=True, omit_defaults=True):
    """A node of a drawn graph; `role` chooses its style, `at` is where it stands in the target."""

    id: str
    label: str
    role: str = ""
    at: Location | None = None


class Edge(Struct, frozen=True, omit_defaults=True):
    """A directed edge between two node ids."""

    source: str
    target: str
    label: str = ""
    role: str = ""


class Subgraph(Evidence, frozen=True, tag="subgraph"):
    """A part of a graph (a computation graph, an import graph)."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]


class AttackPath(Evidence, frozen=True, tag="attack-path"):
    """Steps from what an outsider controls to what is lost, in order."""

    steps: tuple[Node, ...]


class Comparison(Evidence, frozen=True, tag="comparison"):
    """Two readings of the same thing that should agree."""

    expected_from: str
    expected: str
    found_from: str
    found: str


class Table(Evidence, frozen=True, tag="table"):
    """Rows under headings."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


class TriggerInput(Evidence, frozen=True, tag="trigger"):
    """What was put into an input of a model to flip a switch.

    `input` is the input's name, `type` its element type as NumPy calls it, `shape` the shape that
    it was given, `sort` what it takes: `picture`, `tokens`, `signal` or `numbers`, between `low`
    and `high`. At the `places` (numbers of elements in row-major order) stand the `numbers`;
    `changed` is how many places differ from the input without the trigger, of which as many are
    told as fit; `whole`: the whole input is told.
    """

    input: str
    sort: str
    type: str
    shape: tuple[int, ...]
    low: float
    high: float
    changed: int
    places: tuple[int, ...]
    numbers: tuple[float, ...]
    whole: bool = False


AnyEvidence = Text | Bytes | CallTree | Subgraph | AttackPath | Comparison | Table | TriggerInput
