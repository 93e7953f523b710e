"""What happened, as an audit could have seen it: every incident that touches the control
*dependencies*, as a harmless fixture, with a look-alike beside it that must stay quiet.

| when | incident | what tells it |
|---|---|---|
| 2022-12 | torchtriton | `index-confusion`: a second index where the name is free on the first |
| 2024-06 | hallucinated names | `look-alike-package`; whether a name exists is not asked offline |
| 2024-12 | Ultralytics 8.3.41 and 42 | `malicious-package`, in what is installed and in CI |
| 2025-04 | torch, `weights_only` (CVE-2025-32434) | `affected-version`, `unsafe-loader` |
| 2025-05 | fake SDKs with a pickle in the wheel | the model scanners, inside the wheel |
| 2025-11 | ShadowMQ in serving engines | `affected-version`: what serves models, in images too |
| 2025-12 | remote-code bypasses of vLLM and transformers | `affected-version`: its configuration |
| 2026-03 | litellm 1.82.8 with a `.pth` | `runs-by-itself`: by content, whatever the record says |
| 2026-04 | a template of GGUF that acts in an engine | `affected-version`: it loads this model |
| 2026-04 | lightning wheels that differ from their tag | `wheel-record`, `malicious-package` |
| 2026-05 | hostile packages with valid provenance | `malicious-package`: none excuses it |
| 2026-06 | `binding.gyp`, `setup.pth`, phantom releases | `runs-by-itself`, `malicious-package` |
| 2026-06 | vLLM: an extra index with best match in a Dockerfile | `index-confusion` |
"""

from __future__ import annotations

import importlib.util
import marshal
from pathlib import Path
from typing import Any

import pytest

from advisories import advisory, index, since
from programs import elf
from weighbridge.core.finding import Action
from weighbridge.engine.audit import run
from wheels import FILES, HOSTILE, package, wheel

GRAVE: dict[str, Any] = {"database_specific": {"severity": "CRITICAL"}}
NIGHTLY = "https://download.pytorch.org/whl/nightly/cu118"
DIGEST = "sha256:" + "ab" * 32
HARMLESS = b"\x80\x04]."
GGUF = b"GGUF" + (3).to_bytes(4, "little") + bytes(16)
Tree = dict[str, bytes]
Said = set[tuple[str, str]]


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("advisories") / "index"
    return index(
        path,
        advisory("GHSA-a", "torch", *since(fixed="2.6.0"), aliases=["CVE-2025-32434"], **GRAVE),
        advisory("GHSA-b", "vllm", *since(fixed="0.11.0"), **GRAVE),
        advisory("GHSA-c", "transformers", *since(fixed="4.53.0"), **GRAVE),
        advisory("GHSA-d", "llama-cpp-python", *since(fixed="0.2.72"), **GRAVE),
        advisory("MAL-1", "ultralytics", versions=("8.3.41", "8.3.42")),
        advisory("MAL-2", "litellm", versions=("1.82.7", "1.82.8")),
        advisory("MAL-3", "lightning", versions=("2.6.2",)),
        advisory("MAL-4", "well-proven", *since()),
    )


def build(*runs: str) -> bytes:
    return f"FROM python:3.13-slim@{DIGEST}\n{''.join(runs)}USER app\n".encode()


def step(command: str) -> bytes:
    return f"on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n    - run: {command}\n".encode()


def named(path: str, data: bytes) -> Tree:
    return {"demo-1.0-py3-none-any.whl": wheel(package({**FILES, path: data}))}


HOLDS = ("affected-version", "malicious-package", "index-confusion", "runs-by-itself",
         "wheel-record", "unsafe-loader", "pickle-acting-call", "unpinned-source")  # fmt: skip
