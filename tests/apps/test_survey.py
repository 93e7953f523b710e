"""`weighbridge survey` as a user meets it."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import jsonschema
import pytest

from weighbridge.apps.cli.main import main
from weighbridge.reports.json import schema
from workflows import HEAD, PRT, TOKEN, workflow


@pytest.fixture
def two(tmp_path: Path) -> list[str]:
    """A repository with an attack path, and one that holds nothing."""
    for name, flow in (("open", workflow(PRT, HEAD, "run: make test", job=TOKEN)), ("=idle", None)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "train.py").write_text("import torch\n")
        if flow is not None:
            (tmp_path / name / ".github" / "workflows").mkdir(parents=True)
            (tmp_path / name / ".github" / "workflows" / "w.yml").write_text(flow)
    return [str(tmp_path / "open"), str(tmp_path / "=idle")]


def test_every_format(
    two: list[str], tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    files = {f: tmp_path / f"survey.{f}" for f in ("json", "markdown", "csv")}
    asked = [a for f, path in files.items() for a in ("--format", f"{f}={path}")]
    assert main(["survey", *two, *asked, "--format", "terminal", "--quiet"]) == 0
    shown = capsysbinary.readouterr().out.decode()
    assert "2 of 2 repositories surveyed" in shown
    assert "1 of 1 (100 %)" in shown
    assert "A complete attack path is" in shown
    said = json.loads(files["json"].read_text())
    jsonschema.validate(said, schema("survey"))
    assert said["complete"] == {"found": 1, "of": 1, "open": 0}
    assert [c["published"] for c in said["compared"]] == [70.0, 68.4, 42.7, 34.1, 27.2, 22.8]
    assert {r["name"] for r in said["repositories"]} == {"open", "=idle"}
    assert "| open |" in files["markdown"].read_text()
    assert "### To block" in files["markdown"].read_text()
    rows = list(csv.DictReader(io.StringIO(files["csv"].read_text())))
    assert {r["repository"] for r in rows} <= {"open", "'=idle"}
    assert any(r["rule"] == "workflow-untrusted-code" and r["block"] == "1" for r in rows)


def test_observations_are_added_and_a_broken_line_does_no_harm(
    two: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "seen.jsonl"
    kept.write_bytes(b'{"target": "cut o')
    for lines in (3, 5):
        assert main(["survey", *two, "--observations", str(kept), "--quiet"]) == 0
        assert len(kept.read_text().splitlines()) == lines
        assert "2 of 2 repositories surveyed" in capsys.readouterr().out


def test_what_could_not_be_surveyed_is_an_exit_code(
    two: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["survey", *two, "--timeout", "0.001", "--quiet"]) == 3
    shown = capsys.readouterr().out
    assert "0 of 2 repositories surveyed" in shown
    assert "was stopped" in shown


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["nowhere"], "is no folder"),
        (["--format", "sarif"], "no format is called"),
        (["--format", "json", "--format", "csv"], "two things"),
        (["--format", "json={0}/x.json"], "not written into"),
        (["--observations", "{0}/x.jsonl"], "not written into"),
    ],
)
def test_what_cannot_be_asked(
    two: list[str], more: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["survey", *two, *(m.format(two[0]) for m in more)]) == 2
    assert told in capsys.readouterr().err
