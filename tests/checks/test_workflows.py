"""Workflows of GitHub Actions: who can start what, and what he gets by it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weighbridge.api import audit
from weighbridge.core.evidence import AttackPath, Table
from weighbridge.core.finding import Action
from weighbridge.reports.sarif import log
from weighbridge.sources.target import Access
from workflows import CASES, CHECKOUT, SHA, TOKEN, Case, look, said, workflow


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case(case: Case) -> None:
    assert said(case.files) == case.expected
    assert [g for g in look(case.files)[1] if "not read" not in g.message] == []


def test_the_table_is_large_enough() -> None:
    sorts = [case.sort for case in CASES]
    assert len(CASES) >= 60
    assert len({case.name for case in CASES}) == len(CASES)
    assert min(sorts.count(sort) for sort in ("attack", "guarded", "fixed")) >= 10


def test_attacks_are_found_and_the_rest_is_left_alone() -> None:
    for case in CASES:
        assert bool(case.expected) == (case.sort == "attack"), case.name


PATH = ".github/workflows/w.yml"


def case_named(name: str) -> Case:
    return next(case for case in CASES if case.name == name)


def test_a_finding_shows_the_way_from_the_event_to_the_secret() -> None:
    case = case_named("a pull request is tested beside a token")
    finding = next(f for f in look(case.files)[0] if f.action is Action.BLOCK)
    (path,) = finding.evidence
    assert isinstance(path, AttackPath)
    assert [step.label for step in path.steps] == [
        "anybody causes pull_request_target",
        "job work runs",
        f"takes in github.event.pull_request.head.sha: actions/checkout@{SHA}",
        "runs it: pip install -e .",
        "in reach: the secret HF_TOKEN",
    ]
    lines = case.files[PATH].split("\n")
    told = [lines[step.at.line - 1].strip() for step in path.steps if step.at and step.at.line]
    assert told[0] == "pull_request_target:"
    assert told[1] == "work:"
    assert told[2].startswith("- uses: actions/checkout")
    assert told[3] == "- run: pip install -e . && pytest"
    assert told[4] == "HF_TOKEN: ${{ secrets.HF_TOKEN }}"


def test_the_way_goes_through_callers() -> None:
    case = case_named("a reusable workflow is given the revision")
    finding = next(f for f in look(case.files)[0] if f.action is Action.BLOCK)
    path = finding.evidence[0]
    assert isinstance(path, AttackPath)
    assert [s.at.path.rpartition("/")[2] for s in path.steps if s.at] == [
        "pr.yml", "pr.yml", "build.yml", "build.yml", "build.yml", "build.yml",
    ]  # fmt: skip


@pytest.mark.parametrize("prefix", ["", "source"])
def test_a_whole_audit(tmp_path: Path, prefix: str) -> None:
    """From the files to SARIF, for a target and for the repository beside one."""
    case = case_named("a pull request is tested beside a token")
    root = tmp_path / "repository"
    (root / ".github" / "workflows").mkdir(parents=True)
    (root / PATH).write_text(case.files[PATH])
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text("{}")
    parts = Access(parts=(("source", str(root)),))
    report = audit(model, access=parts) if prefix else audit(root)
    control = next(c for c in report.controls if c.id == "workflows")
    (block,) = [f for f in control.findings if f.action is Action.BLOCK]
    assert block.at.path == (f"source:{PATH}" if prefix else PATH)
    result = next(r for r in log(report)["runs"][0]["results"] if r["level"] == "error")
    places = result["codeFlows"][0]["threadFlows"][0]["locations"]
    regions = [p["location"]["physicalLocation"]["region"]["startLine"] for p in places]
    assert regions[0] == 3
    assert all(isinstance(line, int) and line > 0 for line in regions)
    assert control.verdict.value == "fail"


def test_a_model_without_its_repository_says_nothing_of_workflows(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    controls = {c.id: c for c in audit(tmp_path).controls}
    for id in ("workflows", "training-code", "release"):
        assert (controls[id].verdict.value, controls[id].given) == ("unknown", False)


def test_a_clean_workflow_passes_and_its_release_is_not_known(tmp_path: Path) -> None:
    (tmp_path / ".github" / "workflows").mkdir(parents=True)
    (tmp_path / PATH).write_text(workflow("push:", CHECKOUT, "run: make"))
    controls = {c.id: c for c in audit(tmp_path).controls}
    assert controls["workflows"].verdict.value == "pass"
    assert controls["release"].verdict.value == "unknown"


HOSTILE: dict[str, bytes] = {
    "no workflow": b"a: b\n",
    "no text": b"on: push\xff\xfe\njobs:\n",
    "an open bracket": b"on: push\njobs: [\n",
    "50,000 brackets": b"on: push\njobs: " + b"[" * 50_000,
    "50,000 braces": b"on: push\njobs: " + b"{a: " * 50_000,
    "billion laughs": b"on: push\njobs:\n  a: &a0 {env: {X: " + b"y" * 500 + b"}}\n"
    + b"".join(
        b"  j%d: &a%d [%s]\n" % (n, n, b", ".join([b"*a%d" % (n - 1)] * 9)) for n in range(1, 40)
    )
    + b"  k: {runs-on: x, env: {"
    + b", ".join(b"V%d: &v%d %s" % (n, n, b"z" * 900) for n in range(900)) + b"}}\n"
    + b"  l: {runs-on: x, steps: [" + b", ".join([b"{run: *v1}"] * 3_000) + b"]}\n",
    "an alias of nothing": b"on: push\njobs: *x\n",
    "two documents": b"on: push\njobs: {}\n---\non: push\njobs: {}\n",
    "too large": b"on: push\njobs: {}\n#" + b"x" * (1 << 20),
    "nothing": b"on: push\n",
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_what_cannot_be_read_is_a_gap(name: str) -> None:
    _, gaps = look({PATH: HOSTILE[name]})
    assert any("workflows" in g.controls or g.at.path == PATH for g in gaps)


def test_a_file_that_is_no_text_is_a_gap_of_the_control() -> None:
    _, gaps = look({PATH: b"\xff\xfe\0\0 on: push"})
    assert [g.message for g in gaps if "this workflow could not be read" in g.message]


def test_many_scripts_are_read_with_few_open_files(tmp_path: Path) -> None:
    (tmp_path / ".github" / "workflows").mkdir(parents=True)
    steps = [f"run: bash ci/{n}.sh" for n in range(150)]
    (tmp_path / PATH).write_text(workflow("push:", *steps))
    (tmp_path / "ci").mkdir()
    for n in range(150):
        (tmp_path / "ci" / f"{n}.sh").write_text("pip install -i http://a.example/simple b==1\n")
    report = audit(tmp_path)
    found = [f for c in report.controls for f in c.findings if f.action is Action.REVIEW]
    assert len([f for f in found if f.check == "workflow-download"]) == 150
    assert len([f for f in found if f.check == "build-script"]) == 150
    assert not [g for c in report.controls for g in c.gaps if "open files" in g.message]


def test_five_thousand_jobs() -> None:
    jobs = "".join(
        f"  j{n}:\n    needs: [j{max(n - 1, 0)}]\n    runs-on: ubuntu-latest\n"
        "    steps:\n      - run: make\n"
        for n in range(5_000)
    )
    findings, gaps = look({PATH: f"on: [push, pull_request]\npermissions: {{}}\njobs:\n{jobs}"})
    assert [f for f in findings if f.action is not Action.NOTE] == []
    assert gaps == []


def gap_of(files: dict[str, str | bytes]) -> str:
    """What is said not to be seen, one after the other."""
    return "; ".join(f"{g.message} ({g.at.path})" for g in look(files)[1])


CALLER = "on: push\npermissions: {}\njobs:\n"
SPOKEN = "echo x"
for _ in range(14):
    SPOKEN = f"eval {SPOKEN}"


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({PATH: CALLER + "".join(
            f"  j{n}:\n    uses: ./.github/workflows/b.yml\n" for n in range(30)),
          ".github/workflows/b.yml": "on: workflow_call\npermissions: {}\njobs: {}\n"},
         "more than 24 ways lead into ./.github/workflows/b.yml"),
        ({PATH: "on: [" + ", ".join(f"push{n}" for n in range(30)) + "]\njobs: {}\n"},
         "only the first 24 of 30 triggers were judged"),
        ({PATH: workflow("push:", "uses: ./gone")}, "the action ./gone is not there"),
        ({PATH: workflow("push:", "uses: ./a0"), **{
            f"a{n}/action.yml": f"runs:\n  using: composite\n  steps:\n    - uses: ./a{n + 1}\n"
            for n in range(8)}}, "actions use each other more than 4 deep"),
        ({PATH: workflow("push:", "run: bash x.sh"), "x.sh": "echo 1\n" * 100_000},
         "a script that a step calls is too large"),
        ({PATH: workflow("push:", "run: bash x.sh"), "x.sh": "echo 'open\n"},
         "a script that a step calls could not be read to its end"),
        ({PATH: workflow("push:", f"run: {SPOKEN}")}, "shells within shells lie too deep"),
        ({PATH: CALLER + "  a:\n    runs-on: [" + "x, " * 6_000 + "x]\n    steps: []\n"},
         "more than 5,000 values in one place"),
    ],
)  # fmt: skip
def test_nothing_is_left_out_silently(files: dict[str, str | bytes], said: str) -> None:
    assert said in gap_of(files)


def test_the_action_of_another_repository_is_no_gap() -> None:
    other = f"uses: actions/checkout@{SHA}\nwith:\n  repository: other/tools\n  path: tools"
    files: dict[str, str | bytes] = {PATH: workflow("push:", other, "uses: ./tools/setup")}
    assert gap_of(files) == ""


@pytest.mark.parametrize("outside", [True, False])
def test_a_workflow_that_is_a_link(tmp_path: Path, outside: bool) -> None:
    """Inside the target it is read; outside of it is nobody's business, and said."""
    root = tmp_path / "repository"
    (root / ".github" / "workflows").mkdir(parents=True)
    case = case_named("a pull request is tested beside a token")
    place = tmp_path / "other.yml" if outside else root / "ci" / "w.yml"
    place.parent.mkdir(exist_ok=True)
    place.write_text(case.files[PATH])
    (root / PATH).symlink_to(place)
    control = next(c for c in audit(root).controls if c.id == "workflows")
    blocks = [f for f in control.findings if f.action is Action.BLOCK]
    assert bool(blocks) is not outside
    assert bool([g for g in control.gaps if "leaves the folder" in g.message]) is outside
    assert control.verdict.value == ("unknown" if outside else "fail")
    assert control.given


