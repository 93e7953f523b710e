"""Signature files: Sigstore bundles and DSSE envelopes, as OpenSSF model signing writes them.

Sources: Sigstore bundle v0.1 to v0.3 (protobuf-specs `sigstore_bundle.proto`), DSSE v1.0
(`protocol.md`), in-toto attestation framework v1, the predicates of the `model-signing` package:
`https://model_signing/signature/v1.0` and, before its release 1.0, `…/Digests/v0.1`. Nothing is
verified here: a parser holds no keys.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any, Final

from weighbridge.core.document import Document, Malformed
from weighbridge.core.fact import Digested, Signature
from weighbridge.core.finding import Gap, GapKind
from weighbridge.core.format import Format, Limits, Loading, Sample
from weighbridge.core.location import Location
from weighbridge.core.regex import regex
from weighbridge.core.tree import Blob

BUNDLE_LIMIT: Final = 16 << 20
FILES: Final = 100_000
CERTIFICATES: Final = 16
SIGNATURES: Final = 16
IN_TOTO: Final = "application/vnd.in-toto+json"
STATEMENT: Final = "https://in-toto.io/Statement/v1"
MODEL: Final = "https://model_signing/signature/v1.0"
MODEL_BEFORE_1: Final = "https://model_signing/Digests/v0.1"
_BUNDLE: Final = b"application/vnd.dev.sigstore.bundle"
_ENVELOPE: Final = (b'"payloadType"', b'"payload"', b'"signatures"')
_BUNDLE_KEYS: Final = {"mediaType", "verificationMaterial", "dsseEnvelope", "messageSignature"}
_ENVELOPE_KEYS: Final = {"payloadType", "payload", "signatures"}
_HEX: Final = regex(r"(?:[0-9a-f]{2}){16,64}")
_SHARD: Final = regex(r"(.+):(\d{1,18}):(\d{1,18})", re.DOTALL)
_SUFFIXES: Final = (".sigstore.json", ".sigstore", ".bundle", ".sig", ".json")


class SignatureBundle(Document, frozen=True, kw_only=True, eq=False):
    """A signature file. `signature` is None where it is too large to be read, which is a gap."""

    signature: Signature | None

    def facts(self) -> Iterator[Signature]:
        """What it signs, and with what."""
        if self.signature is not None:
            yield self.signature


def _sniff(sample: Sample) -> bool:
    ends = sample.head, sample.tail
    if sample.head.lstrip()[:1] != b"{":
        return False
    return any(_BUNDLE in end for end in ends) or all(
        any(key in end for end in ends) for key in _ENVELOPE
    )


def _parse(blob: Blob, where: Location, limits: Limits) -> SignatureBundle:
    if blob.size > BUNDLE_LIMIT:
        why = f"a signature of more than {BUNDLE_LIMIT:,} bytes; it was not read"
        gap = Gap(kind=GapKind.TOO_LARGE, message=why, at=where, controls=("integrity",))
        return SignatureBundle(where=where, size=blob.size, seen=0, gaps=(gap,), signature=None)
    data = blob.read(0, blob.size)
    signature = _bundle(_json(data, "the signature file"), data, where, blob.path)
    return SignatureBundle(where=where, size=blob.size, seen=len(data), signature=signature)


def _json(data: bytes, what: str) -> dict[str, Any]:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        value = dict(pairs)
        if len(value) < len(pairs):
            raise Malformed(f"{what} gives a key twice: readers differ in which they take")
        return {k: v for k, v in pairs if v is not None}  # in protobuf's JSON: it is not there

    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=once)
    except (ValueError, RecursionError):
        raise Malformed(f"{what} is no JSON") from None
    if not isinstance(value, dict):
        raise Malformed(f"{what} is no JSON object")
    return value


Material = tuple[str, tuple[bytes, ...], str]
Statement = tuple[str, str, list[Digested], list[str], list[str]]


def _bundle(said: dict[str, Any], data: bytes, where: Location, path: str) -> Signature:
    """A bundle, or a DSSE envelope that stands by itself. Raises `Malformed`."""
    material: Material = ("key", (), "")
    envelope: Any = said
    # A file that vouches for others need not be vouched for: it must be nothing else beside.
    if strange := said.keys() - (_BUNDLE_KEYS if "mediaType" in said else _ENVELOPE_KEYS):
        raise Malformed(f"a signature has no field {min(strange)[:100]!r}")
    if "mediaType" in said:
        if not _text(said["mediaType"]).startswith(_BUNDLE.decode()):
            raise Malformed("the bundle's media type is not that of Sigstore")
        material = _material(_table(said.get("verificationMaterial")))
        if "messageSignature" in said:
            return _message(said, material, data, where, path)
        envelope = said.get("dsseEnvelope")
    envelope = _table(envelope)
    signatures = _list(envelope.get("signatures"))
    if not 0 < len(signatures) <= SIGNATURES:
        raise Malformed(f"{len(signatures):,} signatures where 1 to {SIGNATURES} can be")
    payload = _base64(envelope.get("payload"))
    payload_type = _text(envelope.get("payloadType"))
    if not payload_type:
        raise Malformed("the envelope does not say what kind of payload it signs")
    try:
        statement = _statement(payload_type, payload)
    except Malformed as error:
        statement = ("", "files", [], [], [error.why])
    kind, certificates, hint = material
    predicate, layout, files, ignored, faults = statement
    return Signature(
        at=where,
        material=kind,
        payload_type=payload_type,
        payload=payload,
        signatures=tuple(_base64(_table(s).get("sig")) for s in signatures),
        certificates=certificates,
        hint=hint or _text(_table(signatures[0]).get("keyid", "")),
        bundle=data if kind == "sigstore" else b"",
        predicate=predicate,
        layout=layout,
        files=tuple(files),
        ignored=tuple(ignored),
        faults=tuple(faults),
    )


def _material(said: dict[str, Any]) -> Material:
    """Key, certificate or Sigstore; the certificates, the signer's first; the key's hint."""
    chain = _list(_table(said.get("x509CertificateChain", {})).get("certificates", []))
    if "certificate" in said:
        chain = [said["certificate"], *chain]
    if len(chain) > CERTIFICATES:
        raise Malformed(f"more than {CERTIFICATES} certificates")
    certificates = tuple(_base64(_table(c).get("rawBytes")) for c in chain)
    if not certificates:
        hint = _table(said.get("publicKey", {})).get("hint")
        return "key", (), hint[:200] if isinstance(hint, str) else ""
    logged = said.get("tlogEntries") or said.get("timestampVerificationData")
    return ("sigstore" if logged else "certificate"), certificates, ""


def _message(
    said: dict[str, Any], material: Material, data: bytes, where: Location, path: str
) -> Signature:
    """A signature over one file, which the bundle is named after."""
    message = _table(said["messageSignature"])
    digest = _table(message.get("messageDigest", {}))
    name = path.rpartition("/")[2]
    signed = next((name.removesuffix(s) for s in _SUFFIXES if name.endswith(s)), "")
    faults = [] if signed else ["its name does not say which file it signs"]
    if digest.get("algorithm") != "SHA2_256":
        faults.append("it signs no sha256")
    value = _base64(digest.get("digest")).hex() if digest.get("digest") else ""
    kind, certificates, hint = material
    return Signature(
        at=where,
        material=kind,
        payload_type="",
        payload=b"",
        signatures=(_base64(message.get("signature")),),
        certificates=certificates,
        hint=hint,
        bundle=data if kind == "sigstore" else b"",
        files=(Digested(signed, "sha256", value),) if signed and len(value) == 64 else (),
        faults=tuple(faults),
    )


def _statement(payload_type: str, payload: bytes) -> Statement:
    """Predicate, layout, files, ignored paths, faults. Raises `Malformed`."""
    if payload_type != IN_TOTO:
        raise Malformed(f"it signs a payload of type {payload_type[:100]!r}, not a statement")
    said = _json(payload, "the statement that it signs")
    predicate = _text(said.get("predicateType"))
    if said.get("_type") != STATEMENT:
        if predicate in (MODEL, MODEL_BEFORE_1):
            raise Malformed(f"the statement is of type {said.get('_type')!r}"[:200])
        return predicate, "", [], [], []
    subjects = [_table(s) for s in _list(said.get("subject"))]
    if predicate == MODEL_BEFORE_1:
        files = [
            Digested(_text(s.get("name")), "sha256", _hex(_table(s.get("digest")).get("sha256")))
            for s in subjects[: FILES + 1]
        ]
        return predicate, "files", files, [], _faults(files)
    if predicate == MODEL:
        return _model(subjects, _table(said.get("predicate")))
    return predicate, "", [], [], []


def _model(subjects: list[dict[str, Any]], predicate: dict[str, Any]) -> Statement:
    method = _table(predicate.get("serialization", {}))
    resources = [_table(r) for r in _list(predicate.get("resources", []))]
    files = [
        Digested(_text(r.get("name")), _text(r.get("algorithm")), _hex(r.get("digest")))
        for r in resources[: FILES + 1]
    ]
    if len(subjects) != 1:
        raise Malformed(f"the statement is about {len(subjects):,} subjects instead of one")
    layout = _text(method.get("method", "files"))
    faults = _faults(files, shards=layout == "shards")
    whole = hashlib.sha256(b"".join(bytes.fromhex(f.value) for f in files)).hexdigest()
    if whole != _table(subjects[0].get("digest")).get("sha256"):
        faults.append("its own digest over the list of files does not match that list")
    if [f.path for f in files] == ["."]:  # a model of one file, which the subject names
        files = [Digested(_text(subjects[0].get("name")), files[0].algorithm, files[0].value)]
        faults += _faults(files)
    ignored = [_text(path) for path in _list(method.get("ignore_paths", []))[:FILES]]
    return MODEL, layout, files, ignored, faults


def shard(name: str) -> tuple[str, int, int] | None:
    """The file, the first byte and the byte after the last one that `path:start:end` names."""
    found = _SHARD.fullmatch(name)
    return (found[1], int(found[2]), int(found[3])) if found else None


def _faults(files: list[Digested], shards: bool = False) -> list[str]:
    """Why a list of files, or of shards of them, cannot be trusted to say one thing."""
    faults = []
    if not files:
        faults.append("it signs no file at all")
    if len(files) > FILES:
        faults.append(f"it lists more than {FILES:,} files")
    names = [f.path for f in files]
    if len(set(names)) < len(names):
        twice = next(n for n in names if names.count(n) > 1) if len(names) < 2_000 else "a path"
        faults.append(f"it lists {twice[:200]!r} more than once")
    if shards:
        parts = [shard(n) for n in names]
        if None in parts:
            faults.append("it lists shards that do not say of which bytes they are")
        names = [p[0] for p in parts if p is not None]
    if names != ["."]:
        faults += [f"it lists a path that leaves the model: {n[:200]!r}"
                   for n in names if not plain(n)][:1]  # fmt: skip
    return faults


def plain(path: str) -> bool:
    """Whether a path stays below the folder it is taken in, and is written in one way only."""
    parts = path.split("/")
    odd = any(p in ("", ".", "..") for p in parts) or "\\" in path or "\0" in path
    return not odd and str(PurePosixPath(path)) == path


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise Malformed("a text is missing")
    return value


def _table(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Malformed("a group of fields is missing")
    return value


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise Malformed("a list is missing")
    return value


def _hex(value: Any) -> str:
    if not isinstance(value, str) or not _HEX.fullmatch(value):
        raise Malformed("a digest is not written in hexadecimal")
    return value


def _base64(value: Any) -> bytes:
    try:
        return base64.b64decode(_text(value), validate=True)
    except (binascii.Error, ValueError):
        raise Malformed("something that should be base64 is not") from None


SIGNATURE_BUNDLE = Format(
    name="signature-bundle",
    title="Signature bundle",
    loading=Loading.DATA,
    sniff=_sniff,
    first=b"{ \t\r\n",
    parse=_parse,
    document=SignatureBundle,
    limits="Up to 16 MiB and 100,000 files; detached signatures of other kinds (GPG) are not read.",
)
