"""The engine: a child that dies costs one file; the jail holds; the results are the same."""

from __future__ import annotations

import hashlib
import io
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from pickles import RUNS
from weighbridge.core.finding import Action, Finding, GapKind
from weighbridge.core.format import Limits
from weighbridge.core.location import Location
from weighbridge.core.report import Examined, FileRecord
from weighbridge.core.tree import Blob, Held
from weighbridge.engine import examine as examine_module
from weighbridge.engine.audit import TargetError, run
from weighbridge.engine.examine import FINDINGS_KEPT, Kept
from weighbridge.engine.jail import confine
from weighbridge.engine.ruleset import load
from weighbridge.engine.supervisor import Settings, Supervisor
from weighbridge.policy.controls import CONTROLS
from weighbridge.sources.target import Access


def fake(blob: Blob) -> Examined:
    """Does to its process what the file's name says."""
    if blob.path == "segfault":
        signal.signal(signal.SIGSEGV, signal.SIG_DFL)
        os.abort()
    if blob.path == "exits":
        os._exit(3)
    if blob.path == "hangs":
        time.sleep(60)
    return Examined(record=FileRecord(path=blob.path, size=blob.size, sha256=None))


@pytest.mark.parametrize("jobs", [1, 3])
def test_a_lost_child_costs_one_file(jobs: int, tmp_path: Path) -> None:
    names = ["a", "segfault", "b", "exits", "c", "hangs", "d"]
    blobs = [Held(n, n.encode()) for n in names]
    with Supervisor(blobs, [tmp_path], fake, Settings(jobs=jobs, timeout=1.0)) as supervisor:
        results = dict(supervisor.run())
    kinds = {n: [g.kind for g in results[i].gaps] for i, n in enumerate(names)}
    assert kinds == {
        "a": [], "b": [], "c": [], "d": [], "segfault": [GapKind.CRASHED],
        "exits": [GapKind.CRASHED], "hangs": [GapKind.TIMEOUT],
    }  # fmt: skip
    for i, n in enumerate(names):
        assert results[i].record.sha256 == hashlib.sha256(n.encode()).hexdigest()
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_a_lost_question_costs_its_own_answer(tmp_path: Path) -> None:
    def ends(blobs: Sequence[Blob]) -> bytes:
        os._exit(3)

    def connects(blobs: Sequence[Blob]) -> bytes:
        try:
            socket.socket()
        except OSError:
            return b"no network"
        return b"network"

    questions = [lambda blobs: blobs[0].read(0, 3), ends, connects, ends]
    with Supervisor([Held("a", b"abc")], [tmp_path], fake, Settings()) as supervisor:
        answers = dict(supervisor.ask(questions))
    assert [a if isinstance(a, bytes) else a.kind for a in answers.values()] == [
        b"abc", GapKind.CRASHED, b"no network" if sys.platform == "linux" else b"network",
        GapKind.CRASHED,
    ]  # fmt: skip
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


@pytest.mark.parametrize(
    "content",
    [b'{"a": "{{ b : c }}"}', b"{% if x %}{{ y }", b"a: '{{ 1 | }}'\n", b'{"a": "{% q %}"}'],
)
def test_an_error_in_a_template_is_no_file_that_cannot_be_opened(
    content: bytes, tmp_path: Path
) -> None:
    """Jinja imports a module of its own when a template is wrong; the jail cannot open it."""
    for name in ("chat_template.jinja", "tokenizer_config.json", "x.yaml", "x.jinja"):
        (tmp_path / name).write_bytes(content)
    gaps = run(tmp_path, Settings(jobs=1)).gaps
    assert [g for g in gaps if g.kind in (GapKind.UNREADABLE, GapKind.CRASHED)] == []


def attempt(action: Callable[[], object]) -> bool:
    try:
        action()
    except OSError:
        return False
    return True


