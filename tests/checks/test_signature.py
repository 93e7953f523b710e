"""Signatures: by key, certificate and Sigstore; what holds, what does not, what is not covered."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

import signing
from of_every_model import ACCEPTED
from signing import NOW, Authority, Sigstore, by_certificate, by_key, leaf, statement
from weighbridge import audit
from weighbridge.analysis.signature import Proof, Standing, public_root, verify
from weighbridge.core.control import ControlVerdict, Verdict
from weighbridge.core.document import Malformed
from weighbridge.core.evidence import Table
from weighbridge.core.fact import Signature
from weighbridge.core.finding import Action, GapKind
from weighbridge.core.format import Limits, Sample
from weighbridge.core.location import Location
from weighbridge.core.report import ControlResult
from weighbridge.core.tree import Held
from weighbridge.core.trust import Publisher
from weighbridge.formats.signature_bundle import BUNDLE_LIMIT, SIGNATURE_BUNDLE
from weighbridge.policy.policy import Policy

ORACLE = Path(__file__).parents[1] / "benign" / "files" / "model_signing"
KEY, OTHER = signing.key(), signing.key()
FILES = {"config.json": b'{"hidden_size": 2}', "sub/notes.txt": b"plain words\n"}
STATEMENT = statement(FILES)
OURS = Publisher(repository="*", key=signing.pem(KEY))
DEMANDED = Publisher(repository="*", key=signing.pem(KEY), required=True)


def parse(data: bytes, name: str = "model.sig") -> Signature:
    blob = Held(name, data)
    assert SIGNATURE_BUNDLE.sniff(Sample(blob))
    assert SIGNATURE_BUNDLE.parse is not None
    document: Any = SIGNATURE_BUNDLE.parse(blob, Location(name), Limits())
    read: Signature = document.signature
    return read


def made(folder: Path, signature: bytes, files: dict[str, bytes] = FILES) -> Path:
    for path, data in {**files, "model.sig": signature}.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    return folder


def integrity(folder: Path, *publishers: Publisher) -> tuple[ControlResult, Verdict]:
    report = audit(folder, policy=Policy(publishers=publishers, waivers=(ACCEPTED,)))
    return next(c for c in report.controls if c.id == "integrity"), report.verdict


def told(control: ControlResult) -> set[tuple[str, str]]:
    return {(f.action.value, f.message.split(":")[0]) for f in control.findings}


# -- whole audits ---------------------------------------------------------------------------------


def test_all_files_signed_by_the_policys_publisher_pass(tmp_path: Path) -> None:
    control, verdict = integrity(made(tmp_path, by_key(KEY, STATEMENT)), DEMANDED)
    assert (control.verdict, verdict) == (ControlVerdict.PASS, Verdict.PASS)
    assert not control.gaps


def test_a_signature_that_no_policy_asks_for_is_a_note_and_no_pass(tmp_path: Path) -> None:
    control, verdict = integrity(made(tmp_path, by_key(KEY, STATEMENT)))
    assert control.verdict is ControlVerdict.UNKNOWN
    assert {f.action for f in control.findings} == {Action.NOTE}
    assert [g.kind for g in control.gaps] == [GapKind.NOT_GIVEN]
    assert verdict is Verdict.PASS


def test_without_a_signature_only_a_policy_that_demands_one_objects(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes(FILES["config.json"])
    assert integrity(tmp_path)[0].verdict is ControlVerdict.UNKNOWN
    assert integrity(tmp_path, OURS)[0].verdict is ControlVerdict.UNKNOWN
    control, verdict = integrity(tmp_path, DEMANDED)
    assert (control.verdict, verdict) == (ControlVerdict.FAIL, Verdict.BLOCK)


def test_a_policy_for_another_repository_says_nothing(tmp_path: Path) -> None:
    elsewhere = Publisher(repository="org/*", key=signing.pem(KEY), required=True)
    control, _ = integrity(made(tmp_path, by_key(KEY, STATEMENT)), elsewhere)
    assert control.verdict is ControlVerdict.UNKNOWN


Change = Callable[[Path], object]
ATTACKS: dict[str, tuple[Change, tuple[str, str]]] = {
    "changed byte": (
        lambda f: (f / "config.json").write_bytes(b'{"hidden_size": 3}'),
        ("block", "this file is not the one that was signed in model.sig"),
    ),
    "missing file": (
        lambda f: (f / "sub" / "notes.txt").unlink(),
        ("review", "signed in model.sig and not here"),
    ),
    "extra file": (
        lambda f: (f / "more.txt").write_bytes(b"more"),
        ("review", "not covered by any signature"),
    ),
    "other key": (
        lambda f: (f / "model.sig").write_bytes(by_key(OTHER, STATEMENT)),
        ("review", "signed by somebody"),
    ),
    "other key, our name": (
        lambda f: (f / "model.sig").write_bytes(by_key(OTHER, STATEMENT, called=signing.hint(KEY))),
        ("block", "the signature does not hold"),
    ),
    "signer ignored": (
        lambda f: (
            (f / "more.txt").write_bytes(b"more"),
            (f / "model.sig").write_bytes(by_key(KEY, statement(FILES, ["more.txt"]))),
        ),
        ("review", "left out by the signer's choice"),
    ),
    "signer ignored a folder": (
        lambda f: (
            made(f, b"", {"deep/er/more.txt": b"more"}),
            (f / "model.sig").write_bytes(by_key(KEY, statement(FILES, ["deep"]))),
        ),
        ("review", "left out by the signer's choice"),
    ),
}


@pytest.mark.parametrize("case", ATTACKS)
@pytest.mark.parametrize("required", [False, True])
def test_what_is_not_as_it_was_signed_is_named(case: str, required: bool, tmp_path: Path) -> None:
    change, (action, message) = ATTACKS[case]
    change(made(tmp_path, by_key(KEY, STATEMENT)))
    control, verdict = integrity(tmp_path, DEMANDED if required else OURS)
    if required:
        assert verdict is Verdict.BLOCK
    else:
        assert (action, message) in told(control)
    assert control.verdict is not ControlVerdict.PASS


def test_the_files_themselves_are_named(tmp_path: Path) -> None:
    made(tmp_path, by_key(KEY, statement(FILES, ["left.txt"])))
    for name in ("left.txt", "extra.txt", ".gitattributes"):
        (tmp_path / name).write_bytes(b"words")
    (tmp_path / "config.json").unlink()
    control, _ = integrity(tmp_path, OURS)
    named = {f.symbol: e.rows for f in control.findings for e in f.evidence if isinstance(e, Table)}
    assert named == {
        "missing": (("config.json",),),
        "ignored": (("left.txt",),),
        "unsigned": (("extra.txt",),),
        "git": ((".gitattributes",),),
    }


def test_gits_own_files_do_not_keep_it_from_passing(tmp_path: Path) -> None:
    made(tmp_path, by_key(KEY, STATEMENT))
    (tmp_path / ".gitattributes").write_bytes(b"*.bin filter=lfs\n")
    assert integrity(tmp_path, OURS)[0].verdict is ControlVerdict.PASS


def test_a_huge_bundle_is_a_gap(tmp_path: Path) -> None:
    signature = by_key(KEY, STATEMENT).ljust(BUNDLE_LIMIT + 1)
    control, verdict = integrity(made(tmp_path, signature), OURS)
    assert control.verdict is ControlVerdict.UNKNOWN
    assert verdict is Verdict.INCOMPLETE


def test_a_keyless_signature_is_verified_in_the_jail(tmp_path: Path) -> None:
    instance = Sigstore()
    by = Publisher(
        repository="*", identity="https://github.com/example/*", issuer="https://token.example",
        trust_root=instance.trust_root(), required=True,
    )  # fmt: skip
    identity = "https://github.com/example/models/.github/workflows/sign.yml@refs/tags/v1"
    made(tmp_path, instance.sign(STATEMENT, identity, "https://token.example"))
    control, verdict = integrity(tmp_path, by)
    assert (control.verdict, verdict) == (ControlVerdict.PASS, Verdict.PASS)
    (note,) = (f for f in control.findings if f.symbol == "valid")
    said = json.dumps([getattr(e, "rows", ()) for e in note.evidence])
    assert identity in said
    assert "source repository" in said
    assert "trust root of 2026-01-01" in said


def test_a_signature_by_somebody_else_has_to_be_vouched_for_itself(tmp_path: Path) -> None:
    made(tmp_path, by_key(KEY, STATEMENT))
    (tmp_path / "other.sig").write_bytes(by_key(OTHER, STATEMENT))
    control, _ = integrity(tmp_path, OURS)
    assert control.verdict is ControlVerdict.WARN
    assert ("review", "not covered by any signature") in told(control)


def test_a_key_of_the_policy_that_cannot_be_read_is_a_gap(tmp_path: Path) -> None:
    broken = Publisher(repository="*", key=signing.pem(KEY).replace("M", "A"))
    control, _ = integrity(made(tmp_path, by_key(KEY, STATEMENT)), broken)
    assert control.verdict is ControlVerdict.UNKNOWN
    assert any("cannot be read" in g.message for g in control.gaps)


@pytest.mark.parametrize("place", [0, 1])
def test_a_certificate_that_cannot_be_read(place: int) -> None:
    said = json.loads(by_certificate(KEY, [leaf(Authority(), KEY)] * 2, STATEMENT))
    chain = said["verificationMaterial"]["x509CertificateChain"]["certificates"]
    chain[place]["rawBytes"] = signing.b64(b"0\x82\xff")
    proof = verify(parse(json.dumps(said).encode()), [], NOW)
    assert proof.standing is Standing.BAD


# -- what makes a statement unbelievable ----------------------------------------------------------

DIGEST = signing.sha256(b"x")
FAULTS = {
    "twice": (statement([("a", DIGEST), ("a", DIGEST)]), "more than once"),
    "up": (statement([("../a", DIGEST)]), "leaves the model"),
    "absolute": (statement([("/etc/passwd", DIGEST)]), "leaves the model"),
    "in two ways": (statement([("a//b", DIGEST)]), "leaves the model"),
    "backslash": (statement([("..\\a", DIGEST)]), "leaves the model"),
    "nothing": (statement([]), "signs no file"),
    "other digest": (
        statement([("a", DIGEST)], subject=[{"name": "m", "digest": {"sha256": DIGEST}}]),
        "does not match that list",
    ),
    "two subjects": (statement([("a", DIGEST)], subject=[{}, {}]), "instead of one"),
    "no list": (statement([("a", DIGEST)], predicate=[]), "missing"),
    "other statement": (statement([("a", DIGEST)], _type="https://in-toto.io/x"), "of type"),
    "no JSON": (b"{", "no JSON"),
    "key twice": (STATEMENT[:-1] + b', "_type": "x"}', "a key twice"),
}  # fmt: skip


@pytest.mark.parametrize("case", FAULTS)
def test_a_statement_that_contradicts_itself(case: str, tmp_path: Path) -> None:
    payload, words = FAULTS[case]
    signature = by_key(KEY, payload)
    assert words in "; ".join(parse(signature).faults)
    control, verdict = integrity(made(tmp_path, signature), OURS)
    assert verdict is Verdict.BLOCK
    assert ("block", "this signature cannot be what it claims to be") in told(control)


def test_another_payload_type_signs_no_files() -> None:
    read = parse(by_key(KEY, STATEMENT, kind="text/plain"))
    assert read.files == ()
    assert "not a statement" in read.faults[0]


BROKEN = {
    "no signature": lambda b: b["dsseEnvelope"].update(signatures=[]),
    "many signatures": lambda b: b["dsseEnvelope"].update(
        signatures=b["dsseEnvelope"]["signatures"] * 99
    ),
    "no envelope": lambda b: b.pop("dsseEnvelope"),
    "no base64": lambda b: b["dsseEnvelope"].update(payload="\u00e4"),
    "media type": lambda b: b.update(
        mediaType="x", note="application/vnd.dev.sigstore.bundle"
    ),
    "something else beside": lambda b: b.update(auto_map={"AutoModel": "evil.Model"}),
    "certificates": lambda b: b["verificationMaterial"].update(
        x509CertificateChain={"certificates": [{"rawBytes": ""}] * 99}
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_a_malformed_bundle(case: str) -> None:
    said = json.loads(by_key(KEY, STATEMENT))
    BROKEN[case](said)
    with pytest.raises(Malformed):
        parse(json.dumps(said).encode())


SHARDS = {
    "whole": ([(0, 4), (4, 6)], Verdict.PASS),
    "end is missing": ([(0, 4)], Verdict.BLOCK),
    "beginning is missing": ([(4, 6)], Verdict.BLOCK),
    "a hole": ([(0, 2), (4, 6)], Verdict.BLOCK),
    "one inside another": ([(0, 4), (2, 6)], Verdict.BLOCK),
    "longer": ([(0, 4), (4, 9)], Verdict.BLOCK),
    "backwards": ([(0, 4), (4, 2), (4, 6)], Verdict.BLOCK),
}


@pytest.mark.parametrize("case", SHARDS)
def test_shards_must_be_the_whole_file(case: str, tmp_path: Path) -> None:
    ranges, verdict = SHARDS[case]
    data = b"words\n"
    pairs = [(f"a.txt:{a}:{b}", signing.sha256(data[a:b])) for a, b in ranges]
    payload = json.loads(statement(pairs))
    payload["predicate"]["serialization"]["method"] = "shards"
    signature = by_key(KEY, json.dumps(payload).encode())
    assert integrity(made(tmp_path, signature, {"a.txt": data}), DEMANDED)[1] is verdict


# -- who signed -----------------------------------------------------------------------------------


def test_a_signature_over_another_payload_does_not_hold() -> None:
    said = json.loads(by_key(KEY, STATEMENT))
    said["dsseEnvelope"]["payload"] = signing.b64(statement({"a": b"y"}))
    assert verify(parse(json.dumps(said).encode()), [OURS]).standing is Standing.BAD


@pytest.mark.parametrize("curve", [ec.SECP256R1, ec.SECP384R1, ec.SECP521R1])
def test_keys(curve: type[ec.EllipticCurve]) -> None:
    own = signing.key(curve)
    publisher = Publisher(repository="*", key=signing.pem(own))
    assert verify(parse(by_key(own, STATEMENT)), [OURS, publisher]).standing is Standing.VALID


ROOT = Authority()
BETWEEN = Authority("Between", ROOT)
NO_AUTHORITY = Authority("No authority", ROOT, ca=False)
OLD_ROOT = Authority("Old root", start=NOW - timedelta(days=700), days=690)
BY_NAME = Publisher(repository="*", root=ROOT.text, subject="CN=Example signing")
CHAINS = {
    "root": ([leaf(ROOT, KEY)], Standing.VALID),
    "between": ([leaf(BETWEEN, KEY), BETWEEN.certificate], Standing.VALID),
    "between is missing": ([leaf(BETWEEN, KEY)], Standing.UNPROVEN),
    "other root": ([leaf(Authority(), KEY)], Standing.UNPROVEN),
    "brings its root": (
        [leaf(OLD_ROOT, KEY), OLD_ROOT.certificate], Standing.UNPROVEN,
    ),
    "self-signed": ([Authority("Example signing", key=KEY).certificate], Standing.UNPROVEN),
    "other name": ([leaf(ROOT, KEY, "Someone else")], Standing.OTHER),
    "web server": ([leaf(ROOT, KEY, purpose=signing.WEB)], Standing.UNPROVEN),
    "no purpose": ([leaf(ROOT, KEY, purpose=None)], Standing.UNPROVEN),
    "no authority": ([leaf(NO_AUTHORITY, KEY), NO_AUTHORITY.certificate], Standing.UNPROVEN),
    "out of date": ([leaf(ROOT, KEY, days=10)], Standing.EXPIRED),
    "not yet": ([leaf(ROOT, KEY, start=NOW + timedelta(days=1))], Standing.EXPIRED),
    "other key": ([leaf(ROOT, OTHER)], Standing.BAD),
}  # fmt: skip


@pytest.mark.parametrize("case", CHAINS)
def test_certificates(case: str) -> None:
    chain, standing = CHAINS[case]
    proof = verify(parse(by_certificate(KEY, chain, STATEMENT)), [BY_NAME], NOW)
    assert proof.standing is standing, proof.why


def test_a_root_that_is_out_of_date() -> None:
    publisher = Publisher(repository="*", root=OLD_ROOT.text, subject="CN=Example signing")
    chain = [leaf(OLD_ROOT, KEY, start=NOW - timedelta(days=500))]
    signature = parse(by_certificate(KEY, chain, STATEMENT))
    assert verify(signature, [publisher], NOW).standing is Standing.EXPIRED


INSTANCE = Sigstore()
WORKFLOW = "https://github.com/example/models/.github/workflows/sign.yml@refs/tags/v1"
ISSUER = "https://token.example"


def keyless(**changes: Any) -> Publisher:
    said = {"identity": WORKFLOW, "issuer": ISSUER, "trust_root": INSTANCE.trust_root()}
    return Publisher(repository="*", **(said | changes))


KEYLESS: dict[str, tuple[bytes, Publisher, Standing]] = {
    "ours": (INSTANCE.sign(STATEMENT, WORKFLOW, ISSUER), keyless(), Standing.VALID),
    "a glob": (
        INSTANCE.sign(STATEMENT, WORKFLOW, ISSUER),
        keyless(identity=WORKFLOW.replace("v1", "*")), Standing.VALID,
    ),
    "other identity": (
        INSTANCE.sign(STATEMENT, WORKFLOW.replace("example", "examp1e"), ISSUER), keyless(),
        Standing.OTHER,
    ),
    "other issuer": (
        INSTANCE.sign(STATEMENT, WORKFLOW, "https://token.evil"), keyless(), Standing.OTHER,
    ),
    "other instance": (
        Sigstore().sign(STATEMENT, WORKFLOW, ISSUER), keyless(), Standing.UNPROVEN,
    ),
    "the public instance does not know it": (
        INSTANCE.sign(STATEMENT, WORKFLOW, ISSUER), keyless(trust_root=None), Standing.UNPROVEN,
    ),
    "log of another payload": (
        INSTANCE.sign(STATEMENT, WORKFLOW, ISSUER, logged=b"x"), keyless(), Standing.UNPROVEN,
    ),
    "signed another payload": (
        INSTANCE.sign(STATEMENT, WORKFLOW, ISSUER, signed=b"x"), keyless(), Standing.BAD,
    ),
    "other log": (
        Sigstore(INSTANCE.authority, INSTANCE.certificates).sign(STATEMENT, WORKFLOW, ISSUER),
        keyless(), Standing.UNPROVEN,
    ),
    "certificate in no log": (
        Sigstore(INSTANCE.authority, log=INSTANCE.log).sign(STATEMENT, WORKFLOW, ISSUER),
        keyless(), Standing.UNPROVEN,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", KEYLESS)
def test_sigstore(case: str) -> None:
    signature, publisher, standing = KEYLESS[case]
    proof: Proof = verify(parse(signature), [publisher])
    assert proof.standing is standing, proof.why


def test_a_signature_over_one_file(tmp_path: Path) -> None:
    data = FILES["config.json"]
    read = parse(INSTANCE.sign_file(data, WORKFLOW, ISSUER), "config.json.sigstore.json")
    assert verify(read, [keyless()]).standing is Standing.VALID
    assert [(f.path, f.value) for f in read.files] == [("config.json", signing.sha256(data))]


# -- the reference implementation's own -----------------------------------------------------------


def oracle(name: str) -> Publisher:
    if name == "certificate":
        root = (ORACLE / "root.pem").read_text()
        return Publisher(repository="*", root=root, subject="CN=Example signing", required=True)
    key = (ORACLE / f"{name}.pub").read_text()
    return Publisher(repository="*", key=key, required=True)


@pytest.mark.parametrize("name", ["p256", "p384", "certificate", "shards", "before_1"])
def test_models_signed_by_the_reference_implementation(name: str, tmp_path: Path) -> None:
    copy = shutil.copytree(ORACLE / name, tmp_path / name)
    control, verdict = integrity(copy, oracle(name))
    assert (control.verdict, verdict) == (ControlVerdict.PASS, Verdict.PASS)
    config = bytearray((copy / "config.json").read_bytes())
    config[-1] ^= 1
    (copy / "config.json").write_bytes(config)
    assert integrity(copy, oracle(name))[1] is Verdict.BLOCK


def test_a_model_of_one_file_signed_by_the_reference_implementation(tmp_path: Path) -> None:
    copy = shutil.copytree(ORACLE / "single", tmp_path / "single")
    assert integrity(copy, oracle("single"))[1] is Verdict.BLOCK  # there are others beside it
    (copy / "config.json").unlink()
    shutil.rmtree(copy / "tokenizer")
    assert integrity(copy, oracle("single"))[1] is Verdict.PASS


@pytest.mark.parametrize("library", ["cryptography.exceptions", "sigstore._store"])
def test_without_the_extra_it_is_a_gap_that_names_it(
    library: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    signature = INSTANCE.sign(STATEMENT, WORKFLOW, ISSUER)
    public_root.cache_clear()
    monkeypatch.setitem(sys.modules, library, None)
    control, verdict = integrity(made(tmp_path, signature), keyless())
    assert (control.verdict, verdict) == (ControlVerdict.UNKNOWN, Verdict.INCOMPLETE)
    assert any("weighbridge[sign]" in g.message for g in control.gaps)
