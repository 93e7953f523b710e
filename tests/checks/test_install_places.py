"""Every place where a deployment says what it installs or runs: scripts, CI, notebooks, tools that
pack models, manifests. Each says its file, its line and how firmly it is pinned."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from advisories import advisory, index, since
from weighbridge.core.fact import ImageReferences, Installs
from weighbridge.core.finding import Action, Finding
from weighbridge.core.format import Limits
from weighbridge.core.report import Examined
from weighbridge.core.tree import Held
from weighbridge.engine.audit import Audited, run
from weighbridge.engine.examine import examine
from weighbridge.engine.ruleset import load
from weighbridge.sources.target import Access

DIGEST = "sha256:" + "ab" * 32
Row = tuple[str, str, str, int]


def looked_at(path: str, text: str) -> Examined:
    examined = examine(Held(path, text.encode()), load(), Limits())
    assert [g for g in examined.gaps if g.kind.value == "crashed"] == []
    return examined


def asked(path: str, text: str) -> list[Installs]:
    return [f for f in looked_at(path, text).facts if isinstance(f, Installs)]


def rows(fact: Installs) -> list[Row]:
    """Name, version, firmness and line."""
    return [(r.name, r.version or r.specifier, r.firm.value, r.line) for r in fact.requirements]


def notebook(*cells: str) -> str:
    made = [{"cell_type": "code", "source": c, "outputs": [], "metadata": {}} for c in cells]
    about = {"language_info": {"name": "python"}}
    return json.dumps({"cells": made, "metadata": about, "nbformat": 4, "nbformat_minor": 5})


SHELL = "#!/bin/bash\nset -e\nexport TORCH=2.6.0\n"
PLACES: list[tuple[str, str, str, list[Row]]] = [
    ("entrypoint.sh", SHELL + "pip install torch==$TORCH \\\n  'numpy<2'\n", "script",
     [("torch", "2.6.0", "exact", 4), ("numpy", "<2", "range", 4)]),
    ("docker-entrypoint", SHELL + "exec uv pip install --system vllm==0.6.1\n", "script",
     [("vllm", "0.6.1", "exact", 4)]),
    ("start.sh", "apt-get install -y -t bookworm-backports git=1:2.39-1 curl\n", "script",
     [("git", "1:2.39-1", "exact", 1), ("curl", "", "none", 1)]),
    ("setup.sh", "conda install -y -c pytorch faiss-gpu==1.8.0\nsudo dnf install -y gcc\n",
     "script", [("faiss-gpu", "1.8.0", "exact", 1), ("gcc", "", "none", 2)]),
    ("run.sh", "uvx ruff@0.4.1 check\nuv run --with httpx==0.27 x.py\nuv add 'trl>=0.9'\n",
     "script", [("ruff", "0.4.1", "exact", 1), ("httpx", "0.27", "exact", 2),
                ("trl", ">=0.9", "range", 3)]),
    ("run.sh", "python3 -m pip install a==1\npython -m uv pip install b==2\npipx install c==3\n",
     "script", [("a", "1", "exact", 1), ("b", "2", "exact", 2), ("c", "3", "exact", 3)]),
    ("Makefile", "setup:\n\tpip install ray==2.9.0\n", "script", [("ray", "2.9.0", "exact", 2)]),
    (".github/workflows/a.yml",
     "on: push\nenv:\n  V: '1.0'\njobs:\n  a:\n    runs-on: x\n    steps:\n    - run: |\n"
     "        echo hi\n        pip install mlflow==$V\n    - run: import os\n      shell: python\n",
     "ci", [("mlflow", "1.0", "exact", 10)]),
    (".gitlab-ci.yml", "test:\n  script:\n    - pip install keras==3.0.0\n", "ci",
     [("keras", "3.0.0", "exact", 3)]),
    ("a.ipynb", notebook("%pip install -q gradio==4.0\n!pip install 'tqdm>4'\nx = 1"), "notebook",
     [("gradio", "4.0", "exact", 1), ("tqdm", ">4", "range", 2)]),
    ("a.ipynb", notebook("x", "%%bash\necho\npip install peft==0.9"), "notebook",
     [("peft", "0.9", "exact", 3)]),
    ("python_env.yaml", "python: 3.11.2\nbuild_dependencies:\n- pip==23.1\ndependencies:\n"
     "- scikit-learn==1.2.0\n", "requirements",
     [("pip", "23.1", "exact", 3), ("scikit-learn", "1.2.0", "exact", 5)]),
    ("conda.yaml", "channels:\n- conda-forge\ndependencies:\n- python=3.11\n- pip:\n"
     "  - mlflow==2.9.2\n", "conda", [("mlflow", "2.9.2", "exact", 6)]),
    ("bentofile.yaml", "service: s:S\npython:\n  packages:\n  - torch==2.1\ndocker:\n"
     "  system_packages: [git]\n", "requirements",
     [("torch", "2.1", "exact", 4), ("git", "", "none", 6)]),
    ("cog.yaml", "build:\n  python_version: '3.11'\n  python_packages:\n    - diffusers==0.20\n",
     "requirements", [("diffusers", "0.20", "exact", 4)]),
    ("config.yaml", "base_image:\n  image: a/b:1\nrequirements:\n- onnxruntime==1.16\n",
     "requirements", [("onnxruntime", "1.16", "exact", 4)]),
    ("config.json", json.dumps({"sklearn": {"environment": ["scikit-learn=1.1.1", "skops"]}}),
     "requirements", [("scikit-learn", "1.1.1", "exact", 0), ("skops", "", "none", 0)]),
]  # fmt: skip


@pytest.mark.parametrize(("path", "text", "place", "expected"), PLACES)
def test_places(path: str, text: str, place: str, expected: list[Row]) -> None:
    (fact,) = asked(path, text)
    assert fact.place == place
    assert rows(fact) == expected


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("entrypoint.sh", SHELL + "echo 'pip install x' # pip install y\npip --version\n"),
        ("a.sh", "cat <<EOF\npip install x\nEOF\n"),
        ("notes.txt", "pip install torch\n"),
        ("a.ipynb", notebook("print('!pip install x')\n# %pip install y")),
        (".github/workflows/a.yml", "on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n"
         "    - name: pip install x\n      run: echo\n"),
        ("config.json", json.dumps({"sklearn": {"model": {"file": "a.pkl"}}})),
        ("config.yaml", "requirements: [a]\n"),
        ("env:lib/x.sh", "pip install x\n"),
    ],
)  # fmt: skip
def test_what_only_speaks_of_it(path: str, text: str) -> None:
    assert asked(path, text) == []


def test_what_is_told_later_is_said() -> None:
    (fact,) = asked("a.sh", 'pip install "${MORE[@]}"\npip install -r $FILE\npip install ./x\n')
    assert fact.unread == ("what is installed is told only when it runs: line 1, 2",)
    (fact,) = asked("setup.py", "from setuptools import setup\nsetup(**found())\n")
    assert fact.unread == ("line 2: what setup() is given is computed",)


def test_the_cell_of_a_notebook_is_named() -> None:
    (fact,) = asked("a.ipynb", notebook("x = 1", "%pip install a==1"))
    assert fact.at.inside == ("cell 2",)


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def findings(said: Audited, *checks: str) -> set[tuple[str, str, str]]:
    return {(f.action.value, f.at.path, f.symbol) for f in said.findings
            if f.check in checks and f.at.path != "."}  # fmt: skip


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("advisories") / "index"
    return index(
        path,
        advisory("PYSEC-a", "ray", *since(fixed="2.10"), database_specific={"severity": "HIGH"}),
        advisory("MAL-1", "hostile", *since()),
    )


def test_ci_is_one_step_lower_and_hostile_packages_never(known: Path, tmp_path: Path) -> None:
    steps = "on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n    - run: |\n        pip install "
    source = write(tmp_path / "s", {
        ".github/workflows/a.yml": steps + "ray==2.9 hostile==1 git+https://example.org/a@main\n",
        "entrypoint.sh": "pip install ray==2.8\n",
        "examples/run.sh": "pip install ray==2.7\n",
    })  # fmt: skip
    model = write(tmp_path / "m", {"config.json": '{"model_type": "a"}'})
    said = run(model, advisories=known, access=Access(parts=(("source", str(source)),)))
    ci = "source:.github/workflows/a.yml"
    assert findings(said, "affected-version", "malicious-package", "unpinned-source") == {
        ("note", ci, "ray 2.9"), ("review", "source:entrypoint.sh", "ray 2.8"),
        ("note", "source:examples/run.sh", "ray 2.7"), ("block", ci, "hostile MAL-1"),
        ("note", ci, "git+https://example.org/a@main"),
    }  # fmt: skip


def test_the_same_version_in_ci_and_in_what_runs_is_judged_by_what_runs(
    known: Path, tmp_path: Path
) -> None:
    write(tmp_path, {".gitlab-ci.yml": "t:\n  script: [pip install ray==2.9]\n",
                     "requirements.txt": "ray==2.9\n"})  # fmt: skip
    said = run(tmp_path, advisories=known)
    assert findings(said, "affected-version") == {("review", "requirements.txt", "ray 2.9")}


def test_files_that_scripts_and_notebooks_name_are_followed(known: Path, tmp_path: Path) -> None:
    write(tmp_path, {"deploy/start.sh": "pip install -r requirements/serve.in\n",
                     "requirements/serve.in": "ray==2.9\n", "b/base.in": "ray==2.8\n",
                     "b/a.ipynb": notebook("%pip install -r base.in")})  # fmt: skip
    said = run(tmp_path, advisories=known)
    assert findings(said, "affected-version") == {
        ("review", "requirements/serve.in", "ray 2.9"), ("review", "b/base.in", "ray 2.8"),
    }  # fmt: skip


def test_scripts_inside_archives_are_read() -> None:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        info = tarfile.TarInfo("app/start.sh")
        info.size = len(b"pip install ray==2.9\n")
        archive.addfile(info, io.BytesIO(b"pip install ray==2.9\n"))
    facts = examine(Held("a.tar", made.getvalue()), load(), Limits()).facts
    (fact,) = [f for f in facts if isinstance(f, Installs)]
    assert fact.at.inside == ("app/start.sh",)
    assert rows(fact) == [("ray", "2.9", "exact", 1)]


# -- images ----------------------------------------------------------------------------------------

POD = "apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - name: a\n    image: {}\n"


def images(path: str, text: str) -> list[tuple[str, str, int]]:
    """Place, image and line."""
    facts = [f for f in looked_at(path, text).facts if isinstance(f, ImageReferences)]
    return [(f.place, i.image, i.line) for f in facts for i in f.images]


@pytest.mark.parametrize(
    ("path", "text", "expected"),
    [
        ("pod.yaml", POD.format("vllm/vllm-openai:v0.6.0"),
         [("kubernetes", "vllm/vllm-openai:v0.6.0", 6)]),
        ("a/serve.yml", "apiVersion: serving.kserve.io/v1beta1\nkind: InferenceService\nspec:\n"
         "  predictor:\n    model:\n      image: kserve/x:1\n      storageUri: oci://ghcr.io/m:2\n",
         [("kubernetes", "kserve/x:1", 6), ("kubernetes", "ghcr.io/m:2", 7)]),
        ("pod.yaml", "apiVersion: v1\nkind: Pod\nspec:\n  volumes:\n  - image:\n"
         "      reference: ghcr.io/m:1\n", [("kubernetes", "ghcr.io/m:1", 6)]),
        ("kustomization.yaml", "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n"
         f"images:\n- name: a\n  newName: ghcr.io/a\n  digest: {DIGEST}\n",
         [("kubernetes", f"ghcr.io/a@{DIGEST}", 5)]),
        ("compose.yaml", "services:\n  a:\n    image: redis:${TAG:-7.2}\n  b:\n    build: .\n"
         "    image: own\n", [("compose", "redis:7.2", 3)]),
        ("chart/values.yaml", "image:\n  registry: ghcr.io\n  repository: a/b\n  tag: 1.2\n"
         "sidecarImage: busybox:1.36\n",
         [("helm", "ghcr.io/a/b:1.2", 3), ("helm", "busybox:1.36", 5)]),
        ("chart/values.yaml", "agent:\n  image: a/agent\n  tag: v1.2.3\n",
         [("helm", "a/agent:v1.2.3", 2)]),
        ("chart/templates/a.yaml", "spec:\n{{- if .Values.a }}\n  containers:\n"
         "  - image: busybox:1.36\n{{- end }}\n", [("helm", "busybox:1.36", 4)]),
        (".github/workflows/a.yml", "on: push\njobs:\n  a:\n    container: nvidia/cuda:12.1.0\n"
         "    steps:\n    - uses: docker://alpine:3.20\n",
         [("ci", "nvidia/cuda:12.1.0", 3), ("ci", "alpine:3.20", 6)]),
    ],
)  # fmt: skip
def test_images(path: str, text: str, expected: list[tuple[str, str, int]]) -> None:
    assert images(path, text) == expected


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("a.yaml", "image: logo:1\n"),
        ("a.yaml", "apiVersion: v1\nkind: ConfigMap\ndata:\n  image: a:1\n"),
        ("a.yaml", "apiVersion: v1\nkind: CustomResourceDefinition\nspec: {image: a:1}\n"),
        ("compose.yaml", "services:\n  a:\n    build: .\n    image: own:1\n"),
        ("values.yaml", "image: {pullPolicy: Always}\nlogoImage: x\n"),
        ("pod.yaml", POD.format('""')),
        ("pod.yaml", POD.format("[a, b]")),
    ],
)
def test_what_is_no_image(path: str, text: str) -> None:
    assert images(path, text) == []


def judged(tmp_path: Path, files: dict[str, str]) -> list[Finding]:
    said = run(write(tmp_path, files))
    return [f for f in said.findings if f.check == "image-reference"]


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (f"vllm/vllm-openai:v0.6.0@{DIGEST}", []),
        ("vllm/vllm-openai:v0.6.0", [("note", "names a release")]),
        ("vllm/vllm-openai:latest", [("review", "pushed last")]),
        ("vllm/vllm-openai", [("review", "without a tag")]),
        (f"evil.example.net/a@{DIGEST}", [("review", "well-known")]),
        (f"python:3.8@{DIGEST}", [("review", "no security fixes")]),
    ],
)
def test_the_rules_of_base_images_hold(
    image: str, expected: list[tuple[str, str]], tmp_path: Path
) -> None:
    found = judged(tmp_path, {"pod.yaml": POD.format(image)})
    assert [f.action.value for f in found] == [e[0] for e in expected]
    assert all(part in f.message for f, (_, part) in zip(found, expected, strict=True))
    assert all(f.at.line == 6 for f in found)


def test_an_image_that_is_named_often_is_one_finding(tmp_path: Path) -> None:
    (found,) = judged(tmp_path, {f"p{n}.yaml": POD.format("a/b:latest") for n in range(3)})
    assert [r.at.path for r in found.related] == ["p1.yaml", "p2.yaml"]


def test_images_of_ci_are_notes(tmp_path: Path) -> None:
    text = "on: push\njobs:\n  a:\n    container: a/b:latest\n    steps: []\n"
    (found,) = judged(tmp_path, {".github/workflows/a.yml": text})
    assert found.action is Action.NOTE


@pytest.mark.parametrize(
    ("path", "text", "why"),
    [
        ("pod.yaml", POD.format("$IMAGE"), "told when it is deployed: line 6"),
        ("values.yaml", "image:\n  repository: a/b\n  tag: ''\n", "it is deployed: line 2"),
        ("values.yaml", "agent:\n  image: a/agent\n", "it is deployed: line 2"),
        ("chart/templates/a.yaml", "a:\n{{- if .V }}\n  image: {{ .V }}\n{{- end }}\n", "of Helm"),
        (".github/workflows/a.yml", "on: push\njobs:\n  a:\n    container: ${{ matrix.i }}\n",
         "told when it runs"),
    ],
)  # fmt: skip
def test_an_image_that_is_put_together_is_a_gap(
    path: str, text: str, why: str, tmp_path: Path
) -> None:
    said = run(write(tmp_path, {path: text}))
    assert any(why in g.message for g in said.gaps)


@settings(deadline=None)
@given(st.text(alphabet="apiVersionkd: imgecotr{}[]$-\n/@.01\"'|&*", max_size=300))
def test_any_manifest_is_read(text: str) -> None:
    for path in ("pod.yaml", "values.yaml", "chart/templates/x.yaml", "bentofile.yaml", "cog.yaml"):
        looked_at(path, f"apiVersion: v1\nkind: Pod\n{text}")


# -- what would cry wolf ---------------------------------------------------------------------------


def test_the_folder_that_a_script_or_step_runs_in_is_followed(tmp_path: Path) -> None:
    steps = "on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n"
    write(tmp_path, {
        ".github/workflows/a.yml": steps + "    - working-directory: docs\n      run: |\n"
        "        pip install -r requirements.txt\n"
        "    - run: git clone https://example.org/x && cd x && pip install -r requirements.txt\n",
        "docs/requirements.txt": "a==1\n", "requirements.txt": "b==1\n",
        "setup.sh": "cd server\npip install -r deps.in\n", "server/deps.in": "c==1\n",
    })  # fmt: skip
    missing = [g.message for g in run(tmp_path).gaps if "not there" in g.message]
    assert missing == ["line 9 names x/requirements.txt, which is not there"]


def test_an_index_that_is_named_in_many_lines_is_one_finding(tmp_path: Path) -> None:
    line = "pip install x==1 -i https://mirror.example.net/simple\n"
    said = run(write(tmp_path, {"a.sh": line * 3}))
    (found,) = [f for f in said.findings if f.check == "index-confusion"]
    assert [found.at.line, *(r.at.line for r in found.related)] == [1, 2, 3]


def test_an_address_that_many_files_name_is_one_finding(tmp_path: Path) -> None:
    line = "git+https://example.org/a@main\n"
    said = run(write(tmp_path, {"requirements.txt": line, "b/requirements.txt": line}))
    (found,) = [f for f in said.findings if f.check == "unpinned-source"]
    assert [r.at.path for r in found.related] == ["requirements.txt"]


def test_what_a_project_is_worked_on_with_is_one_step_lower(known: Path, tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "pyproject.toml": '[project]\nname = "a"\nversion = "1"\n'
            '[project.optional-dependencies]\ndev = ["ray==2.9"]\nserve = ["ray==2.8"]\n'
        },
    )
    said = run(tmp_path, advisories=known)
    assert findings(said, "affected-version") == {
        ("note", "pyproject.toml", "ray 2.9"), ("review", "pyproject.toml", "ray 2.8"),
    }  # fmt: skip


def test_a_repository_that_installs_itself(tmp_path: Path) -> None:
    write(tmp_path, {
        "pyproject.toml": '[project]\nname = "a"\n[project.urls]\nHomepage = '
        '"https://github.com/own/a"\n',
        "b.ipynb": notebook("!pip install git+https://github.com/own/a.git",
                            "!pip install git+https://github.com/else/b.git"),
    })  # fmt: skip
    actions = {f.at.inside: f.action for f in run(tmp_path).findings
               if f.check == "unpinned-source"}  # fmt: skip
    assert actions == {("cell 1",): Action.NOTE, ("cell 2",): Action.REVIEW}


def test_a_script_whose_commands_were_read_leaves_nothing_open_here() -> None:
    (gap,) = looked_at("start.sh", SHELL + "true\n").gaps
    assert "dependencies" not in gap.controls


# -- hostile texts ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("a.ipynb", notebook("!pip install hostile==1 git+https://example.org/\ud800")),
        (".gitlab-ci.yml", 't:\n  script: ["pip install hostile==1 git+https://x.org/\\uD800"]\n'),
        ("cog.yaml", 'build:\n  python_packages: ["hostile==1", "git+https://x.org/\\uD800"]\n'),
        ("config.json", '{"sklearn": {"environment": ["hostile=1", "\\ud800"]}}'),
    ],
)
def test_half_a_character_hides_nothing(path: str, text: str, known: Path, tmp_path: Path) -> None:
    """JSON and YAML can spell what UTF-8 cannot say; what else the file asks for is judged."""
    said = run(write(tmp_path, {path: text}), advisories=known)
    assert [f.action for f in said.findings if f.check == "malicious-package"] == [Action.BLOCK]
    assert [g for g in said.gaps if g.kind.value == "crashed"] == []
