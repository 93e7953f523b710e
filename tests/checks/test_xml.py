"""XML: external entities and bombs block, extensions are reviewed, ordinary files are quiet."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from of_every_model import accusing
from weighbridge.core.document import Malformed
from weighbridge.core.finding import Action
from weighbridge.core.format import Limits
from weighbridge.core.location import Location
from weighbridge.core.report import Examined
from weighbridge.core.tree import Held
from weighbridge.engine.audit import run
from weighbridge.engine.examine import examine
from weighbridge.engine.ruleset import load
from weighbridge.formats.xml import DEPTH_LIMIT, TAG_LIMIT, XML, Xml

HEAD = '<?xml version="1.0"?>\n'
BOMB = "<!DOCTYPE a [<!ENTITY e0 'xxxxxxxxxx'>" + "".join(
    f"<!ENTITY e{i} '{f'&e{i - 1};' * 10}'>" for i in range(1, 12)
)
NET = """<net name="m" version="11"><layers>
<layer id="0" name="x" type="Parameter" version="opset1"><data shape="1,3"/></layer>
<layer id="1" name="y" type="{kind}" version="{version}"/></layers><edges/></net>"""
PMML = """<PMML xmlns="http://www.dmg.org/PMML-4_4" version="4.4"><Header><Application name="x"/>
</Header><TransformationDictionary><DefineFunction name="f" optype="continuous"/><DerivedField>
<Apply function="{function}"><FieldRef field="a"/></Apply></DerivedField>
</TransformationDictionary></PMML>"""
SVG = """<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN"
 "http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd"><svg xmlns="http://www.w3.org/2000/svg"/>"""
BLOCK, REVIEW = Action.BLOCK, Action.REVIEW


def look(text: str | bytes, name: str = "m.xml") -> Examined:
    return examine(Held(name, text.encode() if isinstance(text, str) else text), load(), Limits())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (HEAD + '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/hostname">]><a>&x;</a>',
         [("xml-entity", BLOCK)]),
        (HEAD + '<!DOCTYPE a [<!ENTITY x SYSTEM "http://127.0.0.1/">]><a>&x;</a>',
         [("xml-entity", BLOCK)]),
        (HEAD + '<!DOCTYPE a [<!ENTITY % x SYSTEM "http://127.0.0.1/x.dtd"> %x;]><a/>',
         [("xml-entity", BLOCK)]),
        (HEAD + '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///x">]><PMML>&x;', [("xml-entity", BLOCK)]),
        (BOMB + "]><a>&e11;</a>", [("xml-entity", BLOCK)]),
        (HEAD + NET.format(kind="Mine", version="extension"), [("xml-model-code", REVIEW)]),
        (NET.format(kind="Mine", version="mine_opset"), [("xml-model-code", REVIEW)]),
        ('<CustomLayer name="x" type="SimpleGPU"><Kernel entry="k"><Source filename="k.cl"/>'
         "</Kernel></CustomLayer>", [("xml-model-code", REVIEW)]),
        (PMML.format(function="java.lang.Runtime.exec"), [("xml-model-code", REVIEW)]),
        (HEAD + NET.format(kind="Convolution", version="opset13"), []),
        (PMML.format(function="if"), []),
        (HEAD + '<!DOCTYPE a [<!ENTITY n "a name">]><a>&n;</a>', []),
        (HEAD + SVG, []),
        (HEAD + "<a b='c'>words &amp; more</a>", []),
    ],
)  # fmt: skip
def test_xml(text: str, expected: list[tuple[str, Action]]) -> None:
    examined = look(text)
    assert [(f.check, f.action) for f in examined.findings] == expected
    assert "xml" in examined.record.formats


GRAPH = """<?xml version="1.0"?>
<net name="m" version="11"><layers>
<layer id="0" name="x" type="Parameter" version="opset1"><data shape="1,3"/></layer>
{constants}</layers><edges/></net>"""
CONSTANT = """<layer id="1" name="w" type="Const" version="opset1">
<data element_type="f32" shape="4" offset="{}" size="{}"/></layer>"""


@pytest.mark.parametrize(
    ("ranges", "expected"),
    [
        ([(0, 16), (16, 16)], []),
        ([(0, 16), (0, 16)], []),
        ([(0, 16), (20, 16)], ["beyond model.bin"]),
        ([(0, 16), (1 << 40, 16)], ["beyond model.bin"]),
        ([(0, 16), (8, 16)], ["overlap model.bin"]),
    ],
)
def test_constants_of_a_graph(
    tmp_path: Path, ranges: list[tuple[int, int]], expected: list[str]
) -> None:
    constants = "".join(CONSTANT.format(*r) for r in ranges)
    (tmp_path / "model.xml").write_text(GRAPH.format(constants=constants))
    (tmp_path / "model.bin").write_bytes(b"\xf7\xf6" * 16)
    audited = run(tmp_path)
    assert [f.symbol for f in accusing(audited.findings)] == expected
    assert [g for g in audited.gaps if "not recognised" in g.message] == []
    (tmp_path / "model.bin").unlink()
    assert any("not here" in g.message for g in run(tmp_path).gaps)


def test_extensions_of_pmml_are_data() -> None:
    extension = '<Extension name="x" value="y" extender="z"><a/></Extension><Header>'
    examined = look(PMML.format(function="if").replace("<Header>", extension))
    assert (examined.findings, examined.gaps) == ((), ())


def test_no_entity_is_expanded_or_fetched() -> None:
    examined = look(BOMB + "]><a b='&e9;'>&e11;</a>")
    assert {f.check for f in examined.findings} == {"xml-entity"}


def test_utf_16_and_html() -> None:
    hostile = HEAD + '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///x">]><a>&x;</a>'
    assert [f.check for f in look(hostile.encode("utf-16")).findings] == ["xml-entity"]
    assert look("<!DOCTYPE html>\n<html><p>words</html>", "x.html").record.formats == ("text",)


@pytest.mark.parametrize(
    "text",
    [HEAD, HEAD + "<a><b></a>", HEAD + "<a " * 99, HEAD + "<a>" * (DEPTH_LIMIT + 1),
     '<?xml version="1.0" encoding="nonsense"?><a/>', f"{HEAD}<a b='{'x' * TAG_LIMIT * 2}'/>"],
    ids=range(6),
)  # fmt: skip
def test_malformed(text: str) -> None:
    assert XML.parse is not None
    with pytest.raises(Malformed):
        XML.parse(Held("x", text.encode()), Location("x"), Limits())


@given(st.text(max_size=200))
def test_any_text(text: str) -> None:
    for made in (text, f"{HEAD}<a>{text}</a>", f"<!DOCTYPE a [{text}]><a/>"):
        assert XML.parse is not None
        try:
            data = made.encode("utf-8", "replace")
            assert isinstance(XML.parse(Held("x", data), Location("x"), Limits()), Xml)
        except Malformed as error:
            assert error.why
