"""What files say is to be installed: each kind of file, as its own tool reads it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weighbridge.core.fact import Firmness, Installs
from weighbridge.core.format import Limits
from weighbridge.core.tree import Held
from weighbridge.engine.examine import examine
from weighbridge.engine.ruleset import load
from weighbridge.formats.conda import read_spec
from weighbridge.formats.project import clauses
from weighbridge.formats.requirements import reference_of

SHA = "a1" * 20


def facts(path: str, text: str) -> list[Installs]:
    examined = examine(Held(path, text.encode()), load(), Limits())
    assert [g for g in examined.gaps if g.kind.value == "crashed"] == []
    return [fact for fact in examined.facts if isinstance(fact, Installs)]


def read(path: str, text: str) -> Installs:
    (fact,) = facts(path, text)
    return fact


def rows(fact: Installs) -> list[tuple[str, str, str, int]]:
    """Name, what it is held to, firmness, line."""
    return [(r.name, r.url or r.version or r.specifier, r.firm.value, r.line)
            for r in fact.requirements]  # fmt: skip


WHEEL = "https://example.org/whl/torch-2.0.1%2Bcu118-cp310-cp310-linux_x86_64.whl"


def test_requirements_of_pip() -> None:
    fact = read(
        "requirements.txt",
        f"torch==2.0.1+cu118\nnumpy==1.26.* ; python_version<'3.13'\nscipy\n"
        f"a==1 --hash=sha256:aa\nb @ git+https://example.org/b@{SHA}\n"
        f"git+https://example.org/c@main#egg=c\n{WHEEL}\n./d-1.0.tar.gz\n"
        f"https://example.org/e-2.zip#sha256={'0' * 64}\n"
        "-r more.txt\n-c bounds.txt\n--extra-index-url https://example.org/simple\n",
    )
    assert rows(fact) == [
        ("torch", "2.0.1+cu118", "exact", 1),
        ("numpy", "==1.26.*", "range", 2),
        ("scipy", "", "none", 3),
        ("a", "1", "hash", 4),
        ("b", f"git+https://example.org/b@{SHA}", "hash", 5),
        ("c", "git+https://example.org/c@main#egg=c", "none", 6),
        ("torch", WHEEL, "none", 7),
        ("d", "./d-1.0.tar.gz", "none", 8),
        ("e", f"https://example.org/e-2.zip#sha256={'0' * 64}", "hash", 9),
    ]
    assert [r.version for r in fact.requirements[6:]] == ["2.0.1+cu118", "1.0", "2"]
    assert fact.requirements[1].marker == "python_version<'3.13'"
    assert [(f.path, f.constraint, f.line) for f in fact.files] == [
        ("more.txt", False, 10), ("bounds.txt", True, 11)
    ]  # fmt: skip
    assert [(i.kind, i.said) for i in fact.indexes] == [("extra", "https://example.org/simple")]
    assert read("constraints.txt", "a==1\n").place == "constraints"
    assert "line" in read("requirements.txt", "a\nno requirement\n").unread[0]


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("git+https://example.org/a@v1#egg=a", "v1"),
        ("git+ssh://git@example.org/a.git@main", "main"),
        ("git+ssh://git@example.org/a.git", ""),
        ("git+https://example.org/a", ""),
        ("https://example.org/a@1.zip", ""),
    ],
)
def test_references(target: str, expected: str) -> None:
    assert reference_of(target) == expected


def test_pyproject_by_the_standards() -> None:
    fact = read(
        "pyproject.toml",
        '[build-system]\nrequires = ["hatchling>=1.2"]\n'
        '[project]\nname = "a"\ndependencies = [\n  "torch>=2",\n  "tokenizers==0.19.1",\n]\n'
        'dynamic = ["optional-dependencies"]\n'
        '[project.optional-dependencies]\nfast = ["xformers"]\n'
        '[dependency-groups]\ntest = ["pytest", {include-group = "lint"}]\n'
        f'[tool.uv.sources]\ntorch = {{git = "https://example.org/t", rev = "{SHA}"}}\n'
        'xformers = {index = "ours"}\n'
        '[[tool.uv.index]]\nname = "ours"\nurl = "https://example.org/simple"\nexplicit = true\n'
        '[[tool.uv.index]]\nurl = "https://example.org/more"\n'
        '[tool.uv]\nindex-strategy = "unsafe-best-match"\n',
    )
    assert rows(fact) == [
        ("torch", f"git+https://example.org/t@{SHA}", "hash", 6),
        ("tokenizers", "0.19.1", "exact", 7),
        ("xformers", "", "none", 11),
        ("pytest", "", "none", 13),
        ("hatchling", ">=1.2", "range", 2),
    ]
    assert [r.group for r in fact.requirements] == ["", "", "fast", "test", "build-system"]
    assert fact.requirements[2].source == "ours"
    assert {(i.kind, i.said) for i in fact.indexes} == {
        ("pinned", "https://example.org/simple"), ("extra", "https://example.org/more"),
        ("strategy", "unsafe-best-match"),
    }  # fmt: skip
    assert fact.unread == ("optional-dependencies are computed when it is built",)


def test_pyproject_of_tools() -> None:
    fact = read(
        "pyproject.toml",
        '[tool.poetry.dependencies]\npython = "^3.11"\nnumpy = "^1.26"\ntorch = "2.1.0"\n'
        'own = {git = "https://example.org/own.git", branch = "main"}\n'
        'many = [{version = "1.0", python = "<3.9"}, {version = "2.0"}]\n'
        '[tool.poetry.group.dev.dependencies]\npytest = "*"\n'
        '[[tool.poetry.source]]\nname = "x"\nurl = "https://example.org/s"\n'
        'priority = "supplemental"\n',
    )
    assert rows(fact) == [
        ("numpy", ">=1.26,<2", "range", 3),
        ("torch", "2.1.0", "exact", 4),
        ("own", "git+https://example.org/own.git@main", "none", 5),
        ("many", "1.0", "exact", 6),
        ("many", "2.0", "exact", 6),
        ("pytest", "", "none", 8),
    ]
    assert [(i.kind, i.said) for i in fact.indexes] == [("extra", "https://example.org/s")]


def test_setuptools_may_read_other_files() -> None:
    fact = read(
        "pyproject.toml",
        '[project]\nname = "a"\ndynamic = ["dependencies"]\n'
        '[tool.setuptools.dynamic]\ndependencies = {file = ["requirements/base.txt"]}\n',
    )
    assert [f.path for f in fact.files] == ["requirements/base.txt"]
    assert fact.unread == ()


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("^1.2.3", ">=1.2.3,<2"), ("^0.2.3", ">=0.2.3,<0.3"), ("^0.0.3", ">=0.0.3,<0.0.4"),
        ("~1.2.3", ">=1.2.3,<1.3"), ("~1", ">=1,<2"), ("1.2", "==1.2"), ("1.*", "==1.*"),
        ("*", ""), (">=1,<2", ">=1,<2"), ("~=1.2", "~=1.2"), ("^1 || ^2", ""), (">=1, !=1.5",
         ">=1,!=1.5"),
    ],
)  # fmt: skip
def test_clauses_of_poetry(written: str, expected: str) -> None:
    assert clauses(written) == expected


LOCKS = {
    "poetry.lock": (
        '[[package]]\nname = "a"\nversion = "1.0"\nfiles = [{file = "a.whl", hash = "sha256:1"}]\n'
        '[[package]]\nname = "b"\nversion = "2.0"\nfiles = []\n[package.source]\ntype = "git"\n'
        f'url = "https://example.org/b.git"\nreference = "main"\nresolved_reference = "{SHA}"\n'
        '[[package]]\nname = "c"\nversion = "3.0"\nfiles = []\n'
    ),
    "uv.lock": (
        'version = 1\n[[package]]\nname = "own"\nversion = "0.1"\nsource = { editable = "." }\n'
        '[[package]]\nname = "a"\nversion = "1.0"\n'
        'source = { registry = "https://example.org/simple" }\n'
        'wheels = [{ url = "https://example.org/a.whl", hash = "sha256:1" }]\n'
        '[[package]]\nname = "b"\nversion = "2.0"\n'
        f'source = {{ git = "https://example.org/b.git?rev=main#{SHA}" }}\n'
        '[[package]]\nname = "c"\nversion = "3.0"\n'
        'source = { registry = "https://example.org/simple" }\n'
    ),
    "pdm.lock": (
        '[[package]]\nname = "a"\nversion = "1.0"\nfiles = [{file = "a.whl", hash = "sha256:1"}]\n'
        f'[[package]]\nname = "b"\nversion = "2.0"\ngit = "https://example.org/b.git"\n'
        f'ref = "main"\nrevision = "{SHA}"\n[[package]]\nname = "c"\nversion = "3.0"\n'
    ),
    "pylock.toml": (
        'lock-version = "1.0"\n[[packages]]\nname = "own"\ndirectory = {path = "."}\n'
        '[[packages]]\nname = "a"\nversion = "1.0"\n'
        '[[packages.wheels]]\nurl = "https://example.org/a.whl"\nhashes = {sha256 = "1"}\n'
        '[[packages]]\nname = "b"\nversion = "2.0"\n'
        f'vcs = {{type = "git", url = "https://example.org/b.git", commit-id = "{SHA}"}}\n'
        '[[packages]]\nname = "c"\nversion = "3.0"\n'
    ),
    "Pipfile.lock": json.dumps({
        "_meta": {"sources": [{"url": "https://example.org/simple", "verify_ssl": False}]},
        "default": {
            "a": {"version": "==1.0", "hashes": ["sha256:1"]},
            "b": {"version": "==2.0", "git": "https://example.org/b.git", "ref": SHA},
        },
        "develop": {"c": {"version": "==3.0"}},
    }, indent=4),
}  # fmt: skip


@pytest.mark.parametrize("name", LOCKS)
def test_locks(name: str) -> None:
    fact = read(name, LOCKS[name])
    assert fact.place == "lock"
    assert [(r.name, r.version, r.firm.value) for r in fact.requirements] == [
        ("a", "1.0", "hash"), ("b", "2.0", "hash"), ("c", "3.0", "exact"),
    ]  # fmt: skip
    b = fact.requirements[1]
    assert b.url == f"git+https://example.org/b.git@{SHA}"
    lines = LOCKS[name].splitlines()
    for made in fact.requirements:
        beside = lines[made.line - 1] + lines[made.line]
        assert f'"{made.name}"' in beside


def test_a_pipfile() -> None:
    fact = read(
        "Pipfile",
        '[[source]]\nurl = "https://example.org/one"\nverify_ssl = true\n'
        '[[source]]\nurl = "https://example.org/two"\nname = "two"\n'
        '[packages]\na = "*"\nb = {version = "==1.0", index = "two"}\n'
        '[dev-packages]\nc = {git = "https://example.org/c.git", ref = "v1"}\n',
    )
    assert rows(fact) == [
        ("a", "", "none", 8),
        ("b", "1.0", "exact", 9),
        ("c", "git+https://example.org/c.git@v1", "none", 11),
    ]
    assert [(i.kind, i.said) for i in fact.indexes] == [
        ("index", "https://example.org/one"), ("pinned", "https://example.org/two"),
    ]  # fmt: skip


def test_setup_cfg_and_settings_of_pip() -> None:
    fact = read(
        "setup.cfg",
        "[metadata]\nname = a\n[options]\ninstall_requires =\n    torch==2.1\n    # why\n"
        "    numpy>=1; python_version>'3.8'\nsetup_requires = file: build.txt\n"
        "[options.extras_require]\nx = scipy\n",
    )
    assert rows(fact) == [
        ("torch", "2.1", "exact", 5),
        ("numpy", ">=1", "range", 7),
        ("scipy", "", "none", 10),
    ]
    assert [f.path for f in fact.files] == ["build.txt"]
    fact = read(
        "pip.conf",
        "[global]\nindex-url = https://example.org/a\nextra-index-url =\n"
        "  http://example.org/b\n  http://example.org/c\ntrusted-host = example.org\n",
    )
    assert [(i.kind, i.said, i.line) for i in fact.indexes] == [
        ("index", "https://example.org/a", 2), ("extra", "http://example.org/b", 4),
        ("extra", "http://example.org/c", 5), ("trusted-host", "example.org", 2),
    ]  # fmt: skip
    assert facts("setup.cfg", "[flake8]\nmax-line-length = 100\n") == []


def test_setup_py_is_never_run() -> None:
    fact = read(
        "setup.py",
        "import setuptools\nraise SystemExit\nBASE = ['torch==2.1']\n"
        "MORE = {'x': ['scipy'], 'y': BASE}\n"
        "setuptools.setup(install_requires=BASE + ['numpy>=1'], extras_require=MORE)\n",
    )
    assert [(r.name, r.line, r.group) for r in fact.requirements] == [
        ("torch", 3, ""), ("numpy", 5, ""), ("scipy", 4, "x"), ("torch", 3, "y"),
    ]  # fmt: skip
    fact = read(
        "setup.py",
        "from setuptools import setup\nsetup(install_requires=open('requirements.txt').read())\n",
    )
    assert [f.path for f in fact.files] == ["requirements.txt"]
    assert fact.unread == ()
    fact = read("setup.py", "from setuptools import setup\nsetup(install_requires=found())\n")
    assert fact.unread == ("line 2: requirements are computed",)
    assert facts("other.py", "from setuptools import setup\nsetup(install_requires=['a'])\n") == []


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("numpy", ("numpy", "", None, "")),
        ("numpy=1.26", ("numpy", "==1.26.*", None, "")),
        ("numpy=1.26.*", ("numpy", "==1.26.*", None, "")),
        ("numpy==1.26.4", ("numpy", "==1.26.4", "1.26.4", "")),
        ("numpy 1.26.4", ("numpy", "==1.26.4", "1.26.4", "")),
        ("numpy=1.26.4=py311_0", ("numpy", "==1.26.4", "1.26.4", "")),
        ("numpy 1.26.4 py311_0", ("numpy", "==1.26.4", "1.26.4", "")),
        ("numpy>=1.2,<2", ("numpy", ">=1.2,<2", None, "")),
        ("numpy 1.2|1.3", ("numpy", "", None, "")),
        ("pytorch::pytorch==2.0.1=py3.10_cuda", ("pytorch", "==2.0.1", "2.0.1", "pytorch")),
        ("conda-forge::x", ("x", "", None, "conda-forge")),
    ],
)
def test_specifications_of_conda(said: str, expected: tuple[str, str, str | None, str]) -> None:
    made = read_spec(said, 1)
    assert made is not None
    assert (made.name, made.specifier, made.version, made.source) == expected


def test_files_of_conda() -> None:
    fact = read(
        "environment.yml",
        "name: a\nchannels:\n- http://example.org/c\n- conda-forge\ndependencies:\n"
        "- python=3.11\n- pytorch==2.0.1\n- pip\n- pip:\n  - transformers==4.30.0\n"
        "  - --extra-index-url https://example.org/simple\n",
    )
    assert [(r.name, r.version, r.ecosystem, r.line) for r in fact.requirements] == [
        ("pytorch", "2.0.1", "conda", 7),
        ("pip", None, "conda", 8),
        ("transformers", "4.30.0", "PyPI", 10),
    ]
    assert [(i.kind, i.said) for i in fact.indexes] == [
        ("channel", "http://example.org/c"), ("channel", "conda-forge"),
        ("extra", "https://example.org/simple"),
    ]  # fmt: skip
    fact = read(
        "linux.txt",
        "# platform: linux-64\n@EXPLICIT\n"
        f"https://example.org/conda-forge/linux-64/numpy-1.26.4-py311_0.conda#{'0' * 32}\n"
        "https://example.org/conda-forge/noarch/tzdata-2024a-h0_0.tar.bz2\nwhat is this\n",
    )
    assert [(r.name, r.version, r.firm.value, r.source) for r in fact.requirements] == [
        ("numpy", "1.26.4", "hash", "https://example.org/conda-forge"),
        ("tzdata", "2024a", "exact", "https://example.org/conda-forge"),
    ]
    assert "line 5" in fact.unread[0]
    fact = read(
        "conda-lock.yml",
        "version: 1\nmetadata:\n  platforms: [linux-64]\npackage:\n- name: numpy\n"
        "  version: 1.26.4\n  manager: conda\n  platform: linux-64\n  hash:\n    sha256: aa\n"
        "- name: numpy\n  version: 1.26.4\n  manager: conda\n  platform: osx-64\n"
        "- name: transformers\n  version: 4.30.0\n  manager: pip\n",
    )
    assert [(r.name, r.version, r.ecosystem, r.firm.value) for r in fact.requirements] == [
        ("numpy", "1.26.4", "conda", "hash"), ("transformers", "4.30.0", "PyPI", "exact"),
    ]  # fmt: skip
    fact = read(".condarc", "channels: [a, defaults]\nchannel_priority: flexible\n")
    assert [(i.kind, i.said) for i in fact.indexes] == [
        ("channel", "a"), ("channel", "defaults"), ("channel-priority", "flexible"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("pyproject.toml", "[project\n"),
        ("pyproject.toml", "a = " + "[" * 5_000),
        ("poetry.lock", ".".join("a" * 400) + " = 1\n"),
        ("Pipfile.lock", "{"),
        ("Pipfile.lock", "[]"),
        ("pyproject.toml", '[project]\ndependencies = ["=== what"]\n'),
        ("pyproject.toml", "[project]\ndependencies = [1]\n"),
        ("setup.cfg", "no section\n"),
        ("environment.yml", "channels: []\ndependencies: ['what is this?']\n"),
    ],
)
def test_what_cannot_be_read_is_said(path: str, text: str) -> None:
    assert read(path, text).unread


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("settings.toml", '[project]\ndependencies = ["a"]\n'),
        ("pyproject.toml", "[tool.ruff]\nline-length = 100\n"),
        ("values.yaml", "dependencies:\n- name: chart\n  version: 1\n"),
        ("package.json", '{"dependencies": {"a": "1"}}'),
        ("notes.txt", "we use an @EXPLICIT list\n"),
    ],
)
def test_look_alikes_say_nothing(path: str, text: str) -> None:
    assert facts(path, text) == []


@pytest.mark.parametrize("name", [*LOCKS, "pyproject.toml", "Pipfile", "setup.cfg", "setup.py",
                                  "environment.yml", "uv.toml", "pip.conf"])  # fmt: skip
@given(data=st.data())
def test_broken_copies_of_each(name: str, data: st.DataObject) -> None:
    text = LOCKS.get(name) or next(iter(LOCKS.values()))
    at, until = data.draw(st.integers(0, len(text))), data.draw(st.integers(0, len(text)))
    broken = text[:at] + data.draw(st.text(max_size=20)) + text[until:]
    for fact in facts(name, broken):
        assert all(isinstance(r.firm, Firmness) for r in fact.requirements)
