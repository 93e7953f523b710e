"""YARA rules of the auditor's own: where they come from, what they see, what they cost."""

from __future__ import annotations

import io
import json
import sys
import zipfile
from pathlib import Path

import pytest

import weighbridge
from weighbridge.apps.cli.main import main
from weighbridge.core.evidence import Bytes, Table
from weighbridge.core.finding import Finding, GapKind
from weighbridge.core.format import Limits
from weighbridge.core.location import Location
from weighbridge.core.tree import Held
from weighbridge.engine import rules as engine_rules
from weighbridge.engine.audit import Audited, run
from weighbridge.engine.examine import examine
from weighbridge.engine.rules import Budget, Rules, RulesError, compile_folder
from weighbridge.engine.ruleset import load
from weighbridge.policy.policy import PolicyError, read

EXAMPLE = Path(__file__).parents[2] / "docs" / "rules"
MARKED = "one EXAMPLE-INTERNAL-ONLY two"


def rule(name: str = "mine", meta: str = "", pattern: str = '"needle"') -> str:
    heading = f"meta: {meta} " if meta else ""
    return f"rule {name} {{ {heading}strings: $a = {pattern} condition: $a }}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "rules").mkdir()
    (tmp_path / "model").mkdir()
    return tmp_path / "rules"


def compiled(folder: Path, text: str) -> Rules:
    (folder / "a.yar").write_text(text)
    return compile_folder(folder)


def matched(audited: Audited) -> list[Finding]:
    return [f for f in audited.findings if f.check == "rule-match"]


def test_a_finding_shows_where_its_rule_comes_from(folder: Path) -> None:
    model = folder.parent / "model"
    (model / "a.txt").write_text(MARKED)
    (model / "b.txt").write_text("EXAMPLE-INTERNAL")
    audited = run(model, rules=EXAMPLE)
    (found,) = matched(audited)
    assert (found.action.value, found.at) == ("block", Location("a.txt", offset=4))
    assert found.symbol == "example.yar: example_internal_marker"
    table, shown = found.evidence
    assert isinstance(table, Table)
    assert isinstance(shown, Bytes)
    assert bytes.fromhex(shown.hex) == b"EXAMPLE-INTERNAL-ONLY"
    rows = {row[0]: row[1] for row in table.rows}
    assert rows["author"] == "Your security team"
    assert rows["license"] == "Apache-2.0"
    assert len(rows["sha256 of the file"]) == 64
    seen = {(a.at.path, a.size, a.seen) for a in audited.coverage.artifacts
            if a.parser.startswith("yara-x/")}  # fmt: skip
    assert seen == {("a.txt", 29, 29), ("b.txt", 16, 16)}
    assert any("YARA rules" in i.name for i in audited.intel)
    assert audited.ruleset != load().digest


@pytest.mark.parametrize(
    ("meta", "action"),
    [
        ("", "review"),
        ('author = "x"', "review"),
        ('weighbridge_action = "note"', "note"),
        ('weighbridge_action = "review"', "review"),
        ('weighbridge_action = "block"', "block"),
    ],
)
def test_the_rule_says_what_to_do(folder: Path, meta: str, action: str) -> None:
    own = compiled(folder, rule(meta=meta))
    found = examine(Held("a", b"a needle"), load(), Limits(), own).findings
    assert [f.action.value for f in found] == [action]


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("rule x {", "error"),
        (rule(meta='weighbridge_action = "alarm"'), "it can be note, review, block"),
        ('include "other.yar"\n' + rule(), "include"),
        (rule() + rule(), "mine"),
        ("rule x { condition: nothing_of_that_name }", "nothing_of_that_name"),
    ],
)
def test_wrong_rules_are_said(folder: Path, text: str, part: str) -> None:
    with pytest.raises(RulesError, match=part):
        compiled(folder, text)


def test_what_is_no_folder_of_rules(folder: Path) -> None:
    (folder / "readme.txt").write_text(rule())
    for place in (folder, folder / "gone", folder / "readme.txt"):
        with pytest.raises(RulesError, match=r"holds no rules|no such folder"):
            compile_folder(place)


def test_without_the_wheel_it_is_a_usage_error(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "yara_x", None)
    (folder.parent / "model" / "a").write_text("x")
    assert main(["audit", str(folder.parent / "model"), "--rules", str(EXAMPLE)]) == 2
    assert "weighbridge[yara]" in capsys.readouterr().err
    assert main(["audit", str(folder.parent / "model"), "--quiet"]) == 0


