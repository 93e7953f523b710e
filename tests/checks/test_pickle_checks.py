"""What the pickle checks say of pickles made by code: attacks, look-alikes, edges."""

from __future__ import annotations

import io
import pickle

import pytest

from pickles import BLOCKED, QUIET, REVIEWED, RUNS
from programs import elf
from weighbridge.core.finding import Action
from weighbridge.core.format import Limits
from weighbridge.core.report import Examined
from weighbridge.core.tree import Held
from weighbridge.engine.examine import examine
from weighbridge.engine.ruleset import load


def look(data: bytes, path: str = "weights.bin") -> Examined:
    return examine(Held(path, data), load(), Limits())


def accused(examined: Examined, action: Action) -> list[str]:
    return [f"{f.symbol}: {f.message}" for f in examined.findings if f.action is action]


@pytest.mark.parametrize("case", BLOCKED)
def test_what_acts_is_blocked(case: str) -> None:
    data, symbol = BLOCKED[case]
    assert any(symbol in said for said in accused(look(data), Action.BLOCK))


@pytest.mark.parametrize("case", REVIEWED)
def test_what_nobody_knows_is_reviewed(case: str) -> None:
    data, symbol = REVIEWED[case]
    examined = look(data)
    assert accused(examined, Action.BLOCK) == []
    assert any(symbol in said for said in accused(examined, Action.REVIEW))


@pytest.mark.parametrize("case", QUIET)
def test_data_is_quiet(case: str) -> None:
    examined = look(QUIET[case])
    assert [f.message for f in examined.findings if f.action is not Action.NOTE] == []
    assert examined.gaps == ()
    assert "pickle" in examined.record.formats


def test_a_break_is_a_gap_beside_the_finding() -> None:
    examined = look(BLOCKED["breaks after the payload"][0])
    assert [g.kind for g in examined.gaps] == ["malformed"]
    assert examined.gaps[0].at.offset == len(RUNS) - 1


def test_the_call_tree_shows_what_feeds_the_call() -> None:
    examined = look(BLOCKED["getattr"][0])
    tree = next(f.evidence[0] for f in examined.findings if f.symbol == "os.system")
    assert tree.root.name == "builtins.getattr(…)"  # type: ignore[union-attr]
    assert [c.name for c in tree.root.calls] == ["builtins.getattr"]  # type: ignore[union-attr]
    assert [c.name for c in tree.root.calls[0].calls] == ["importlib.import_module"]  # type: ignore[union-attr]


@pytest.mark.parametrize("case", BLOCKED)
def test_truncation_keeps_what_ran(case: str) -> None:
    """Cut anywhere: no crash, and never silence about bytes that are not a whole pickle."""
    data, _ = BLOCKED[case]
    step = max(1, len(data) // 50)
    for cut in range(1, len(data), step):
        examined = look(data[:cut])
        assert not [g for g in examined.gaps if g.kind == "crashed"], examined.gaps
        silent = not examined.findings and not examined.gaps
        assert not silent or _is_whole_and_plain(data[:cut]) or "text" in examined.record.formats


def _is_whole_and_plain(data: bytes) -> bool:
    """Pickles of plain data, one behind the other, and at most one byte more."""
    left = io.BytesIO(data)
    while len(data) - left.tell() > 1:
        try:
            _Plain(left).load()
        except Exception:
            return False
    return True


class _Plain(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> object:
        raise pickle.UnpicklingError(name)


def test_a_program_inside_a_string_is_shown() -> None:
    examined = look(pickle.dumps({"data": elf()}))
    assert [f.check for f in examined.findings] == ["native-program"]
    assert [g.kind for g in examined.gaps] == ["unsupported"]
