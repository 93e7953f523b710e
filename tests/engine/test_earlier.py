"""Only changed files are examined again, and what comes out is the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from hub_server import Hub, Repository, serve
from weighbridge.engine.audit import Audited, run
from weighbridge.engine.supervisor import Settings
from weighbridge.sources.target import Access

HEADER = b'{"w": {"dtype": "U8", "shape": [2097152], "data_offsets": [0, 2097152]}}'
WEIGHTS = len(HEADER).to_bytes(8, "little") + HEADER + bytes(2 << 20)
PICKLE = b"cos\nsystem\n(S'true'\ntR." + bytes(2 << 20)


def model(folder: Path) -> Path:
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(WEIGHTS)
    (folder / "model.pkl").write_bytes(PICKLE)
    (folder / "config.json").write_bytes(b"{}")
    return folder


def look(target: Path, store: Path | None) -> Audited:
    return run(target, Settings(reuse=store))


def said(audited: Audited) -> dict[str, object]:
    """All of it, but for how it was come by."""
    coverage = msgspec.structs.replace(audited.coverage, reused=0, jail=())
    return {**msgspec.structs.asdict(audited), "coverage": coverage}


def test_what_has_not_changed_is_not_examined_again(tmp_path: Path) -> None:
    target, store = model(tmp_path / "model"), tmp_path / "store"
    fresh, first, second = look(target, None), look(target, store), look(target, store)
    assert (first.coverage.reused, second.coverage.reused) == (0, 2)
    assert said(fresh) == said(first) == said(second)
    assert any(f.symbol.endswith("system") for f in second.findings)


Change = Callable[[Path, Path], object]
CHANGES: dict[str, Change] = {
    "a byte at the end": lambda m, s: (m / "model.pkl").write_bytes(PICKLE[:-1] + b"\1"),
    "another length": lambda m, s: (m / "model.pkl").write_bytes(PICKLE + b"\0"),
    "another name": lambda m, s: (m / "model.pkl").rename(m / "other.pkl"),
    "a broken result": lambda m, s: [p.write_bytes(b"\xff") for p in s.iterdir()],
}


@pytest.mark.parametrize("case", CHANGES)
def test_what_has_changed_is_examined_again(case: str, tmp_path: Path) -> None:
    target, store = model(tmp_path / "model"), tmp_path / "store"
    look(target, store)
    CHANGES[case](target, store)
    again = look(target, store)
    assert again.coverage.reused == (0 if case == "a broken result" else 1)
    assert said(again) == said(look(target, None))


def test_by_other_rules_everything_is_examined_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, store = model(tmp_path / "model"), tmp_path / "store"
    look(target, store)
    assert run(target, Settings(reuse=store, memory=1 << 30)).coverage.reused == 0
    assert run(target, Settings(reuse=store, digest=False)).coverage.reused == 0


def test_of_a_repository_only_what_changed_is_fetched(tmp_path: Path) -> None:
    hub = Hub({"org/name": Repository({"a.safetensors": WEIGHTS, "b.safetensors": WEIGHTS})})
    settings = Settings(reuse=tmp_path)
    with serve(hub) as endpoint:
        access = Access(endpoint=endpoint)
        run("org/name", settings, None, access)
        hub.repositories["org/name"].files["b.safetensors"] = WEIGHTS[:-1] + b"\1"
        hub.seen.clear()
        again = run("org/name", settings, None, access)
    assert again.coverage.reused == 1
    assert not [path for path in hub.seen if "a.safetensors" in path and "resolve" in path]
    assert [path for path in hub.seen if "b.safetensors" in path and "resolve" in path]
    record = next(f for f in again.files if f.path == "a.safetensors")
    assert (record.sha256, record.declared is not None) == (None, True)
