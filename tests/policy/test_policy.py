"""Policy files: what they may say, and which of them is used."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weighbridge.core.finding import Action, Finding, Gap, GapKind
from weighbridge.core.location import Location
from weighbridge.policy.policy import GapAcceptance, Policy, PolicyError, Waiver, locate, read

ANSWERED = 'reason = "seen"\nowner = "me"\nexpires = 2027-01-31\n'
EXPIRES = date(2027, 1, 31)


def test_everything_a_policy_may_say(tmp_path: Path) -> None:
    file = tmp_path / "weighbridge.toml"
    file.write_text(
        '[policy]\nreview_fails = true\nblock = ["file-format"]\ndemand = ["integrity"]\n'
        f'[[waiver]]\ncheck = "c"\npath = "*.pkl"\nsymbol = "a.b"\nfingerprint = "f"\n{ANSWERED}'
        f'[[waiver]]\nid = "mine"\ncheck = "d"\n{ANSWERED}'
        f'[[accept_gap]]\npath = "x/*"\nkind = "encrypted"\ncontrol = "payload-scan"\n{ANSWERED}'
    )
    policy = read(file)
    assert policy.rules.review_fails
    assert policy.rules.block == ("file-format",)
    assert policy.rules.demand == ("integrity",)
    assert [waiver.id for waiver in policy.waivers] == ["waiver-1", "mine"]
    assert policy.waivers[0].expires == EXPIRES
    (gap,) = policy.accepted_gaps
    assert (gap.id, gap.kind, gap.control) == ("accept-gap-1", GapKind.ENCRYPTED, "payload-scan")


def test_a_pyproject_says_it_in_its_own_table(tmp_path: Path) -> None:
    file = tmp_path / "pyproject.toml"
    file.write_text("[tool.weighbridge.policy]\nreview_fails = true\n")
    assert read(file).rules.review_fails
    file.write_text("[tool.other]\n")
    with pytest.raises(PolicyError, match=r"no table \[tool\.weighbridge\]"):
        read(file)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[policy]\nreview_fail = true", "`review_fail`.*`policy`"),
        ("[polices]", "`polices`"),
        ("policy = 1", "`policy`"),
        ('[policy]\nreview_fails = "yes"', "`policy.review_fails`"),
        ('[policy]\nblock = "file-format"', "`policy.block`"),
        ('[policy]\nblock = ["format"]', "`policy.block`: no control is called 'format'"),
        ('[policy]\ndemand = ["x"]', "`policy.demand`: no control is called 'x'"),
        (f'[[waiver]]\nchek = "c"\n{ANSWERED}', "`chek`"),
        (f"[[waiver]]\n{ANSWERED}", "`check` or `fingerprint`"),
        (f'[[waiver]]\npath = "*"\n{ANSWERED}', "`check` or `fingerprint`"),
        ('[[waiver]]\ncheck = "c"\nreason = "r"\nowner = "o"', "`expires`"),
        ('[[waiver]]\ncheck = "c"\nexpires = 2027-01-31\nowner = "o"', "`reason`"),
        ('[[waiver]]\ncheck = "c"\nexpires = 2027-01-31\nreason = "r"', "`owner`"),
        (
            '[[waiver]]\ncheck = "c"\nexpires = 2027-01-31\nowner = "o"\nreason = " "',
            r"`waiver\[0\].reason` is empty",
        ),
        (
            '[[waiver]]\ncheck = "c"\nreason = "r"\nowner = "o"\nexpires = "soon"',
            r"`waiver\[0\]\.expires`",
        ),
        (
            '[[waiver]]\ncheck = "c"\nreason = "r"\nowner = "o"\nexpires = 2027-02-30',
            "no TOML",
        ),
        (
            '[[waiver]]\ncheck = "c"\nreason = "r"\nowner = "o"\nexpires = 2027-02-03T00:00:00',
            r"`waiver\[0\]\.expires`",
        ),
        (f'[[waiver]]\nid = "a"\ncheck = "c"\n{ANSWERED}' * 2, "two waivers .* 'a'"),
        (f"[[accept_gap]]\n{ANSWERED}", "`path`, `kind` or `control`"),
        (f'[[accept_gap]]\nkind = "boring"\n{ANSWERED}', r"`accept_gap\[0\]\.kind`"),
        (f'[[accept_gap]]\ncontrol = "x"\n{ANSWERED}', r"`accept_gap\[0\]\.control`: no control"),
        ("= 1", "no TOML"),
        ("a = " + "[" * 10_000, "no TOML"),
    ],
)
def test_what_is_wrong_is_named_with_its_key(tmp_path: Path, text: str, told: str) -> None:
    file = tmp_path / "weighbridge.toml"
    file.write_text(text)
    with pytest.raises(PolicyError, match=f"(?s)^{file}: .*{told}"):
        read(file)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_policy_or_an_error(data: bytes) -> None:
    with tempfile.NamedTemporaryFile(suffix=".toml") as file:
        file.write(data)
        file.flush()
        with suppress(PolicyError):
            read(Path(file.name))


def test_a_file_that_is_too_large_or_missing_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "weighbridge.toml"
    with pytest.raises(PolicyError, match="No such file"):
        read(file)
    file.write_bytes(b"#" * (2 << 20))
    with pytest.raises(PolicyError, match="larger than"):
        read(file)


FINDING = Finding(
    message="m",
    at=Location("dir/model.pkl", ("data.pkl",)),
    action=Action.BLOCK,
    symbol="os.system",
    check="acting",
    fingerprint="f1",
)


@pytest.mark.parametrize(
    ("matchers", "covers"),
    [
        ({"check": "acting"}, True),
        ({"check": "other"}, False),
        ({"fingerprint": "f1"}, True),
        ({"fingerprint": "f2"}, False),
        ({"check": "acting", "path": "dir/*.pkl"}, True),
        ({"check": "acting", "path": "*.pkl"}, True),
        ({"check": "acting", "path": "*.bin"}, False),
        ({"check": "acting", "path": "DIR/*"}, False),
        ({"check": "acting", "symbol": "os.system"}, True),
        ({"check": "acting", "symbol": "os"}, False),
        ({"check": "acting", "symbol": "os.system", "fingerprint": "f2"}, False),
    ],
)
def test_every_matcher_of_a_waiver_must_match(matchers: dict[str, str], covers: bool) -> None:
    waiver = Waiver(reason="r", owner="o", expires=EXPIRES, **matchers)
    assert waiver.covers(FINDING) is covers


@pytest.mark.parametrize(
    ("accepted", "covers"),
    [
        (GapAcceptance(reason="r", owner="o", expires=EXPIRES, path="*.7z"), True),
        (GapAcceptance(reason="r", owner="o", expires=EXPIRES, path="*.zip"), False),
        (GapAcceptance(reason="r", owner="o", expires=EXPIRES, kind=GapKind.ENCRYPTED), True),
        (GapAcceptance(reason="r", owner="o", expires=EXPIRES, kind=GapKind.TIMEOUT), False),
        (GapAcceptance(reason="r", owner="o", expires=EXPIRES, control="payload-scan"), True),
        (GapAcceptance(reason="r", owner="o", expires=EXPIRES, control="integrity"), False),
    ],
)
def test_every_matcher_of_an_acceptance_must_match(accepted: GapAcceptance, covers: bool) -> None:
    gap = Gap(kind=GapKind.ENCRYPTED, message="m", at=Location("a/b.7z"))
    assert accepted.covers(gap, "payload-scan") is covers


def test_the_policy_is_that_of_the_working_folder(tmp_path: Path) -> None:
    model, work = tmp_path / "model", tmp_path / "work"
    model.mkdir()
    work.mkdir()
    assert locate(work, model) == (None, None)
    (work / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    assert locate(work, model) == (None, None)
    (work / "pyproject.toml").write_text("[tool.weighbridge.policy]\n")
    assert locate(work, model) == (work / "pyproject.toml", None)
    (work / "weighbridge.toml").write_text("")
    assert locate(work, model) == (work / "weighbridge.toml", None)
    (model / "weighbridge.toml").write_text("[policy]\n")
    assert locate(work, model) == (work / "weighbridge.toml", None)


@pytest.mark.parametrize("name", ["weighbridge.toml", "pyproject.toml"])
@pytest.mark.parametrize("target", [".", "model.pkl", "..", "link"])
def test_a_policy_that_came_with_the_target_is_not_used(
    tmp_path: Path, name: str, target: str
) -> None:
    work = tmp_path / "model"
    work.mkdir()
    (work / "model.pkl").write_bytes(b"N.")
    (work / "link").symlink_to(work, target_is_directory=True)
    (work / name).write_text("[tool.weighbridge]\n")
    used, notice = locate(work, work / target)
    assert used is None
    assert notice is not None
    assert name in notice


@pytest.mark.parametrize("header", ["[tool . weighbridge]", '["tool"."weighbridge"]'])
def test_a_table_is_found_however_its_name_is_written(tmp_path: Path, header: str) -> None:
    (tmp_path / "model").mkdir()
    file = tmp_path / "pyproject.toml"
    file.write_text(f"{header}\npolicy.review_fails = true\n")
    assert locate(tmp_path, tmp_path / "model") == (file, None)
    assert read(file).rules.review_fails


@pytest.mark.parametrize("content", ["weighbridge = = =", "# weighbridge" + " " * (2 << 20)])
def test_a_broken_file_of_the_target_does_not_end_the_audit(tmp_path: Path, content: str) -> None:
    file = tmp_path / "pyproject.toml"
    file.write_text(content)
    used, notice = locate(tmp_path, tmp_path)
    assert used is None
    assert notice
    (tmp_path / "model").mkdir()
    with pytest.raises(PolicyError):
        locate(tmp_path, tmp_path / "model")


def test_a_link_into_the_target_is_not_used(tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (model / "theirs.toml").write_text("")
    (tmp_path / "weighbridge.toml").symlink_to(model / "theirs.toml")
    used, notice = locate(tmp_path, model)
    assert used is None
    assert notice


def test_without_a_file_nothing_is_waived() -> None:
    assert Policy().waivers == ()
    assert not Policy().rules.review_fails


KEY = "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"
ROOT = KEY.replace("PUBLIC KEY", "CERTIFICATE")


def test_publishers_with_keys_beside_the_policy(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "a.pub").write_text(KEY)
    (tmp_path / "root.pem").write_text(ROOT)
    (tmp_path / "trust.json").write_text('{"mediaType": "x"}')
    file = tmp_path / "weighbridge.toml"
    file.write_text(
        '[[publisher]]\nrepository = "a/*"\nkey = "keys/a.pub"\nrequired = true\n'
        f'[[publisher]]\nrepository = "b/*"\nkey = """{KEY}"""\n'
        '[[publisher]]\nrepository = "c/*"\nroot = "root.pem"\nsubject = "CN=c"\n'
        '[[publisher]]\nrepository = "d/*"\nidentity = "d@example.org"\nissuer = "https://i"\n'
        'trust_root = "trust.json"\n'
    )
    a, b, c, d = read(file).publishers
    assert (a.key, a.required, b.key, b.required) == (KEY, True, KEY, False)
    assert (c.root, c.subject) == (ROOT, "CN=c")
    assert (d.identity, d.issuer, d.trust_root) == (
        "d@example.org", "https://i", '{"mediaType": "x"}',
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('repository = "a"', "one of `key`"),
        ('repository = "a"\nkey = "x"\nroot = "y"\nsubject = "z"', "one of `key`"),
        ('repository = "a"\nidentity = "x"', "`identity` and `issuer` go together"),
        ('repository = "a"\nissuer = "x"', "`identity` and `issuer` go together"),
        ('repository = "a"\nsubject = "x"', "`root` and `subject` go together"),
        ('repository = ""\nkey = "x"', "`publisher.0..repository` is empty"),
        (f'repository = "a"\nkey = """{KEY}"""\ntrust_root = "x"', "goes with `identity`"),
        ('repository = "a"\nkey = "gone.pub"', "gone.pub: No such file"),
        ('repository = "a"\nkey = "weighbridge.toml"', "it is no public key in PEM"),
        (f'repository = "a"\nroot = """{KEY}"""\nsubject = "x"', "it is no certificate in PEM"),
        ('key = "x"', "repository"),
        (
            'repository = "a"\nidentity = "x"\nissuer = "y"\ntrust_root = "{no"',
            "`publisher.0..trust_root`: it is no JSON",
        ),
    ],
)
def test_publishers_that_cannot_be_used(text: str, told: str, tmp_path: Path) -> None:
    file = tmp_path / "weighbridge.toml"
    file.write_text(f"[[publisher]]\n{text}\n")
    with pytest.raises(PolicyError, match=told):
        read(file)