@pytest.mark.skipif(sys.platform != "linux", reason="the full jail is Linux's")
def test_the_jail_holds(tmp_path: Path) -> None:
    (tmp_path / "inside").write_text("x")
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        held = confine([tmp_path], 2 << 30, 60)
        ran: list[int] = []
        thread = threading.Thread(target=lambda: ran.append(1))
        thread.start()
        thread.join()
        could = {
            "inside": attempt(lambda: (tmp_path / "inside").read_text()),
            "thread": bool(ran),
            "outside": attempt(lambda: Path("/etc/hostname").read_bytes()),
            "write": attempt(lambda: (tmp_path / "new").write_text("y")),
            "socket": attempt(socket.socket),
            "exec": attempt(lambda: os.execv("/bin/true", ["true"])),
            "fork": attempt(os.fork),
        }
        os.write(writer, repr((could, held)).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        answer = pipe.read()
    os.waitpid(child, 0)
    could, held = eval(answer)
    if any("seccomp" in h for h in held):
        assert not could["socket"]
        assert not could["exec"]
        assert not could["fork"]
    if any("landlock" in h for h in held):
        assert not could["outside"]
    assert not could["write"]
    assert could["inside"]
    assert could["thread"]


def folder(tmp_path: Path) -> Path:
    target = tmp_path / "model"
    target.mkdir()
    (target / "a.bin").write_bytes(RUNS)
    (target / "b.txt").write_text("words")
    (target / "c.dat").write_bytes(bytes(range(256)) * 9)
    (target / "link").symlink_to("/etc/hostname")
    (target / "inner").symlink_to("b.txt")
    (target / "kept").mkdir()
    (target / "kept" / "d.txt").write_text("more words")
    (target / "again").symlink_to("kept")
    (target / "store").symlink_to(".git")
    os.mkfifo(target / "pipe")
    (target / ".git").mkdir()
    (target / ".git" / "x").write_text("y")
    return target


def test_an_audit_from_end_to_end(tmp_path: Path) -> None:
    target = folder(tmp_path)
    one, two = (run(target, Settings(jobs=n)) for n in (1, 2))
    assert (one.findings, one.gaps, one.files) == (two.findings, two.gaps, two.files)
    assert [f.path for f in one.files] == ["a.bin", "b.txt", "c.dat", "inner", "kept/d.txt"]
    assert one.files[0].sha256 == hashlib.sha256(RUNS).hexdigest()
    (block,) = [f for f in one.findings if f.action == "block"]
    assert (block.check, block.symbol, len(block.fingerprint)) == (
        "pickle-acting-call", "os.system", 32,
    )  # fmt: skip
    where = {g.at.path: g.kind.value for g in one.gaps}
    assert where == {".": "not-given", "c.dat": "unsupported", "link": "unreadable",
                     "pipe": "unreadable", "store": "unreadable"}  # fmt: skip
    assert all(g.controls for g in one.gaps)
    assert {e.path: e.why for e in one.coverage.left_out} == {
        ".git": "the version control's own store, but for its settings and hooks",
        "again": "a symbolic link to kept, where its files were read",
    }
    assert one.ran["pickle-acting-call"] == 1


def test_a_fingerprint_stays_when_the_place_moves(tmp_path: Path) -> None:
    found = []
    for data in (RUNS, b"\x80\x04N0" + RUNS[2:]):
        (tmp_path / "m.bin").write_bytes(data)
        found.append([f.fingerprint for f in run(tmp_path).findings if f.action == "block"])
    assert found[0] == found[1]


def test_without_digest(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    audited = run(tmp_path, Settings(digest=False))
    assert audited.files[0].sha256 is None
    assert ("not-given", ("integrity",)) in [(g.kind.value, g.controls) for g in audited.gaps]


@pytest.mark.parametrize("path", ["nothing-here", "/dev/null"])
def test_what_cannot_be_audited(path: str) -> None:
    with pytest.raises(TargetError):
        run(Path(path))


def test_the_hub_cache_may_link_to_its_blobs(tmp_path: Path) -> None:
    repository = tmp_path / "models--org--name"
    snapshot = repository / "snapshots" / "0123"
    snapshot.mkdir(parents=True)
    (repository / "blobs").mkdir()
    (repository / "blobs" / "feed").write_bytes(RUNS)
    (snapshot / "model.bin").symlink_to("../../blobs/feed")
    (snapshot / "leaves").symlink_to(tmp_path)
    audited = run(snapshot)
    assert [f.path for f in audited.files] == ["model.bin"]
    assert [g.at.path for g in audited.gaps if g.kind == "unreadable"] == ["leaves"]


def test_every_check_is_documented() -> None:
    controls = {c.id for c in CONTROLS}
    for check in load().checks:
        assert check.control in controls
        assert check.title
        for heading in ("Why it matters", "What to do", "Limits", "References"):
            assert check.section(heading), f"{check.id} lacks {heading}"


def test_nothing_of_the_target_runs(tmp_path: Path) -> None:
    """The payload would make a file; the command line reads it and the file is not there."""
    made = tmp_path / "made"
    payload = b"cos\nsystem\n(S'touch " + str(made).encode() + b"'\ntR."
    (tmp_path / "m.pkl").write_bytes(payload)
    command = [sys.executable, "-m", "weighbridge.apps.cli.main", "audit", str(tmp_path / "m.pkl")]
    done = subprocess.run([*command, "--format", "json"], capture_output=True, check=False)
    assert done.returncode == 1, done.stderr
    assert not made.exists()


def test_the_report_says_how_old_its_knowledge_is(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(RUNS)
    known = run(tmp_path).intel
    assert known
    assert all(len(k.date.split("-")) == 3 and k.name for k in known)


def test_parts_are_audited_under_their_names(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "a.txt").write_text("text")
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "evil.pkl").write_bytes(RUNS)
    audited = run(tmp_path / "model", access=Access(parts=(("source", str(tmp_path / "code")),)))
    assert [f.path for f in audited.files] == ["a.txt", "source:evil.pkl"]
    assert {f.at.path for f in audited.findings if f.action.value == "block"} == {"source:evil.pkl"}
    assert audited.target.parts == {"source": str(tmp_path / "code")}
    with pytest.raises(TargetError, match="--source"):
        run(tmp_path / "model", access=Access(parts=(("source", str(tmp_path / "none")),)))


def test_the_rest_of_many_findings_is_as_bad_as_the_worst_of_them() -> None:
    at = Location("x")
    kept = Kept()
    for i in range(FINDINGS_KEPT + 5):
        action = Action.BLOCK if i == FINDINGS_KEPT + 2 else Action.NOTE
        kept.add(Finding(message=str(i), at=at, action=action, check="c", symbol=str(i)))
    *first, rest = kept.all()
    assert [f.message for f in first] == [str(i) for i in range(FINDINGS_KEPT)]
    assert (rest.action, rest.symbol, rest.message[:15]) == ("block", "more", "5 more findings")


def test_what_is_in_a_large_archive_is_summed_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examine_module, "COVERAGE_KEPT", 3)
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for i in range(6):
            archive.writestr(f"{i}.txt", "words")
    examined = examine_module.examine(Held("a.zip", made.getvalue()), load(), Limits())
    *_, rest = examined.coverage
    assert (rest.at.inside, rest.parser, rest.size) == (("4 more",), "text/1", 20)
    assert (examined.ran["secret"], len(examined.coverage)) == (6, 4)
