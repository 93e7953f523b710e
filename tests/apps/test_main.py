"""The command line around the audit: documentation, errors, interruption."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import jsonschema
import pytest

from apps.running import ENVIRONMENT, WEIGHBRIDGE
from weighbridge import __version__
from weighbridge.apps.cli import controls
from weighbridge.apps.cli.main import main
from weighbridge.policy.controls import CONTROLS


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit:
        main(["--version"])
    assert exit.value.code == 0
    assert capsys.readouterr().out == f"weighbridge {__version__}\n"


def test_controls_lists_the_14_and_what_answers_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["controls"]) == 0
    shown = capsys.readouterr().out
    for number, control in enumerate(CONTROLS, 1):
        assert f"{number:4}  {control.id}" in shown
    assert "loading-runs-code" in shown
    assert "no check reads this yet" in shown
    assert max(map(len, shown.splitlines())) <= 80


@pytest.mark.parametrize(
    ("id", "shown"),
    [
        ("loading-runs-code", "a check of the control file-format\n"),
        ("loading-runs-code", "\nWhy it matters\n"),
        ("file-format", "Can loading run code by design?"),
        ("file-format", "  loading-runs-code: "),
        ("file-format", "A gap here makes the audit incomplete."),
        ("isolation", "no check reads this yet"),
    ],
)
def test_explain(capsys: pytest.CaptureFixture[str], id: str, shown: str) -> None:
    assert main(["explain", id]) == 0
    assert shown in capsys.readouterr().out


@pytest.mark.parametrize(
    ("id", "told"),
    [("payload-scam", "did you mean payload-scan?"), ("???", "`weighbridge controls`")],
)
def test_explain_what_there_is_not(capsys: pytest.CaptureFixture[str], id: str, told: str) -> None:
    assert main(["explain", id]) == 2
    assert told in capsys.readouterr().err


def test_the_schema_is_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    jsonschema.Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (KeyboardInterrupt(), 130, "interrupted"),
        (RuntimeError("a\x1b[31m\nb"), 2, "RuntimeError: a\\x1b[31m\\nb"),
        (PermissionError(13, "Permission denied", "f"), 2, "f: Permission denied"),
        (PermissionError(13, "Permission denied", b"\xff"), 2, ": Permission denied"),
        (OSError(28, "No space left on device"), 2, "weighbridge: No space left on device"),
    ],
)
def test_whatever_happens_is_one_line(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    code: int,
    told: str,
) -> None:
    def fail(arguments: object) -> int:
        raise error

    monkeypatch.delenv("WEIGHBRIDGE_DEBUG", raising=False)
    monkeypatch.setattr(controls, "run", fail)
    assert main(["controls"]) == code
    shown = capsys.readouterr().err
    assert told in shown
    assert shown.count("\n") == 1


def test_debug_shows_where(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(arguments: object) -> int:
        raise RuntimeError("here")

    monkeypatch.setenv("WEIGHBRIDGE_DEBUG", "1")
    monkeypatch.setattr(controls, "run", fail)
    with pytest.raises(RuntimeError, match="here"):
        main(["controls"])


def test_a_reader_that_goes_away_is_no_traceback() -> None:
    reads, writes = os.pipe()
    os.close(reads)
    with os.fdopen(writes, "wb") as gone:
        done = subprocess.run(
            [*WEIGHBRIDGE, "schema"],
            stdout=gone,
            stderr=subprocess.PIPE,
            env=ENVIRONMENT,
            check=False,
        )
    assert done.stderr == b""
    assert done.returncode == 2


def test_a_command_is_needed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit:
        main([])
    assert exit.value.code == 2


def test_the_module_runs_from_anywhere(tmp_path: Path) -> None:
    command = [*WEIGHBRIDGE, "explain", "integrity"]
    done = subprocess.run(command, capture_output=True, cwd=tmp_path, env=ENVIRONMENT, check=True)
    assert b"Is every byte the one that was published" in done.stdout
