"""zizmor beside our own engine: what it says is shown, what it does not survive is a gap."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from weighbridge.api import audit
from weighbridge.core.fact import Automation, ToolRun
from weighbridge.core.finding import Action
from weighbridge.core.location import Location
from weighbridge.core.report import ControlResult
from weighbridge.core.tree import Blob, Held
from weighbridge.core.workflow import Trigger
from weighbridge.engine import zizmor
from workflows import CHECKOUT, TOKEN, workflow

BAD = workflow(
    "pull_request_target:", "run: echo ${{ github.head_ref }} # zizmor: ignore", job=TOKEN
)
GOOD = workflow("push:", CHECKOUT)


def control(root: Path) -> ControlResult:
    return next(c for c in audit(root).controls if c.id == "workflows")


def written(root: Path, **files: str) -> Path:
    (root / ".github" / "workflows").mkdir(parents=True)
    for name, text in files.items():
        (root / ".github" / "workflows" / f"{name}.yml").write_text(text)
    return root


def test_it_is_asked_and_cannot_be_silenced(tmp_path: Path) -> None:
    root = written(tmp_path, bad=BAD)
    (root / "zizmor.yml").write_text("rules:\n  template-injection:\n    disable: true\n")
    (root / ".github" / "zizmor.yml").write_text("rules: {template-injection: {disable: true}}\n")
    found = [f for f in control(root).findings if f.check == "zizmor"]
    assert {"zizmor: template-injection", "zizmor: dangerous-triggers"} <= {f.symbol for f in found}
    assert all(f.at.path == ".github/workflows/bad.yml" for f in found)
    assert all(f.evidence[0].title.startswith("zizmor 1.32.") for f in found)


def test_without_it_a_note_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zizmor, "program", lambda: None)
    found = [f for f in control(written(tmp_path, bad=BAD)).findings if f.check == "zizmor"]
    assert [(f.action, f.symbol) for f in found] == [(Action.NOTE, "absent")]


def test_nothing_to_read_is_nothing_to_say(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    assert not [f for f in control(tmp_path).findings if f.check == "zizmor"]


def stand_in(folder: Path, script: str) -> tuple[Path, str]:
    """A programme in its place."""
    made = folder / "zizmor"
    made.write_text(f"#!/bin/sh\n{script}\n")
    made.chmod(made.stat().st_mode | stat.S_IEXEC)
    return made, "1.32.0"


def asked(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> ToolRun:
    monkeypatch.setattr(zizmor, "program", lambda: stand_in(folder, script))
    monkeypatch.setattr(zizmor, "_SYSTEM", (*zizmor._SYSTEM, "/bin", "/usr/bin"))
    monkeypatch.setattr(zizmor, "SECONDS", 2.0)
    paths = [".github/workflows/a.yml", "act/action.yml"]
    blobs: dict[str, Blob] = {p: Held(p, GOOD.encode()) for p in paths}
    started = (Trigger(event="push", line=1),)
    facts = [Automation(at=Location(p), action="action" in p, triggers=started) for p in paths]
    said = zizmor.look(facts, blobs)
    assert said is not None
    return said


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("exit 3", "ended with 3"),
        ("while :; do echo ten letters of output; done", ""),
        ("while :; do :; done", "longer than"),
        ("echo no json", "could not be read"),
        ("echo '{}'", "could not be read"),
        ("echo '[]'; echo 'WARN failed to parse' >&2", "took the file for no workflow"),
    ],
)
def test_what_goes_wrong_is_said_for_each_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, why: str
) -> None:
    said = asked(tmp_path, script, monkeypatch)
    assert said.findings == ()
    assert [path for path, _ in said.failed] == [".github/workflows/a.yml", "act/action.yml"]
    assert all(why in reason for _, reason in said.failed)


def test_one_file_costs_only_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = 'for last; do :; done; case "$last" in */0) exit 1;; */1) echo "[]";; *) exit 1;; esac'
    said = asked(tmp_path, script, monkeypatch)
    assert [path for path, _ in said.failed] == [".github/workflows/a.yml"]


def test_findings_of_another_shape_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = asked(tmp_path, """echo '[1, {}, {"locations": []}, {"locations": [3]}]'""", monkeypatch)
    assert (said.findings, said.failed) == ((), ())


def test_it_has_no_network_no_other_files_and_no_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    monkeypatch.setenv("WEIGHBRIDGE_SECRET", "secret")
    script = (
        f'if read line < "{secret}"; then exit 0; fi\n'
        f'if echo x > "{tmp_path}/made"; then exit 0; fi\n'
        'if [ -n "$WEIGHBRIDGE_SECRET" ]; then exit 0; fi\n'
        "exit 7"
    )
    said = asked(tmp_path, script, monkeypatch)
    assert all("ended with 7" in why or "ended with 2" in why for _, why in said.failed)
    assert len(said.failed) == 2
    assert not (tmp_path / "made").exists()
