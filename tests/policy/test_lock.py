"""The lock: what it holds, that it stays the same, and what it blocks; verify and diff."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

import weighbridge
from hub_server import Hub, Repository, serve
from weighbridge import Access, Lock, Report
from weighbridge.apps.cli.main import main
from weighbridge.core.change import Outcome
from weighbridge.core.control import ControlVerdict, Verdict
from weighbridge.policy import lock as locks
from weighbridge.policy.policy import PolicyError
from weighbridge.reports.json import schema
from weighbridge.sources import http

FILES = {"config.json": b'{"hidden_size": 2}', "sub/notes.txt": b"plain words\n"}
KEY, CREATED = "6" * 24, "2024-01-01T00:00:00.000Z"
OWNERS = {"org": {"name": "org", "isVerified": True}}
HEADER = b'{"w": {"dtype": "U8", "shape": [2097152], "data_offsets": [0, 2097152]}}'
LARGE = len(HEADER).to_bytes(8, "little") + HEADER + bytes(2 << 20)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "PATIENCE", 5.0)
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    monkeypatch.delenv("HF_TOKEN", raising=False)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    for path, data in FILES.items():
        (tmp_path / "model" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "model" / path).write_bytes(data)
    return tmp_path / "model"


def repository(**more: Any) -> Repository:
    facts = {"_id": KEY, "createdAt": CREATED}
    return Repository({**FILES, "model.safetensors": LARGE}, **{"facts": facts, **more})


def control(report: Report, id: str) -> ControlVerdict:
    return next(c.verdict for c in report.controls if c.id == id)


# -- the lock itself ------------------------------------------------------------------------------


def test_locking_the_same_thing_twice_changes_nothing(model: Path) -> None:
    first, second = (locks.encode(weighbridge.lock(weighbridge.audit(model))) for _ in range(2))
    assert first == second
    assert [line.strip(b" ,")[:10] for line in first.splitlines() if b'"path"' in line] == [
        b'{"path": "',
        b'{"path": "',
    ]
    jsonschema.validate(json.loads(first), schema("lock"))
    assert locks.encode(locks.decode(first)) == first


NO_LOCKS = {
    "no JSON": b"{",
    "a list": b"[]",
    "another schema": b'{"schema": "weighbridge/lock/9"}',
    "nothing in it": b"{}",
}


@pytest.mark.parametrize("case", [*NO_LOCKS, "twice", "deep"])
def test_what_is_no_lock(case: str, model: Path, tmp_path: Path) -> None:
    made = locks.encode(weighbridge.lock(weighbridge.audit(model)))
    data = NO_LOCKS.get(case, b"[" * 100_000)
    if case == "twice":
        data = made.replace(b"sub/notes.txt", b"config.json")
    (tmp_path / "weighbridge.lock").write_bytes(data)
    with pytest.raises(PolicyError):
        weighbridge.read_lock(tmp_path / "weighbridge.lock")


def test_file_names_of_any_bytes(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "odd\n\u202e.txt").write_text("words\n")
    made = weighbridge.lock(weighbridge.audit(tmp_path / "model"))
    undecodable = msgspec.structs.replace(made.files[0], path="odd\udcff.txt")
    odd = msgspec.structs.replace(made, files=(undecodable,))
    assert locks.decode(locks.encode(odd)) == odd
    assert locks.encode(made).isascii()
    assert locks.decode(locks.encode(made)) == made
    assert weighbridge.verify(made).outcome is Outcome.SAME


# -- an audit that is held to a lock --------------------------------------------------------------


def test_a_folder_that_is_as_it_was_locked_passes(model: Path) -> None:
    lock = weighbridge.lock(weighbridge.audit(model))
    assert control(weighbridge.audit(model), "integrity") is ControlVerdict.UNKNOWN
    assert control(weighbridge.audit(model, lock=lock), "integrity") is ControlVerdict.PASS


Edit = Callable[[Path], object]
EDITS: dict[str, tuple[Edit, str, str]] = {
    "changed": (lambda m: (m / "config.json").write_bytes(b"{}"), "config.json", "changed"),
    "missing": (lambda m: (m / "sub" / "notes.txt").unlink(), "sub/notes.txt", "missing"),
    "extra": (lambda m: (m / "more.txt").write_bytes(b"more"), "more.txt", "extra"),
}


@pytest.mark.parametrize("case", EDITS)
def test_what_differs_from_the_lock_blocks_and_is_named(case: str, model: Path) -> None:
    edit, path, what = EDITS[case]
    lock = weighbridge.lock(weighbridge.audit(model))
    edit(model)
    report = weighbridge.audit(model, lock=lock)
    assert report.verdict is Verdict.BLOCK
    shown = msgspec.json.encode(next(c for c in report.controls if c.id == "integrity").findings)
    assert path.encode() in shown
    verification = weighbridge.verify(lock)
    assert (verification.outcome, verification.exit_code) == (Outcome.DIFFERS, 1)
    assert [(f.path, f.what) for f in verification.files] == [(path, what)]
    difference = weighbridge.diff(lock, weighbridge.audit(model))
    assert [(f.path, f.what) for f in difference.files] == [(path, what)]


def test_a_lock_of_another_target_that_only_lies_there_is_not_used(
    model: Path, tmp_path: Path
) -> None:
    lock = weighbridge.lock(weighbridge.audit(model))
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "a.txt").write_text("words\n")
    found = weighbridge.audit(tmp_path / "other", lock=lock, lock_named=False)
    assert control(found, "integrity") is ControlVerdict.UNKNOWN
    assert weighbridge.audit(tmp_path / "other", lock=lock).verdict is Verdict.BLOCK


def test_a_lock_in_the_target_is_not_used(model: Path) -> None:
    lock = locks.encode(weighbridge.lock(weighbridge.audit(model)))
    (model / locks.OWN_FILE).write_bytes(lock)
    assert locks.locate(model, model) is None
    (model.parent / locks.OWN_FILE).write_bytes(lock)
    assert locks.locate(model.parent, model) == model.parent / locks.OWN_FILE


# -- repositories ---------------------------------------------------------------------------------


def locked(hub: Hub, endpoint: str) -> tuple[Lock, Access]:
    access = Access(endpoint=endpoint)
    return weighbridge.lock(weighbridge.audit("org/name", access=access)), access


def test_a_repository_that_is_as_it_was_locked() -> None:
    hub = Hub({"org/name": repository()}, owners=OWNERS)
    with serve(hub) as endpoint:
        lock, access = locked(hub, endpoint)
        report = weighbridge.audit("org/name", access=access, lock=lock)
        before = hub.sent
        verification = weighbridge.verify(lock, access=access)
    assert (lock.key, lock.created, lock.commit) == (KEY, CREATED, "a" * 40)
    large = next(f for f in lock.files if f.path == "model.safetensors")
    assert large.sha256 is None
    assert large.declared is not None
    assert control(report, "publisher") is not ControlVerdict.FAIL
    # A digest that only the Hub names is no proof of independent origin.
    assert control(report, "integrity") is ControlVerdict.WARN
    assert verification.outcome is Outcome.SAME
    assert (verification.declared, verification.computed) == (3, 0)
    assert "as far as the source says" in verification.sentence
    assert hub.sent - before < 10_000  # nothing was downloaded


def test_what_was_downloaded_is_what_the_hub_declared(tmp_path: Path) -> None:
    hub = Hub({"org/name": repository()}, owners=OWNERS)
    with serve(hub) as endpoint:
        lock, _ = locked(hub, endpoint)
    for path, data in {**FILES, "model.safetensors": LARGE}.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(data)
    verification = weighbridge.verify(lock, tmp_path)
    assert (verification.outcome, verification.computed) == (Outcome.SAME, 3)
    assert control(weighbridge.audit(tmp_path, lock=lock), "integrity") is ControlVerdict.PASS
    (tmp_path / "model.safetensors").write_bytes(LARGE[:-1] + b"!")
    assert weighbridge.verify(lock, tmp_path).outcome is Outcome.DIFFERS


UPSTREAM: dict[str, tuple[dict[str, Any], str, str]] = {
    "registered again": ({"facts": {"_id": "7" * 24, "createdAt": CREATED}}, "publisher", "block"),
    "created anew": ({"facts": {"_id": KEY, "createdAt": "2026-01-01"}}, "publisher", "block"),
    "a small file changed": (
        {"files": {**FILES, "model.safetensors": LARGE, "config.json": b"{}"}, "commit": "b" * 40},
        "integrity", "block",
    ),
    "a large file changed": (
        {"files": {**FILES, "model.safetensors": LARGE[:-1] + b"!"}, "commit": "b" * 40},
        "integrity", "block",
    ),
    "another commit": ({"commit": "b" * 40}, "integrity", "note"),
}  # fmt: skip


@pytest.mark.parametrize("case", UPSTREAM)
def test_what_changed_upstream(case: str) -> None:
    changes, id, action = UPSTREAM[case]
    hub = Hub({"org/name": repository()}, owners=OWNERS)
    with serve(hub) as endpoint:
        lock, access = locked(hub, endpoint)
        new = repository()
        for name, value in changes.items():
            setattr(new, name, value)
        hub.repositories["org/name"] = new
        report = weighbridge.audit("org/name", access=access, lock=lock)
        verification = weighbridge.verify(lock, access=access)
    found = [f.action.value for c in report.controls if c.id == id for f in c.findings
             if f.check.startswith("locked")]  # fmt: skip
    assert action in found
    assert (verification.outcome is Outcome.SAME) == (case == "another commit")
    difference = weighbridge.diff(lock, report)
    assert not difference.same
    assert difference.identity or difference.files


def test_diff_of_two_revisions_says_what_it_means(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    hub = Hub({"org/name": repository()}, owners=OWNERS)
    with serve(hub) as endpoint:
        old = weighbridge.audit("org/name", access=Access(endpoint=endpoint))
        code = b"import os\nos.system('true')\n"
        files = {"config.json": FILES["config.json"], "words.txt": FILES["sub/notes.txt"],
                 "modeling.py": code, "model.safetensors": LARGE}  # fmt: skip
        facts = {"_id": KEY, "createdAt": CREATED}
        hub.repositories["org/name"] = Repository(dict(files), facts=facts, commit="b" * 40)
        Path("old.json").write_bytes(msgspec.json.encode(old))
        assert main(["diff", "old.json", "org/name", "--endpoint", endpoint]) == 1
        shown = capsys.readouterr().out
        assert "+ modeling.py: extra" in shown
        assert "> sub/notes.txt → words.txt" in shown
        assert "commit" in shown
        assert "read it before anybody loads it" in shown
        assert main(["diff", "--format=json", "old.json", "org/name", "--endpoint", endpoint]) == 1
        said = json.loads(capsys.readouterr().out)
        jsonschema.validate(said, schema("difference"))
        assert any(f["means"] == "new" and "modeling.py" in f["after"] for f in said["findings"])
        assert main(["diff", "old.json", "old.json"]) == 0
        assert "No difference" in capsys.readouterr().out


# -- commands -------------------------------------------------------------------------------------


def test_lock_then_verify(
    model: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(model.parent)
    assert main(["lock", "model"]) == 0
    assert main(["lock", "model"]) == 0
    assert "Unchanged" in capsys.readouterr().out
    assert main(["verify"]) == 0
    assert "Same: all 2 files" in capsys.readouterr().out
    assert main(["audit", "model", "--format", "json", "--quiet"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert next(c["verdict"] for c in said["controls"] if c["id"] == "integrity") == "pass"
    (model / "config.json").write_bytes(b"{}")
    (model / "evil\x1b[2J.txt").write_text("words\n")
    assert main(["verify"]) == 1
    shown = capsys.readouterr().out
    assert "~ config.json: changed" in shown
    assert "\x1b" not in shown
    assert main(["verify", "--format", "json"]) == 1
    jsonschema.validate(json.loads(capsys.readouterr().out), schema("verification"))
    assert main(["audit", "model", "--quiet"]) == 1
    capsys.readouterr()
    assert main(["verify", "nowhere"]) == 2
    assert main(["verify", "--lock", "nowhere.lock"]) == 2


def test_what_cannot_be_read_is_incomplete(model: Path) -> None:
    lock = weighbridge.lock(weighbridge.audit(model))
    (model / "link").symlink_to("/")
    verification = weighbridge.verify(lock)
    assert (verification.outcome, verification.exit_code) == (Outcome.INCOMPLETE, 3)
    assert [f.path for f in verification.files] == ["link"]


def test_what_is_blocked_is_not_locked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "bad.pkl").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    assert main(["lock", "model"]) == 1
    assert "Not locked" in capsys.readouterr().out
    assert not (tmp_path / locks.OWN_FILE).exists()
    with pytest.raises(SystemExit):
        main(["lock"])
    assert main(["lock", "model", "-o", "model/weighbridge.lock"]) == 2


def test_another_repository_is_not_locked_over_the_old_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    hub = Hub({"org/name": repository()}, owners=OWNERS)
    with serve(hub) as endpoint:
        assert main(["lock", "org/name", "--endpoint", endpoint]) == 0
        before = Path(locks.OWN_FILE).read_bytes()
        hub.repositories["org/name"].facts["_id"] = "7" * 24
        assert main(["lock", "org/name", "--endpoint", endpoint]) == 1
    assert "holds another repository" in capsys.readouterr().out
    assert Path(locks.OWN_FILE).read_bytes() == before


def test_what_belongs_to_the_target_is_not_locked_with_it(model: Path, tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "notes.txt").write_text("words\n")
    access = Access(parts=(("source", str(tmp_path / "source")),))
    lock = weighbridge.lock(weighbridge.audit(model, access=access))
    assert [f.path for f in lock.files] == list(FILES)
    report = weighbridge.audit(model, access=access, lock=lock)
    assert control(report, "integrity") is ControlVerdict.PASS
    # A file of the target cannot pretend to belong to the other part.
    (model / "source:evil.txt").write_text("words\n")
    report = weighbridge.audit(model, access=access, lock=lock)
    assert control(report, "integrity") is ControlVerdict.FAIL
    assert report.verdict is Verdict.BLOCK