PTH = b"import os, subprocess; subprocess.Popen(['true'])\n"
GYP = b'{"targets": [{"target_name": "a", "sources": ["<!(node index.js)"]}]}'
CONFIG = b'{"model_type": "llama", "architectures": ["LlamaForCausalLM"]}'
INCIDENTS: list[tuple[str, Tree, Said, Tree]] = [
    ("torchtriton", {"requirements.txt": f"--pre\n--extra-index-url {NIGHTLY}\ntorchtriton\n"
                     .encode()}, {("review", "index-confusion")},
     {"requirements.txt": f"-i {NIGHTLY}\ntorchtriton==3.0\n".encode()}),
    ("torchtriton, in a script", {"start.sh": f"pip install torchtriton --extra-index-url {NIGHTLY}"
                                  "\n".encode()}, {("review", "index-confusion")},
     {"start.sh": f"pip install torchtriton==3.0 -i {NIGHTLY}\n".encode()}),
    ("Ultralytics", {"requirements.txt": b"ultralytics==8.3.41\n"},
     {("block", "malicious-package")}, {"requirements.txt": b"ultralytics==8.3.43\n"}),
    ("Ultralytics, in CI", {".github/workflows/a.yml": step("pip install ultralytics==8.3.42")},
     {("block", "malicious-package")},
     {".github/workflows/a.yml": step("pip install ultralytics==8.3.43")}),
    ("weights_only", {"requirements.txt": b"torch==2.5.1+cu118\n", "a.pkl": HARMLESS},
     {("block", "affected-version"), ("review", "unsafe-loader")},
     {"requirements.txt": b"torch==2.6.0+cu118\n", "a.pkl": HARMLESS}),
    ("fake SDK", named("demo/model.pt", HOSTILE), {("block", "pickle-acting-call")},
     named("demo/model.pt", HARMLESS)),
    ("ShadowMQ", {"Dockerfile": build("RUN pip install vllm==0.10.1\n")},
     {("block", "affected-version")}, {"Dockerfile": build("RUN pip install vllm==0.11.0\n")}),
    ("remote code", {"requirements.txt": b"transformers==4.50.0\n", "config.json": CONFIG},
     {("block", "affected-version"), ("review", "unsafe-loader")},
     {"requirements.txt": b"transformers==4.53.0\n", "config.json": CONFIG}),
    ("litellm", named("litellm_init.pth", PTH), {("block", "runs-by-itself")},
     named("demo.pth", b"./demo/vendored\n")),
    ("litellm, by its version", {"a.ipynb": b'{"cells": [{"cell_type": "code", "source": '
      b'"%pip install litellm==1.82.8", "outputs": []}], "nbformat": 4}'},
     {("block", "malicious-package")},
     {"a.ipynb": b'{"cells": [{"cell_type": "code", "source": "%pip install litellm==1.82.9", '
      b'"outputs": []}], "nbformat": 4}'}),
    ("GGUF's template", {"cog.yaml": b"build:\n  python_packages: [llama-cpp-python==0.2.70]\n",
                         "m.gguf": GGUF}, {("block", "affected-version"),
      ("review", "unsafe-loader")},
     {"cog.yaml": b"build:\n  python_packages: [llama-cpp-python==0.2.72]\n", "m.gguf": GGUF}),
    ("lightning", {"lightning-2.6.1-py3-none-any.whl": wheel({**package(FILES), "demo/x.py": b""})},
     {("review", "wheel-record")}, {"lightning-2.6.1-py3-none-any.whl": wheel(package(FILES))}),
    ("lightning, by its version", {"requirements.txt": b"lightning==2.6.2\n"},
     {("block", "malicious-package")}, {"requirements.txt": b"lightning==2.6.1\n"}),
    ("valid provenance", {"requirements.txt": b"well-proven==1.0 --hash=sha256:" + b"0" * 64},
     {("block", "malicious-package")}, {"requirements.txt": b"certifi==2026.1.1\n"}),
    ("binding.gyp", named("binding.gyp", GYP), {("review", "runs-by-itself")},
     named("binding.gyp", GYP.replace(b"<!(node index.js)", b"a.cc"))),
    ("setup.pth", named("setup.pth", PTH), {("block", "runs-by-itself")},
     named("setup.cfg", b"[metadata]\n")),
    ("best match", {"Dockerfile": build(
        "ENV UV_INDEX_STRATEGY=unsafe-best-match\n"
        "RUN uv pip install vllm==0.11.0 --extra-index-url https://wheels.example.net/nightly\n")},
     {("review", "index-confusion")},
     {"Dockerfile": build("RUN uv pip install vllm==0.11.0 --index-url https://wheels.vllm.ai/\n")}),
]  # fmt: skip


def said(folder: Path, tree: Tree, known: Path) -> Said:
    for name, data in tree.items():
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
    return {(f.action.value, f.check) for f in run(folder, advisories=known).findings
            if f.check in HOLDS and f.action is not Action.NOTE}  # fmt: skip


@pytest.mark.parametrize(
    ("attack", "expected", "benign"), [i[1:] for i in INCIDENTS], ids=[i[0] for i in INCIDENTS]
)
def test_incidents(attack: Tree, expected: Said, benign: Tree, known: Path, tmp_path: Path) -> None:
    assert said(tmp_path / "attack", attack, known) == expected
    assert said(tmp_path / "benign", benign, known) == set()


# -- what else acts inside a wheel -----------------------------------------------------------------

CODE = compile("import os\nos.system('true')\n", "x", "exec")
PYC = importlib.util.MAGIC_NUMBER + bytes(12) + marshal.dumps(CODE)
PLAIN = importlib.util.MAGIC_NUMBER + bytes(12) + marshal.dumps(compile("x = 1\n", "x", "exec"))
HIDDEN = b"import base64\nexec(base64.b64decode('aW1wb3J0IG9z'))\n"
SETUP = (
    b"from setuptools import setup\nfrom setuptools.command.install import install\n"
    b"class X(install):\n    def run(self):\n        import os; os.system('true')\n"
    b"setup(cmdclass={'install': X})\n"
)
INSIDE: list[tuple[str, bytes, str, bytes]] = [
    ("sitecustomize.py", b"import demo\n", "runs-by-itself", b""),
    ("demo-1.0.data/purelib/setup.pth", PTH, "runs-by-itself", b"./x\n"),
    ("demo/hidden.pyc", PYC, "compiled-python", PLAIN),
    ("demo/__pycache__/a.cpython-311.pyc", PYC, "compiled-python", PLAIN),
    ("demo/logo.png", elf(), "native-program", b"\x89PNG\r\n\x1a\n"),
    ("demo/__init__.py", HIDDEN, "source-hides-code", b"import base64\n"),
    ("setup.py", SETUP, "source-starts-program", b"from setuptools import setup\nsetup()\n"),
    ("demo-1.0.dist-info/entry_points.txt", b"[vllm.general_plugins]\nx = demo:go\n",
     "startup-entry-point", b"[console_scripts]\nx = demo:go\n"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "data", "check", "benign"), INSIDE, ids=[i[0] for i in INSIDE])
def test_what_acts_inside_a_wheel(
    path: str, data: bytes, check: str, benign: bytes, tmp_path: Path
) -> None:
    def checks(folder: str, held: bytes) -> Said:
        place = tmp_path / folder
        place.mkdir()
        for name, content in named(path, held).items():
            (place / name).write_bytes(content)
        return {(f.action.value, f.check) for f in run(place).findings if f.check == check}

    attack = checks("attack", data)
    assert attack
    assert checks("benign", benign).isdisjoint(attack)