@pytest.mark.parametrize("name", ["5,000 jobs", "deep anchors", "50,000 brackets", "billion laughs",
                                  "no text", "50,000 braces"])  # fmt: skip
def test_hostile_workflows_in_a_whole_audit(tmp_path: Path, name: str) -> None:
    """In the jail, beside a workflow that is read all the same: a gap, or it was read."""
    hostile = HOSTILE | {
        "5,000 jobs": CALLER.encode() + b"".join(
            b"  j%d: {runs-on: x, steps: [{run: make}]}\n" % n for n in range(5_000)),
        "deep anchors": CALLER.encode() + b"".join(
            b"  j%d: &a%d {needs: %s}\n" % (n, n, b"*a%d" % (n - 1) if n else b"x")
            for n in range(3_000)),
    }  # fmt: skip
    (tmp_path / ".github" / "workflows").mkdir(parents=True)
    case = case_named("a pull request is tested beside a token")
    (tmp_path / PATH).write_text(case.files[PATH])
    other = ".github/workflows/hostile.yml"
    (tmp_path / other).write_bytes(hostile[name])
    control = next(c for c in audit(tmp_path).controls if c.id == "workflows")
    assert [f.at.path for f in control.findings if f.action is Action.BLOCK] == [PATH]
    gaps = [g for g in control.gaps if g.at.path == other and "zizmor" not in g.message]
    assert bool(gaps) is (name not in ("5,000 jobs", "deep anchors"))


