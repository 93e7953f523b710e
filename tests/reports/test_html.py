"""The page fetches nothing, runs nothing but ours, and loses no link."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from html.parser import HTMLParser

import pytest

from reports import samples
from weighbridge.core.evidence import AttackPath, CallNode, Edge, Node, Subgraph, TriggerInput
from weighbridge.core.report import Report
from weighbridge.reports import attack_path, call_tree, html, subgraph, trigger

VOID = {"meta", "input", "rect", "path", "br"}


class Page(HTMLParser):
    """The elements of a page; a wrong nesting is an error."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.inside: dict[str, str] = {}
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("script", "style"):
            self.inside[self.open[-1]] = self.inside.get(self.open[-1], "") + data
        else:
            self.text.append(data)


def page(report: Report) -> Page:
    return Page(html.render(report).decode())


@pytest.mark.parametrize("sample", samples.ALL)
def test_page(sample: Callable[[], Report]) -> None:
    read = page(sample())
    names = [tag for tag, _ in read.elements]
    assert names.count("script") == names.count("style") == 1
    assert not {"img", "iframe", "link", "object", "embed", "form", "base"} & set(names)
    for tag, attributes in read.elements:
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
        assert "src" not in attributes
        if tag == "a":
            assert (attributes["href"] or "").startswith(("#", "https://"))

    policy = next(a["content"] or "" for _, a in read.elements if "http-equiv" in a)
    assert policy.startswith("default-src 'none'; ")
    for element, directive in (("style", "style-src"), ("script", "script-src")):
        digest = hashlib.sha256(read.inside[element].encode()).digest()
        assert f"{directive} 'sha256-{base64.b64encode(digest).decode()}'" in policy
    assert len(read.inside["script"]) < 20_000

    ids = [a["id"] for _, a in read.elements if a.get("id")]
    assert len(ids) == len(set(ids))
    targets = {a["href"] for t, a in read.elements if t == "a" and (a["href"] or "")[0] == "#"}
    assert {(target or "")[1:] for target in targets} <= set(ids)
    assert {f"control-{id}" for id, *_ in samples.CONTROLS} <= set(ids)


def test_every_finding_has_an_anchor() -> None:
    for sample, number in ((samples.hostile, 6), (samples.many, 1_000)):
        ids = [a.get("id") or "" for _, a in page(sample()).elements]
        assert len([id for id in ids if id.startswith("finding-")]) == number


def test_foreign_text_is_text() -> None:
    text = "".join(page(samples.foreign()).text)
    assert samples.MARKUP in text
    assert r"safe\u202egpj.exe" in text
    assert r"caf\xe9\xff.bin" in text


def test_evidence_of_every_kind_is_shown() -> None:
    read = page(samples.hostile())
    text = "".join(read.text)
    assert [tag for tag, _ in read.elements].count("svg") == 4
    for expected in (
        "REDUCE @ byte 204",
        "0000003a  63 62 75 69",
        "os.system('echo weighed')",
        "archive/data.pkl, 412 bytes, crc 0x00000000",
        "torch (miniz)",
        "overrides",
        "the host's credentials",
    ):
        assert expected in text


@pytest.mark.parametrize(
    ("feeders", "boxes", "said"), [(0, 1, None), (5, 6, None), (500, 120, "and 381 more calls")]
)
def test_call_tree_is_bounded(feeders: int, boxes: int, said: str | None) -> None:
    leaf = CallNode(name="a", how="REDUCE", offset=1)
    drawing = call_tree.draw(CallNode(name="r", how="b", offset=0, calls=(leaf,) * feeders), "t")
    assert drawing.count("<rect") == boxes
    assert said is None or said in drawing


def test_a_deep_call_tree_is_drawn() -> None:
    node = CallNode(name="leaf", how="REDUCE", offset=0)
    for offset in range(20_000):
        node = CallNode(name="f", how="REDUCE", offset=offset, calls=(node,))
    drawing = call_tree.draw(node, "deep")
    assert "and 19,881 more calls" in drawing
    assert int(re.findall(r'width="(\d+)"', drawing)[0]) < 2_000


@pytest.mark.parametrize(
    "edges",
    [
        (),
        ("ab", "bc", "ca"),
        ("aa",),
        ("ab", "ab", "ac", "bc", "cd", "ad"),
        ("az", "za"),
        tuple("abcd"[i] + "abcd"[j] for i in range(4) for j in range(4)),
    ],
)
def test_any_graph_is_drawn(edges: tuple[str, ...]) -> None:
    graph = Subgraph(
        title="t",
        nodes=tuple(Node(id, id) for id in "abcd"),
        edges=tuple(Edge(edge[0], edge[1]) for edge in edges),
    )
    assert subgraph.draw(graph).count("<rect") == 4
    assert len(set(re.findall(r'<rect[^>]* x="([^"]+)" y="([^"]+)"', subgraph.draw(graph)))) == 4


def test_large_drawings_say_what_they_leave_out() -> None:
    nodes = tuple(Node(str(number), "n") for number in range(1_000))
    edges = tuple(Edge(str(n), str(n + 1)) for n in range(999))
    assert "and 940 more nodes" in subgraph.draw(Subgraph(title="t", nodes=nodes, edges=edges))
    assert "and 960 more steps" in attack_path.draw(AttackPath(title="t", steps=nodes))
    assert "<svg" in subgraph.draw(Subgraph(title="t", nodes=(), edges=()))
    assert "<svg" in attack_path.draw(AttackPath(title="t", steps=()))


def put_in(sort: str, shape: tuple[int, ...], places: tuple[int, ...]) -> TriggerInput:
    return TriggerInput(
        title="What was put in",
        input="x",
        sort=sort,
        type="float32",
        shape=shape,
        low=0.0,
        high=1.0,
        changed=len(places),
        places=places,
        numbers=tuple(1.0 for _ in places),
    )


@pytest.mark.parametrize(
    ("sort", "shape", "places", "drawn"),
    [
        ("picture", (1, 3, 4, 4), (0, 1, 5), ["#ff8080", "rows 0–1, columns 0–1 of 4×4"]),
        ("picture", (1, 1, 4, 4), (15,), ["#ffffff", "rows 3–3, columns 3–3"]),
        ("picture", (2, 3, 4, 4), (90,), ["nothing"]),
        ("tokens", (1, 16), (3, 4), [">3<", ">1<", "accused"]),
        ("tokens", (1, 100_000), (99_999,), [">39<"]),
    ],
)
def test_triggers_are_drawn(
    sort: str, shape: tuple[int, ...], places: tuple[int, ...], drawn: list[str]
) -> None:
    evidence = put_in(sort, shape, places)
    assert trigger.is_drawn(evidence)
    picture = trigger.draw(evidence)
    assert [part for part in drawn if part not in picture] == []
    Page(picture)


@pytest.mark.parametrize(
    "evidence",
    [put_in("signal", (1, 16), (3,)), put_in("picture", (1, 16), (3,)), put_in("tokens", (), (0,)),
     put_in("picture", (1, 3, 0, 4), (3,)), put_in("tokens", (1, 16), ())],
)  # fmt: skip
def test_what_cannot_be_drawn_is_listed(evidence: TriggerInput) -> None:
    assert not trigger.is_drawn(evidence)
    assert trigger.rows(evidence, 5)[0]


def test_places_are_told_by_their_index() -> None:
    rows, left = trigger.rows(put_in("picture", (1, 3, 4, 4), (0, 17, 47)), 3)
    assert rows[1:] == ["[0, 0, 0, 0] = 1", "[0, 1, 0, 1] = 1"]
    assert left == 1
