"""`weighbridge audit` and `weighbridge.audit`, on small folders."""

from __future__ import annotations

import argparse
import json
import os
import pickle
import struct
from pathlib import Path
from typing import Any

import pytest

import weighbridge
from weighbridge.apps.cli import audit
from weighbridge.apps.cli.audit import write
from weighbridge.apps.cli.main import main
from weighbridge.policy.policy import Policy, Rules


class Payload:
    def __reduce__(self) -> Any:
        return os.system, ("echo harmless",)


def safetensors() -> bytes:
    head = b'{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'
    return struct.pack("<Q", len(head)) + head + bytes(8)


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with the models `clean` and `hostile` in it."""
    monkeypatch.chdir(tmp_path)
    for name, file, content in (
        ("clean", "model.safetensors", safetensors()),
        ("hostile", "model.bin", pickle.dumps(Payload())),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / file).write_bytes(content)
    return tmp_path


def audited(*arguments: str) -> int:
    return main(["audit", "--jobs", "1", *arguments])


@pytest.mark.parametrize(
    ("target", "verdict", "code"), [("clean", "review", 0), ("hostile", "block", 1)]
)
def test_the_verdict_is_on_the_screen_and_in_the_exit_code(
    models: Path, capsys: pytest.CaptureFixture[str], target: str, verdict: str, code: int
) -> None:
    assert audited(target) == code
    shown = capsys.readouterr()
    assert verdict.upper() in shown.out
    assert shown.err == ""


def test_a_single_file_is_a_target(models: Path) -> None:
    assert audited("hostile/model.bin", "--quiet") == 1


def test_several_formats_at_once(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = audited("hostile", "--format", "html=out/report.html", "--format", "json")
    assert code == 1
    report = json.loads(capsys.readouterr().out)
    assert report["verdict"] == "block"
    assert len(report["controls"]) == 14
    assert report["tool"]["version"] == weighbridge.__version__
    assert {check["id"] for check in report["checks"]} >= {"loading-runs-code"}
    assert all(check["limits"] for check in report["checks"])
    assert b"<html" in (models / "out/report.html").read_bytes()


def test_only_files_are_asked_for_so_nothing_is_on_the_screen(
    models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert audited("clean", "--format", "json=r.json") == 0
    assert capsys.readouterr().out == ""


def test_width_is_that_of_the_terminal_report(
    models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    audited("hostile", "--width", "60")
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 60


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nothing"], "nothing: "),
        (["clean", "--format", "pdf"], "no format is called 'pdf'; there are html, json"),
        (["clean", "--format", "json", "--format", "html"], "cannot both go to the standard"),
        (["clean", "--format", "json=a", "--format", "html=./a"], "cannot both go to one file"),
        (["clean", "--format", "json=clean/r.json"], "not written into what is audited"),
        (["clean", "--format", "json=out/../clean/r.json"], "not written into what is audited"),
        (["clean", "--format", "json=link/r.json"], "not written into what is audited"),
        (["clean/model.safetensors", "--format", "json=clean/model.safetensors"], "not written"),
        (["clean", "--format", "json=hostile"], "hostile: is no regular file"),
        (["clean", "--format", f"json={os.devnull}"], "is no regular file"),
        (["clean", "--policy", "none.toml"], "none.toml: No such file"),
        (["clean", "--policy", "bad.toml"], "bad.toml: .*`polcy`"),
    ],
)
def test_what_cannot_be_done_is_told_in_one_line(
    models: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], told: str
) -> None:
    import re

    (models / "link").symlink_to("clean", target_is_directory=True)
    (models / "bad.toml").write_text("[polcy]\n")
    assert audited(*arguments) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert re.match(f"weighbridge: .*{told}", shown.err), shown.err
    assert shown.err.count("\n") == 1
    assert not list(models.glob("**/*.json"))


@pytest.mark.parametrize(
    "arguments",
    [
        ["--jobs", "0"],
        ["--timeout", "nan"],
        ["--memory", "x"],
        ["--format", "json="],
        ["--form", "json"],
    ],
)
def test_bad_options_are_usage_errors(models: Path, arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as exit:
        main(["audit", "clean", *arguments])
    assert exit.value.code == 2


WAIVED = """
[[waiver]]
check = "pickle-acting-call"
reason = "a test"
owner = "us"
expires = {expires}
"""


def test_the_policy_of_the_working_folder_is_used(
    models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (models / "weighbridge.toml").write_text(WAIVED.format(expires="2999-01-01"))
    assert audited("hostile", "--format", "json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["policy"] == "weighbridge.toml"
    assert report["waivers"][0]["covers"] >= 1
    (models / "weighbridge.toml").write_text(WAIVED.format(expires="2001-01-01"))
    assert audited("hostile", "--format", "json") == 1
    assert json.loads(capsys.readouterr().out)["waivers"][0]["expired"]


def test_the_target_cannot_pardon_itself(
    models: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    policy = models / "hostile/weighbridge.toml"
    policy.write_text(WAIVED.format(expires="2999-01-01"))
    monkeypatch.chdir(models / "hostile")
    for target in (".", "model.bin"):
        assert audited(target) == 1
        assert "not used as a policy" in capsys.readouterr().err
    assert audited(".", "--quiet", "--format", "json") == 1
    shown = capsys.readouterr()
    assert shown.err == ""
    told = json.loads(shown.out)["policy"]
    assert told.startswith("none: weighbridge.toml belongs to what is audited")


def test_whoever_runs_the_audit_may_name_a_policy_anywhere(models: Path) -> None:
    policy = models / "hostile/weighbridge.toml"
    policy.write_text(WAIVED.format(expires="2999-01-01"))
    assert audited("hostile", "--policy", str(policy)) == 0


def test_the_options_begin_with_the_settings_of_the_engine() -> None:
    parser = argparse.ArgumentParser()
    audit.add(parser.add_subparsers())
    arguments, settings = parser.parse_args(["audit", "x"]), weighbridge.Settings()
    assert arguments.timeout == settings.timeout
    assert arguments.memory << 20 == settings.memory
    assert (arguments.digest, arguments.jobs) == (settings.digest, settings.jobs)


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0.5, ""), (2.0, "\r2 of 3,000 files\x1b[K\r\x1b[K")]
)
def test_progress_is_for_long_work_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], seconds: float, shown: str
) -> None:
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    progress = audit._Progress()
    progress(1, 3000)
    now += seconds
    progress(2, 3000)
    progress(3, 3000)
    progress.clear()
    assert capsys.readouterr().err == shown


def test_without_digests_integrity_stays_open(
    models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    audited("clean", "--no-digest", "--format", "json")
    report = json.loads(capsys.readouterr().out)
    assert all(file["sha256"] is None for file in report["files"])
    assert report["controls"][1]["verdict"] == "unknown"


def test_an_old_report_stays_until_the_new_one_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "r.json"
    write(file, b"old")
    assert file.stat().st_mode & 0o777 == 0o666 & ~_mask()

    def full(source: str, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space"):
        write(file, b"new")
    assert [entry.name for entry in tmp_path.iterdir()] == ["r.json"]
    assert file.read_bytes() == b"old"


def _mask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_the_python_interface(models: Path) -> None:
    (models / "weighbridge.toml").write_text("[polcy]")  # not looked at: nobody named it
    report = weighbridge.audit("clean")
    assert report.verdict == "review"  # of its weights nothing can be said
    assert report.policy is None
    assert [control.id for control in report.controls][:2] == ["publisher", "integrity"]
    demanding = Policy(rules=Rules(demand=("integrity",)))
    assert weighbridge.audit(models / "clean", policy=demanding).verdict == "incomplete"
    steps: list[tuple[int, int]] = []
    weighbridge.audit("hostile", progress=lambda done, total: steps.append((done, total)))
    assert steps == [(1, 1)]
    with pytest.raises(weighbridge.PolicyError):
        weighbridge.audit("clean", policy="weighbridge.toml")
    with pytest.raises(weighbridge.TargetError):
        weighbridge.audit("nothing")
    with pytest.raises(AttributeError):
        weighbridge.weigh  # noqa: B018
    assert "audit" in dir(weighbridge)