def test_the_command_and_the_policy_take_a_folder(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = folder.parent / "model"
    (model / "a.txt").write_text(MARKED)
    (folder / "sub").mkdir()
    (folder / "sub" / "b.yara").write_text(rule(pattern='"two"'))
    policy = folder.parent / "weighbridge.toml"
    policy.write_text('[policy]\nrules = "rules"\n')
    assert read(policy).rules.rules == str(folder)
    for arguments, symbol in (
        (["--policy", str(policy)], "sub/b.yara: mine"),
        (["--policy", str(policy), "--rules", str(EXAMPLE)],
         "example.yar: example_internal_marker"),
    ):  # fmt: skip
        main(["audit", str(model), "--format", "json", *arguments])
        report = json.loads(capsys.readouterr().out)
        found = [f for c in report["controls"] for f in c["findings"]]
        assert [f["symbol"] for f in found] == [symbol]
    policy.write_text("[policy]\nrules = 5\n")
    with pytest.raises(PolicyError):
        read(policy)


def test_rules_of_the_target_are_refused(folder: Path) -> None:
    model = folder.parent / "model"
    (model / "a.yar").write_text(rule())
    with pytest.raises(RulesError, match="not taken from what is audited"):
        weighbridge.audit(model, rules=model)


def test_members_are_seen_and_tensors_are_not(folder: Path) -> None:
    own = compiled(folder, rule())
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("m/data.pkl", b"\x80\x02X\x06\0\0\0needle.")
        archive.writestr("m/data/0", b"\xff\x01needle" + bytes(99))
    examined = examine(Held("m.pt", made.getvalue()), load(), Limits(), own)
    found = [f.at.inside for f in examined.findings if f.check == "rule-match"]
    assert found == [("m/data.pkl",)]
    seen = [a.at.inside for a in examined.coverage if a.parser.startswith("yara-x/")]
    assert seen == [(), ("m/data.pkl",)]


def test_bytes_of_no_known_format_are_seen(folder: Path) -> None:
    own = compiled(folder, rule(pattern="{ FF 00 ?? 6E }"))
    examined = examine(Held("x", b"\xff\x00\x01needle" * 9), load(), Limits(), own)
    assert [f.check for f in examined.findings] == ["rule-match"]
    assert [g.message for g in examined.gaps] == ["the format is not recognised"]


def test_only_the_beginning_of_large_things_is_seen(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_rules, "SCANNED", 100)
    own = compiled(folder, rule())
    for text, count in (("x" * 90 + "needle", 1), ("x" * 98 + "needle", 0)):
        examined = examine(Held("a.txt", text.encode()), load(), Limits(), own)
        assert len(examined.findings) == count
        (seen,) = [a for a in examined.coverage if a.parser.startswith("yara-x/")]
        assert (seen.size, seen.seen) == (len(text), min(len(text), 100))


def test_a_budget_that_is_used_up_is_one_gap(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_rules, "SCANNED_IN_ALL", 10)
    own, budget = compiled(folder, rule()), Budget()
    results = [own.match(Held("a", b"needle--"), Location("a"), 8, budget) for _ in range(4)]
    assert [(r.seen, len(r.matches), len(r.gaps)) for r in results] == [
        (8, 1, 0), (2, 0, 0), (0, 0, 1), (0, 0, 0),
    ]  # fmt: skip
    assert results[2].gaps[0].kind is GapKind.TOO_LARGE


def test_rules_that_do_not_end_are_a_gap(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_rules, "SECONDS", 1)
    endless = "for all i in (0..9000000000) : (uint8(i % filesize) == 0)"
    own = compiled(folder, f"rule slow {{ condition: {endless} }}")
    examined = examine(Held("a.txt", bytes(1000)), load(), Limits(), own)
    (gap,) = [g for g in examined.gaps if g.kind is GapKind.TIMEOUT]
    assert gap.controls == ("payload-scan",)
    assert "were stopped" in gap.message


def test_matching_is_jailed_and_deterministic(folder: Path) -> None:
    model = folder.parent / "model"
    for number in range(30):
        (model / f"{number}.txt").write_text("needle" if number % 2 else "straw")
    (folder / "a.yar").write_text(rule())
    one, two = run(model, rules=folder), run(model, rules=folder)
    assert len(matched(one)) == 15
    assert (one.findings, one.gaps) == (two.findings, two.gaps)
    assert one.coverage.jail == run(model).coverage.jail
