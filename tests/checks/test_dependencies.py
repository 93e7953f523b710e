"""The checks of what a model is installed with: small trees, and what is said of each."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from advisories import REAL, advisory, index, since
from weighbridge.analysis.look_alike import Names, beside, one_edit
from weighbridge.core.control import ControlVerdict
from weighbridge.core.finding import Finding, Gap, GapKind
from weighbridge.core.report import Report
from weighbridge.engine.audit import Audited, run
from weighbridge.engine.ruleset import load
from weighbridge.intel.advisories.build import build, dump
from weighbridge.intel.engines import listed as engines
from weighbridge.intel.packages import listed as packages
from weighbridge.sources.target import Access

SHA = "a1" * 20
ORDINARY = Path(__file__).with_name("ordinary_packages.txt")
NOW = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
CRITICAL: dict[str, Any] = {"database_specific": {"severity": "CRITICAL"}}
ADVISORIES = (
    advisory("GHSA-torch", "torch", *since(fixed="2.6.0"), modified=NOW, aliases=["CVE-2025-32434"],
             summary="weights_only runs code", **CRITICAL),
    advisory("PYSEC-torch", "torch", *since(fixed="2.6.0"), aliases=["CVE-2025-32434"]),
    advisory("GHSA-low", "torch", *since("2.0", fixed="2.7.0"),
             database_specific={"severity": "LOW"}),
    advisory("PYSEC-wide", "torchvision", *since(last_affected="0.15.2")),
    advisory("GHSA-page", "pillow", *since(fixed="10.0.1"), versions=("9.0", "9.5"),
             database_specific={"severity": "HIGH"}),
    advisory("GHSA-used", "litellm", *since(fixed="1.50"), aliases=["CVE-2026-1"]),
    advisory("PYSEC-gone", "requests", *since(fixed="3"), withdrawn=NOW),
    advisory("PYSEC-vague", "scipy"),
    advisory("MAL-2026-1", "ultralytic", *since(), summary="Malicious code in ultralytic"),
    advisory("MAL-2024-2", "ultralytics", versions=("8.3.41", "8.3.42"), summary="a miner"),
)  # fmt: skip

Tree = dict[str, str | bytes]


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("advisories") / "index"
    return index(path, *ADVISORIES, exploited=("CVE-2026-1",))


def audited(folder: Path, tree: Tree, known: Path | None) -> Audited:
    for name, content in tree.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return run(folder, advisories=known)


def findings(said: Audited, *checks: str) -> list[Finding]:
    return [f for f in said.findings if f.check in (checks or CHECKS)]


def gaps(said: Audited) -> list[Gap]:
    return [g for g in said.gaps if "dependencies" in g.controls]


CHECKS = ("affected-version", "malicious-package", "look-alike-package", "index-confusion",
          "unpinned-source")  # fmt: skip
PICKLE = b"\x80\x04]."
CASES: list[tuple[str, Tree, set[tuple[str, str]]]] = [
    # The loader that this model needs has a critical hole; aliases are one weakness.
    ("loader", {"requirements.txt": "torch==2.5.1\n", "model.pkl": PICKLE},
     {("block", "torch 2.5.1")}),
    ("loader of another format", {"requirements.txt": "torch==2.5.1\n"},
     {("review", "torch 2.5.1")}),
    ("build of one's own", {"requirements.txt": "torch==2.5.1+cu118\n"},
     {("review", "torch 2.5.1+cu118")}),
    ("mended but for a low one", {"requirements.txt": "torch==2.6.0\n", "m.pkl": PICKLE},
     {("note", "torch 2.6.0")}),
    ("mended", {"requirements.txt": "torch==2.7.0\n", "m.pkl": PICKLE}, set()),
    ("local build and last_affected", {"requirements.txt": "torchvision==0.15.2+cu118\n"},
     {("review", "torchvision 0.15.2+cu118")}),
    ("range", {"requirements.txt": "pillow>=9\n"}, {("note", "pillow >=9")}),
    ("range without a way out", {"requirements.txt": "pillow<10\n"}, {("review", "pillow <10")}),
    ("range above", {"requirements.txt": "pillow>=10.0.1\n"}, set()),
    ("exploited, in what serves", {"requirements.txt": "litellm==1.40\n"},
     {("block", "litellm 1.40")}),
    ("withdrawn", {"requirements.txt": "requests==2.0\n"}, {("note", "requests 2.0")}),
    ("names no versions", {"requirements.txt": "scipy==1.0\n"}, {("note", "scipy 1.0")}),
    ("wheel at an address",
     {"requirements.txt": "https://example.org/w/pillow-9.5-py3-none-any.whl#sha256="
      + "0" * 64 + "\n"},
     {("review", "pillow 9.5"), ("note", "pillow")}),
    ("by conda", {"environment.yml": "channels: [conda-forge]\ndependencies:\n- pytorch==2.5.1\n"},
     {("review", "torch 2.5.1")}),
    ("constraint", {"requirements.txt": "-c bounds.txt\npillow\n", "bounds.txt": "pillow==9.5\n"},
     {("review", "pillow 9.5")}),
    ("constraint that nothing asks for", {"constraints.txt": "pillow==9.5\n"}, set()),
    ("another file", {"requirements.txt": "-r sub/base\n", "sub/base": "-r ../more\n",
                      "more": "pillow==9.5\n"}, {("review", "pillow 9.5")}),
    ("lock holds the project",
     {"pyproject.toml": '[project]\nname="a"\ndependencies=["pillow"]\n',
      "uv.lock": '[[package]]\nname="pillow"\nversion="11.0"\n'
      'source={registry="https://example.org/simple"}\n'}, set()),
    # Hostile packages.
    ("hostile", {"requirements.txt": "ultralytic==1.0\n"},
     {("block", "ultralytic MAL-2026-1"), ("review", "ultralytic")}),
    ("hostile whatever the version", {"requirements.txt": "ultralytic\n"},
     {("block", "ultralytic MAL-2026-1"), ("review", "ultralytic")}),
    ("hostile release", {"requirements.txt": "ultralytics==8.3.41\n"},
     {("block", "ultralytics MAL-2024-2")}),
    ("other release", {"requirements.txt": "ultralytics==8.3.43\n"}, set()),
    # Names.
    ("one letter more", {"requirements.txt": "numpyy==1.0\n"}, {("review", "numpyy")}),
    ("itself, written otherwise", {"requirements.txt": "Scikit_Learn==1.5\nPyYAML==6.0\n"}, set()),
    ("established", {"requirements.txt": "fastai==2.7\nscrapy==2.11\n"}, set()),
    # Indexes.
    ("second index", {"requirements.txt": "--extra-index-url https://example.org/s\nmylib==1\n"},
     {("review", "extra https://example.org/s")}),
    ("vendor's index",
     {"requirements.txt": "--extra-index-url https://download.pytorch.org/whl/cu118\ntorch==2.9\n"},
     {("note", "extra https://download.pytorch.org/whl/cu118")}),
    ("torchtriton, 2022",
     {"requirements.txt": "--pre\n--extra-index-url https://download.pytorch.org/whl/nightly/cu118\n"
      "torch\ntorchtriton\n"},
     {("review", "extra https://download.pytorch.org/whl/nightly/cu118"), ("note", "torch")}),
    ("plain HTTP", {"requirements.txt": "-i http://example.org/s\ntorch==2.9\n"},
     {("review", "index http://example.org/s")}),
    ("loopback", {"requirements.txt": "-i http://127.0.0.1:3141/s\ntorch==2.9\n"},
     {("review", "index http://127.0.0.1:3141/s")}),
    ("no proof", {"pip.conf": "[global]\ntrusted-host = example.org\n"},
     {("review", "trusted-host example.org")}),
    ("best match", {"uv.toml": 'index-strategy = "unsafe-best-match"\n'},
     {("review", "strategy unsafe-best-match")}),
    ("first match", {"uv.toml": 'index-strategy = "first-index"\n'}, set()),
    ("bound index",
     {"uv.toml": '[[index]]\nurl = "https://example.org/s"\nexplicit = true\n'}, set()),
    ("flexible", {".condarc": "channels: [conda-forge]\nchannel_priority: flexible\n"},
     {("review", "channel-priority flexible")}),
    ("strict", {".condarc": "channels: [conda-forge]\nchannel_priority: strict\n"}, set()),
    ("a login is not told",
     {"requirements.txt": "-i https://me:secret@example.org/s\ntorch==2.9\n"},
     {("review", "index https://example.org/s")}),
    # Sources.
    ("branch", {"requirements.txt": "a @ git+https://example.org/a@main\n"}, {("review", "a")}),
    ("short commit", {"requirements.txt": "a @ git+https://example.org/a@a1b2c3d\n"},
     {("review", "a")}),
    ("commit", {"requirements.txt": f"a @ git+https://example.org/a@{SHA}\n"}, {("note", "a")}),
    ("archive", {"requirements.txt": "a @ https://example.org/a.zip\n"}, {("review", "a")}),
    ("folder of one's own", {"requirements.txt": "./a\n-e .\n"}, set()),
]  # fmt: skip


@pytest.mark.parametrize(("tree", "expected"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_what_is_said(
    tree: Tree, expected: set[tuple[str, str]], known: Path, tmp_path: Path
) -> None:
    said = audited(tmp_path, tree, known)
    assert {(f.action.value, f.symbol) for f in findings(said)} == expected
    assert not [g for g in said.gaps if g.kind in (GapKind.CRASHED, GapKind.TIMEOUT)]
    shown = json.dumps([f.message for f in said.findings])
    assert "secret@" not in shown


def test_an_affected_version_is_told_whole(known: Path, tmp_path: Path) -> None:
    said = audited(tmp_path, {"requirements.txt": "a==1\ntorch==2.5.1\n", "m.pkl": PICKLE}, known)
    (found,) = findings(said, "affected-version")
    assert found.message == (
        "torch 2.5.1 (it loads this model: pickle) is affected by CVE-2025-32434, critical and 1 "
        "more: weights_only runs code; 2.7.0 is free of all of them"
    )
    assert (found.at.path, found.at.line) == ("requirements.txt", 2)
    (table,) = found.evidence
    rows = table.rows  # type: ignore[union-attr]
    assert rows[0] == ("CVE-2025-32434, GHSA-torch, PYSEC-torch", "critical", "", "2.6.0",
                       "weights_only runs code")  # fmt: skip
    assert rows[1][:2] == ("GHSA-low", "low")


def test_a_hole_in_the_loader_concerns_the_format(known: Path, tmp_path: Path) -> None:
    tree: Tree = {"requirements.txt": "torch==2.5.1\n", "m.pkl": PICKLE}
    (found,) = findings(audited(tmp_path / "a", tree, known), "unsafe-loader")
    assert found.message == (
        "pickle is to be loaded by torch 2.5.1, which has a known hole: CVE-2025-32434"
    )
    for text in ("torch==2.6.0\n", "torch>=2\n", "pillow==9.5\n"):
        said = audited(tmp_path / "b", tree | {"requirements.txt": text}, known)
        assert findings(said, "unsafe-loader") == []


BENIGN = Path(__file__).parents[1] / "benign" / "files"
NEEDED = [
    # package, file of the model, what the package is to it, real advisories of that version
    ("torch==1.13.0", "m.pkl", "it loads this model: pickle", {"PYSEC-2022-43015"}),
    ("torch==1.13.1", "m.pkl", "", set()),
    ("torch==1.13.0+cu117", "m.pkl", "it loads this model: pickle", {"PYSEC-2022-43015"}),
    ("joblib==1.1.0", "m.pkl", "it loads this model: pickle", {"PYSEC-2022-288"}),
    ("torch==1.13.0", "q4_0.gguf", "", {"PYSEC-2022-43015"}),
    ("onnx==1.12.0", "test_reciprocal.onnx", "it loads this model: onnx", {"PYSEC-2023-38"}),
    ("onnx==1.13.0", "test_reciprocal.onnx", "", set()),
    ("tensorflow-cpu==2.7.0", "saved_model.pb", "it loads this model: saved-model",
     {"PYSEC-2022-99"}),
    ("mlflow==2.10.0", "q4_0.gguf", "it serves models", {"PYSEC-2024-51"}),
    ("gradio==4.13.0", "q4_0.gguf", "it serves models", {"PYSEC-2023-255"}),
    ("jupyter-server==2.7.1", "m.pkl", "it serves models", {"PYSEC-2023-155", "PYSEC-2023-157"}),
]  # fmt: skip
FILES = {
    "m.pkl": PICKLE,
    "q4_0.gguf": (BENIGN / "gguf/q4_0.gguf").read_bytes(),
    "test_reciprocal.onnx": (BENIGN / "onnx-backend/test_reciprocal.onnx").read_bytes(),
    "saved_model.pb": (BENIGN / "tensorflow/conv/saved_model.pb").read_bytes(),
}


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("real") / "index"
    build(dump(REAL), path, "PyPA", exploited=("CVE-2024-4263",))
    return path


@pytest.mark.skipif(not REAL.is_file(), reason="the advisories are not beside the checkout")
@pytest.mark.parametrize(
    ("pin", "file", "part", "ids"), NEEDED, ids=[f"{n[0]}, {n[1]}" for n in NEEDED]
)
def test_what_a_package_is_to_this_model(
    pin: str, file: str, part: str, ids: set[str], real: Path, tmp_path: Path
) -> None:
    """Real advisories of what loads and serves models, beside files of real libraries."""
    said = audited(tmp_path, {"requirements.txt": f"{pin}\n", file: FILES[file]}, real)
    found = [f for f in findings(said, "affected-version") if f.symbol != "old advisories"]
    names = json.dumps([f.message for f in found] + [str(f.evidence) for f in found])
    assert all(id in names for id in ids)
    assert bool(found) == bool(ids)
    assert [f for f in found if f" ({part}) " in f.message] == (found if part else [])
    loading = findings(said, "unsafe-loader")
    assert bool(loading) == part.startswith("it loads")
    assert {f.action.value for f in loading} <= {"note", "review"}


@pytest.mark.skipif(not REAL.is_file(), reason="the advisories are not beside the checkout")
def test_what_is_exploited_comes_first(real: Path, tmp_path: Path) -> None:
    text = "gradio==3.0\nmlflow==2.10.0\n"
    said = audited(tmp_path, {"requirements.txt": text, "m.pkl": PICKLE}, real)
    found = [f for f in findings(said, "affected-version") if f.symbol != "old advisories"]
    assert {f.symbol: f.action.value for f in found} == {"gradio 3.0": "review",
                                                         "mlflow 2.10.0": "block"}  # fmt: skip
    assert found[0].symbol == "mlflow 2.10.0"
    assert "is affected by CVE-2024-4263, known to be exploited" in found[0].message


def test_the_same_version_in_two_files_is_one_finding(known: Path, tmp_path: Path) -> None:
    tree: Tree = {"requirements.txt": "pillow==9.5\n", "sub/requirements.txt": "Pillow==9.5\n"}
    (found,) = findings(audited(tmp_path, tree, known), "affected-version")
    assert [r.at.path for r in found.related] == ["sub/requirements.txt"]


def test_nothing_asked_for_is_not_given(known: Path, tmp_path: Path) -> None:
    for path in (known, None):
        said = audited(tmp_path, {"config.json": '{"model_type": "a"}'}, path)
        (gap,) = gaps(said)
        assert (gap.kind, gap.at.path) == (GapKind.NOT_GIVEN, ".")


def test_without_advisories_nothing_was_looked_up(tmp_path: Path) -> None:
    for path, why in (
        (None, "no advisories were given"),
        (tmp_path / "none", "weighbridge update"),
    ):
        said = audited(tmp_path / "m", {"requirements.txt": "torch==2.5.1\nnumpyy==1\n"}, path)
        (gap,) = gaps(said)
        assert gap.kind is GapKind.OFFLINE
        assert "2 requirements were not looked up" in gap.message
        assert why in gap.message
        assert {f.check for f in findings(said)} == {"look-alike-package"}


def test_an_open_requirement_is_not_passed(known: Path, tmp_path: Path) -> None:
    said = audited(tmp_path, {"requirements.txt": "numpy>=1\nscipy\nsafetensors==0.5\n"}, known)
    assert [g.kind for g in gaps(said)] == [GapKind.NOT_GIVEN]
    assert gaps(said)[0].message.startswith("2 of the requirements here are open")


def test_old_advisories_are_a_note(tmp_path: Path) -> None:
    old = index(tmp_path / "old", advisory("X-1", "a", *since(fixed="1"),
                                           modified="2024-10-10T00:00:00Z"))  # fmt: skip
    said = audited(tmp_path / "m", {"requirements.txt": "numpy==2.0\n"}, old)
    (found,) = findings(said)
    assert (found.action.value, found.symbol) == ("note", "old advisories")
    assert "2024-10-10" in found.message
    (intel,) = [i for i in said.intel if i.name.startswith("advisories")]
    assert (intel.date, intel.source, intel.count) == ("2024-10-10", "the tests", 1)
    assert intel.digest is not None
    assert len(intel.digest) == 64


@pytest.mark.parametrize(
    ("tree", "why"),
    [
        ({"requirements.txt": "-r ../up.txt\n"}, "outside"),
        ({"requirements.txt": "-r /etc/up.txt\n"}, "outside"),
        ({"requirements.txt": "-r https://example.org/r.txt\n"}, "an address"),
        ({"requirements.txt": "-r missing.txt\n"}, "not there"),
        ({"requirements.txt": "numpy==1\nwhat is this\n"}, "pip takes no such line"),
        ({"pyproject.toml": "[project\n"}, "no TOML"),
    ],
)
def test_what_cannot_be_followed_is_a_gap(
    tree: Tree, why: str, known: Path, tmp_path: Path
) -> None:
    said = audited(tmp_path, tree, known)
    assert [why in g.message for g in gaps(said)] == [True]
    assert gaps(said)[0].kind is not GapKind.NOT_GIVEN


def test_files_that_name_each_other(known: Path, tmp_path: Path) -> None:
    tree: Tree = {"requirements.txt": "-r b\n", "b": "-r requirements.txt\n-r b\npillow==9.5\n"}
    assert len(findings(audited(tmp_path, tree, known))) == 1


def test_a_file_that_is_named_belongs_to_the_same_part(known: Path, tmp_path: Path) -> None:
    for place, version in (("model", "11.0"), ("source", "9.5")):
        (tmp_path / place).mkdir()
        (tmp_path / place / "base").write_text(f"pillow=={version}\n")
    (tmp_path / "source" / "requirements.txt").write_text("-r base\n-r ../model/base\n")
    access = Access(parts=(("source", str(tmp_path / "source")),))
    said = run(tmp_path / "model", access=access, advisories=known)
    (found,) = findings(said)
    assert (found.at.path, found.symbol) == ("source:base", "pillow 9.5")
    assert ["outside" in g.message for g in gaps(said)] == [True]


def test_hostile_lines_are_shortened(known: Path, tmp_path: Path) -> None:
    long = "9" * 3_000
    tree: Tree = {"requirements.txt": f"torch=={long}\n{'n' * 3_000}=={long}\npillow<{long}\n"}
    said = audited(tmp_path, tree, known)
    assert all(len(f.message) < 600 and len(f.symbol) <= 200 for f in findings(said))
    assert not [g for g in said.gaps if g.kind is GapKind.CRASHED]


def test_the_control(known: Path, tmp_path: Path) -> None:
    from weighbridge import audit

    def control(text: str) -> tuple[ControlVerdict, Report]:
        (tmp_path / "m").mkdir(exist_ok=True)
        (tmp_path / "m" / "requirements.txt").write_text(text)
        report = audit(tmp_path / "m", advisories=known)
        (found,) = [c for c in report.controls if c.id == "dependencies"]
        return found.verdict, report

    assert control("numpy==2.0\n")[0] is ControlVerdict.PASS
    assert control("ultralytic==1.0\n")[0] is ControlVerdict.FAIL
    assert control("pillow==9.5\n")[0] is ControlVerdict.WARN
    assert control("numpy\n")[0] is ControlVerdict.UNKNOWN


# -- names -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "target", "how"),
    [
        ("reqeusts", "requests", "swapped"), ("requets", "requests", "less"),
        ("requestss", "requests", "more"), ("reguests", "requests", "exchanged"),
        ("rewuests", "requests", "a key beside"), ("rewuesrs", "requests", "two keys beside"),
        ("tranaformwrs", "transformers", "two keys beside"), ("tranxformzrs", "", ""),
        ("troch", "torch", "swapped"), ("tptch", "", ""),
        ("t0rch-vision", "torchvision", "look alike"),
        ("scikitlearn", "scikit-learn", "separators"),
        ("learn-scikit", "scikit-learn", "order"), ("nurnpy", "numpy", "look alike"),
        ("transformers-gpu", "transformers", "put on"), ("python-requests", "requests", "put on"),
        ("torch-visionn", "", ""), ("torchvision", "", ""), ("tor", "", ""), ("", "", ""),
        ("entirely-other", "", ""), ("torch-vision-tools", "", ""),
    ],
)  # fmt: skip
def test_look_alikes(name: str, target: str, how: str) -> None:
    names = Names(("requests", "numpy", "torch", "torchvision", "transformers", "scikit-learn"))
    like = names.like(name)
    assert (like.target if like else "") == target
    assert how in (like.how if like else "")


def test_neighbours_on_the_keyboard() -> None:
    for pair in ("qw", "wq", "as", "sz", "xs", "p0", "o9", "gh", "hb", "nj", "1q", "2q", "0-"):
        assert beside(*pair), pair
    for pair in ("qe", "qp", "gk", "1w", "zq", "aa", "e1", "mp"):
        assert not beside(*pair), pair


def test_one_edit_is_a_distance_of_one() -> None:
    def distance(a: str, b: str) -> int:  # Damerau and Levenshtein, by the book
        table = {(i, -1): i + 1 for i in range(-1, len(a))} | {
            (-1, j): j + 1 for j in range(-1, len(b))
        }
        for i, x in enumerate(a):
            for j, y in enumerate(b):
                table[i, j] = min(
                    table[i - 1, j] + 1, table[i, j - 1] + 1, table[i - 1, j - 1] + (x != y)
                )
                if i and j and x == b[j - 1] and a[i - 1] == y:
                    table[i, j] = min(table[i, j], table[i - 2, j - 2] + 1)
        return table[len(a) - 1, len(b) - 1]

    words = ["abcde", "abced", "abcd", "abcdef", "bacde", "abxde", "abxye", "bcde", "aabcde", "a"]
    for one in words:
        for other in words:
            assert bool(one_edit(one, other)) == (distance(one, other) == 1), (one, other)


def test_ordinary_names_are_not_accused() -> None:
    """5,000 names drawn from all of PyPI (November 2026), whoever published them."""
    names, known = Names(packages().popular), packages()
    ordinary = ORDINARY.read_text().splitlines()
    met = [n for n in ordinary if n not in known.established and names.like(n)]
    assert len(ordinary) == 5_000
    assert len(met) / len(ordinary) <= 0.005, met


def test_the_lists() -> None:
    known = packages()
    assert len(known.popular) > 2_000
    assert len(set(known.popular)) == len(known.popular)
    names = Names(known.popular)
    assert not [n for n in known.popular if names.like(n)]
    assert all(names.like(n) for n in known.established)
    assert not known.established & known.doubtful
    formats = {f.name for f in load().formats} | {"config", "adapter"}
    assert {f for fs in engines().loaders.values() for f in fs} <= formats
    assert not engines().engines & set(engines().loaders)