def test_workflows_that_call_each_other_come_to_an_end() -> None:
    files = {
        f".github/workflows/{a}.yml": "on: [push, workflow_call]\npermissions: {}\njobs:\n"
        + "".join(f"  j{n}:\n    uses: ./.github/workflows/{b}.yml\n" for n in range(30))
        for a, b in (("a", "b"), ("b", "a"))
    }
    _, gaps = look(files)
    assert [g for g in gaps if "more than 4 deep" in g.message]


def test_an_action_that_uses_itself_comes_to_an_end() -> None:
    files = {
        PATH: workflow("push:", "uses: ./a"),
        "a/action.yml": "runs:\n  using: composite\n  steps:\n" + "    - uses: ./a\n" * 30,
    }
    look(files)


@given(data=st.data())
@settings(max_examples=60, deadline=4000)
def test_broken_workflows(data: st.DataObject) -> None:
    case = data.draw(st.sampled_from(CASES))
    files: dict[str, str | bytes] = dict(case.files)
    path = data.draw(st.sampled_from(sorted(files)))
    broken = bytearray(case.files[path].encode())
    for _ in range(data.draw(st.integers(1, 5))):
        broken[data.draw(st.integers(0, len(broken) - 1))] = data.draw(st.integers(0, 255))
    files[path] = bytes(broken)
    look(files)


@pytest.mark.parametrize(
    ("path", "read"),
    [
        (".github/workflows/w.yaml", True),
        ("source:.github/workflows/w.yml", True),
        ("repository/.github/workflows/w.yml", True),
        (".github/workflows/more/w.yml", False),
        (".github/w.yml", False),
        ("w.yml", False),
    ],
)
def test_where_a_workflow_lies(path: str, read: bool) -> None:
    text = workflow("pull_request_target:", "run: echo ${{ github.head_ref }}", job=TOKEN)
    assert bool(said({path: text})) is read


def test_only_the_outer_repository_is_run() -> None:
    text = workflow("pull_request_target:", "run: echo ${{ github.head_ref }}", job=TOKEN)
    inner = {"vendor/x/.github/workflows/w.yml": text}
    assert said(inner)
    assert not said({**inner, PATH: workflow("push:", CHECKOUT)})


def test_a_workflow_that_nothing_starts_is_a_note() -> None:
    findings, gaps = look({PATH: f"permissions: {{}}\njobs: {{a: {{steps: [{{{CHECKOUT}}}]}}}}\n"})
    assert [f.symbol for f in findings] == ["idle"]
    assert gaps == []


def test_comments_that_silence_others_are_shown() -> None:
    text = workflow("push:", f"{CHECKOUT} # zizmor: ignore[artipacked]")
    findings, _ = look({PATH: text})
    assert [f.message for f in findings if f.symbol == "silenced"] == [
        "1 comments tell an analyser to look away; they were not obeyed"
    ]


def test_the_script_of_another_place_is_read_where_it_is_called() -> None:
    case = case_named("in a script that a step calls")
    finding = next(f for f in look(case.files)[0] if f.check == "workflow-download")
    assert (finding.at.path, finding.at.line) == ("ci/setup.sh", 3)


def test_an_action_of_the_repository_in_the_folder_it_was_checked_out_to() -> None:
    own = f"uses: actions/checkout@{SHA}\nwith:\n  path: here"
    action = "runs:\n  using: composite\n  steps:\n    - run: curl https://h.io/x | sh\n"
    files: dict[str, str | bytes] = {
        PATH: workflow("push:", own, "uses: ./here/a", job=TOKEN),
        "a/action.yml": action,
    }
    findings, gaps = look(files)
    assert gaps == []
    assert [f.at.path for f in findings if f.check == "workflow-download"] == ["a/action.yml"]


def test_what_publishes_is_listed() -> None:
    findings, _ = look(case_named("a package by the identity of the run").files)
    listed = next(f for f in findings if f.check == "release-publishing")
    (table,) = listed.evidence
    assert isinstance(table, Table)
    assert table.rows == (
        (f"{PATH}: work", "package", "push", "the environment pypi may ask for approval",
         "its own identity", "provenance", ""),
    )  # fmt: skip
    assert any(f.symbol == "attested" for f in findings)


@pytest.mark.parametrize(
    ("name", "verdict"),
    [
        ("a package by a password that lives on", "warn"),
        ("a package by the identity of the run", "unknown"),
    ],
)
def test_the_release_of_a_model_with_its_source(tmp_path: Path, name: str, verdict: str) -> None:
    """An attestation that a workflow makes is not the artifact's: the control never passes."""
    source, model = tmp_path / "repository", tmp_path / "model"
    (source / ".github" / "workflows").mkdir(parents=True)
    (source / PATH).write_text(case_named(name).files[PATH])
    model.mkdir()
    (model / "config.json").write_text("{}")
    report = audit(model, access=Access(parts=(("source", str(source)),)))
    control = next(c for c in report.controls if c.id == "release")
    assert control.verdict.value == verdict
    listed = next(f for f in control.findings if f.check == "release-publishing")
    assert listed.at.path == f"source:{PATH}"


def test_a_workflow_that_is_wholly_a_comment_is_not_run() -> None:
    findings, gaps = look({PATH: "# name: w\n\n# on: push\n# jobs:\n"})
    assert gaps == []
    assert "nothing starts this workflow" in " ".join(f.message for f in findings)
    assert "could not be read" in gap_of({PATH: "# name: w\n- push\n"})


def test_the_gap_of_another_shell_says_which() -> None:
    script = 'run: |\n  Write-Host "a'
    assert "a script for PowerShell" in gap_of({PATH: workflow("push:", script)})
    assert "a script could not be read" in gap_of({PATH: workflow("push:", "run: |\n  echo (a 'b")})
