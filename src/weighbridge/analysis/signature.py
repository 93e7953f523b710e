"""Who signed, and whether it holds: by key, by certificate, by Sigstore.

Pure functions over a `Signature`; nothing is fetched. The libraries come with the extra `[sign]`
and are imported at the first use: `prepare` does it before a jail is locked, which cannot open
their files. Sources: DSSE v1.0 (`protocol.md`), RFC 5280, the Sigstore client specification,
Fulcio's certificate extensions (1.3.6.1.4.1.57264.1).
"""

from __future__ import annotations

import hashlib
import importlib
import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from fnmatch import fnmatchcase
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct, field

from weighbridge.core.fact import Signature
from weighbridge.core.trust import Publisher
from weighbridge.formats.signature_bundle import MODEL_BEFORE_1

if TYPE_CHECKING:
    from cryptography import x509

EXTRA: Final = "verifying a signature needs the extra weighbridge[sign]"
PUBLIC: Final = "the public Sigstore instance"
_STORE: Final = "https%3A%2F%2Ftuf-repo-cdn.sigstore.dev", "trusted_root.json"
_FULCIO: Final = "1.3.6.1.4.1.57264.1."
# fmt: off
_EXTENSIONS: Final = {
    "1": "issuer", "8": "issuer", "9": "build signer", "11": "runner", "12": "source repository",
    "13": "source commit", "14": "source ref", "16": "source owner", "18": "build configuration",
    "20": "build trigger", "21": "run", "22": "source visibility",
}
_LIBRARIES: Final = (
    "cryptography.exceptions", "cryptography.x509.verification",
    "cryptography.hazmat.backends.openssl.backend",
    "cryptography.hazmat.bindings.openssl.binding",
    "cryptography.hazmat.primitives.serialization",
    *(f"cryptography.hazmat.primitives.asymmetric.{m}"
      for m in ("ec", "ed25519", "padding", "rsa", "utils")),
)
_SIGSTORE: Final = (
    "sigstore._store", "sigstore.hashes", "sigstore.models", "sigstore.verify",
    "sigstore_models.common.v1", "sigstore_models.trustroot.v1",
)
# fmt: on


class Standing(StrEnum):
    """What is known of a signature."""

    VALID = "valid"
    """It holds, and it is by a publisher of the policy."""
    OTHER = "other"
    """It holds, or cannot be tried, and is by nobody whom the policy names."""
    EXPIRED = "expired"
    """It held while the certificate was in force, and nothing proves that it was made then."""
    UNPROVEN = "unproven"
    """Its certificate does not lead to anything trusted."""
    BAD = "bad"
    """It is no signature over what it comes with."""
    UNTRIED = "untried"
    """What is needed to verify it is not there."""


class Proof(Struct, frozen=True):
    """The outcome: how it stands, by whom it is as far as that is proven, why, and what the
    certificate says beside."""

    standing: Standing
    who: str
    why: str
    said: tuple[tuple[str, str], ...] = ()


def prepare(materials: Iterable[str]) -> None:
    """Import what verifying signatures of these materials needs, and read the trust root that
    comes with the library."""
    materials = set(materials)
    try:
        if materials:
            for module in _LIBRARIES:
                importlib.import_module(module)
        if "sigstore" in materials:
            for module in _SIGSTORE:
                importlib.import_module(module)
            public_root()
    except ImportError:
        return  # said where it is missed


@cache
def public_root() -> bytes:
    """The trust root of the public Sigstore instance, as the installed library brings it. Raises
    `ImportError` without the library."""
    import sigstore._store

    file = resources.files(sigstore._store)
    for part in _STORE:
        file = file / part
    return file.read_bytes()


def root_date(root: bytes) -> str:
    """The day of the latest key in a trust root: what is newer is not known to it."""
    days = [""]
    waiting: list[Any] = [json.loads(root)]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            valid = value.get("validFor")
            if isinstance(valid, dict):
                days.append(str(valid.get("start", ""))[:10])
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
    return max(days)


def encoding(payload_type: str, payload: bytes) -> bytes:
    """DSSE's pre-authentication encoding: what a signature is made over."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def verify(
    signature: Signature, publishers: Iterable[Publisher], now: datetime | None = None
) -> Proof:
    """How a signature stands before the publishers that the policy names for its repository.

    `now` is the time at which certificates must be in force (None: the present).
    """
    publishers = tuple(publishers)
    try:
        from cryptography.exceptions import UnsupportedAlgorithm
    except (ImportError, OSError):  # inside a jail, what is not there cannot even be looked for
        return Proof(Standing.UNTRIED, "", EXTRA)
    if signature.material == "key":
        return _by_key(signature, publishers)
    try:
        leaf, *between = map(_certificate, signature.certificates)
        key, who = leaf.public_key(), names(leaf)
    except (ValueError, UnsupportedAlgorithm) as error:
        return Proof(Standing.BAD, "", f"its certificate cannot be read: {error}")
    if not _signed_with(signature, key):
        return Proof(Standing.BAD, "", "it does not match the certificate in the same file")
    if signature.material == "certificate":
        return _by_certificate((leaf, *between), who, publishers, now or datetime.now(UTC))
    return _by_sigstore(signature, leaf, who, publishers)


# -- by key ---------------------------------------------------------------------------------------


def _by_key(signature: Signature, publishers: tuple[Publisher, ...]) -> Proof:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    tried = [p for p in publishers if p.key is not None]
    for publisher in tried:
        assert publisher.key is not None
        try:
            key = load_pem_public_key(publisher.key.encode())
        except (ValueError, UnsupportedAlgorithm) as error:
            return Proof(Standing.UNTRIED, "", f"{publisher.name} cannot be read: {error}"[:300])
        if _signed_with(signature, key):
            return Proof(Standing.VALID, publisher.name, f"signed with key {_fingerprint(key)}")
        if signature.hint and signature.hint == _hint(key):
            why = f"it says that it was made with key {_fingerprint(key)}, and was not"
            return Proof(Standing.BAD, "", why)
    called = f" (called {signature.hint})" if signature.hint else ""
    why = f"it was made with a key that the policy does not hold{called}"
    return Proof(Standing.OTHER, "", why)


def _hint(key: Any) -> str:
    """How `model-signing` calls a key: sha256 of its PEM."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(pem).hexdigest()


def _fingerprint(key: Any) -> str:
    """How OpenSSH calls a key: sha256, shortened, of its DER."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return f"sha256:{hashlib.sha256(der).hexdigest()[:16]}"


def _signed_with(signature: Signature, key: Any) -> bool:
    """Whether one of the signatures was made with the private part of this key."""
    if not signature.payload_type:  # over the digest of one file
        return any(
            _holds(key, made, bytes.fromhex(f.value), digest=True)
            for made in signature.signatures
            for f in signature.files
        )
    said = [encoding(signature.payload_type, signature.payload)]
    if signature.predicate == MODEL_BEFORE_1:
        # Before its release 1.0 `model-signing` put the Python literal of the payload after a
        # misspelt header. It stands for the same bytes and no others.
        kind, size = signature.payload_type, len(signature.payload)
        said.append(f"DSSEV1 {len(kind)} {kind} {size} {signature.payload!r}".encode())
    return any(_holds(key, made, data) for made in signature.signatures for data in said)


def _holds(key: Any, made: bytes, data: bytes, digest: bool = False) -> bool:
    """Whether `made` is a signature of this key over the data (or over its sha256)."""
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils

    def over(kind: hashes.HashAlgorithm) -> Any:
        return utils.Prehashed(kind) if digest else kind

    attempts: list[tuple[Any, ...]] = []
    if isinstance(key, ec.EllipticCurvePublicKey):
        by_size: dict[int, list[hashes.HashAlgorithm]]
        by_size = {384: [hashes.SHA384()], 521: [hashes.SHA512()]}
        kinds = [hashes.SHA256(), *by_size.get(key.curve.key_size, [])]
        usable = [k for k in kinds if not digest or k.digest_size == len(data)]
        attempts = [(made, data, ec.ECDSA(over(k))) for k in usable]
    elif isinstance(key, rsa.RSAPublicKey) and key.key_size >= 2048:
        longest = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.AUTO)
        attempts = [(made, data, p, over(hashes.SHA256())) for p in (padding.PKCS1v15(), longest)]
    elif isinstance(key, ed25519.Ed25519PublicKey) and not digest:
        attempts = [(made, data)]
    for attempt in attempts:
        try:
            key.verify(*attempt)
        except (InvalidSignature, UnsupportedAlgorithm, ValueError):
            continue
        return True
    return False


# -- by certificate -------------------------------------------------------------------------------


def _certificate(der: bytes) -> x509.Certificate:
    """Raises `ValueError`."""
    from cryptography import x509

    try:
        return x509.load_der_x509_certificate(der)
    except Exception as error:  # the library has several kinds of them for what is malformed
        raise ValueError(str(error)[:200] or type(error).__name__) from None


def names(certificate: x509.Certificate) -> tuple[str, ...]:
    """The subject (RFC 4514) and the alternative names of a certificate."""
    from cryptography import x509

    found = [certificate.subject.rfc4514_string()]
    try:
        others = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        for kind in (x509.RFC822Name, x509.UniformResourceIdentifier, x509.DNSName):
            found += others.get_values_for_type(kind)
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        pass
    return tuple(name for name in found if name)


def _by_certificate(
    chain: Sequence[x509.Certificate],
    who: tuple[str, ...],
    publishers: tuple[Publisher, ...],
    now: datetime,
) -> Proof:
    leaf, *between = chain
    said = tuple(("name", name) for name in who)
    why = "the policy names no root certificate for this repository"
    standing = Standing.OTHER
    for publisher in publishers:
        if publisher.root is None:
            continue
        standing = Standing.UNPROVEN
        failed = _chain(leaf, between, publisher.root, now)
        if failed:
            why = f"its certificate does not lead to the policy's root: {failed}"
            if _chain(leaf, between, publisher.root, leaf.not_valid_before_utc) == "":
                until = leaf.not_valid_after_utc.date().isoformat()
                why = f"a certificate of its chain is out of date (the signer's ends {until})"
                if publisher.subject in who:
                    return Proof(Standing.EXPIRED, publisher.name, why, said)
            continue
        if publisher.subject in who:
            why = "its certificate leads to the policy's root"
            return Proof(Standing.VALID, publisher.name, why, said)
        standing, why = Standing.OTHER, "the policy trusts its root, and not this name"
    return Proof(standing, who[0] if who else "", why, said)


def _chain(
    leaf: x509.Certificate, between: list[x509.Certificate], roots: str, at: datetime
) -> str:
    """Why the certificate does not lead to one of the roots at that time; empty where it does.

    A web server's certificate is none for signing: the purpose *code signing* is demanded.
    """
    from cryptography import x509
    from cryptography.x509.oid import ExtendedKeyUsageOID
    from cryptography.x509.verification import (
        Criticality,
        ExtensionPolicy,
        PolicyBuilder,
        Store,
        VerificationError,
    )

    def purpose(policy: Any, certificate: Any, extension: Any) -> None:
        if ExtendedKeyUsageOID.CODE_SIGNING not in extension:
            raise ValueError("its purpose is not code signing")

    def signs(policy: Any, certificate: Any, extension: Any) -> None:
        if extension is not None and not extension.digital_signature:
            raise ValueError("its key is not for signatures")

    def certifies(policy: Any, certificate: Any, extension: Any) -> None:
        if extension is not None and not extension.key_cert_sign:
            raise ValueError("an issuer's key is not for certificates")

    def authority(policy: Any, certificate: Any, extension: Any) -> None:
        if not extension.ca:
            raise ValueError("an issuer is no authority")

    any_way = Criticality.AGNOSTIC
    signer = (
        ExtensionPolicy.permit_all()
        .require_present(x509.ExtendedKeyUsage, any_way, purpose)
        .may_be_present(x509.KeyUsage, any_way, signs)
    )
    issuer = (
        ExtensionPolicy.permit_all()
        .require_present(x509.BasicConstraints, any_way, authority)
        .may_be_present(x509.KeyUsage, any_way, certifies)
    )
    try:
        verifier = (
            PolicyBuilder()
            .store(Store(x509.load_pem_x509_certificates(roots.encode())))
            .time(at)
            .max_chain_depth(8)
            .extension_policies(ca_policy=issuer, ee_policy=signer)
            .build_client_verifier()
        )
        verifier.verify(leaf, between)
    except (VerificationError, ValueError, x509.UnsupportedGeneralNameType) as error:
        return str(error)[:300]
    return ""


# -- by Sigstore ----------------------------------------------------------------------------------


class _Reading(Struct):
    """Takes any identity and notes it: whose it must be is asked afterwards, of a certificate that
    has proven authentic."""

    certificate: x509.Certificate | None = field(default=None)

    def verify(self, cert: x509.Certificate) -> None:
        self.certificate = cert


def _by_sigstore(
    signature: Signature,
    leaf: x509.Certificate,
    who: tuple[str, ...],
    publishers: tuple[Publisher, ...],
) -> Proof:
    try:
        public = public_root()
    except (ImportError, OSError):
        return Proof(Standing.UNTRIED, "", EXTRA)
    roots = {p.trust_root.encode() for p in publishers if p.trust_root is not None} or {public}
    if any(p.identity is not None and p.trust_root is None for p in publishers):
        roots.add(public)
    why = ""
    for root in sorted(roots):
        instance = PUBLIC if root == public else "the policy's Sigstore instance"
        known = f"{instance}, trust root of {root_date(root)}"
        why = _authentic(signature, root)
        if why:
            why = f"it does not hold against {known}: {why}"
            continue
        said = (*((("name", n)) for n in who), *_extensions(leaf), ("trust root", known))
        for publisher in publishers:
            trusted = publisher.trust_root.encode() if publisher.trust_root else public
            if publisher.identity is None or publisher.issuer is None or trusted != root:
                continue
            issued = {value for label, value in said if label == "issuer"} == {publisher.issuer}
            for name in who if issued else ():
                if fnmatchcase(name, publisher.identity):
                    signer = f"{name} (by {publisher.issuer})"
                    return Proof(Standing.VALID, signer, f"it holds against {known}", said)
        name = next(iter(who), "nobody")
        issuers = ", ".join(sorted({v for label, v in said if label == "issuer"}))
        why = f"it holds against {known}"
        return Proof(Standing.OTHER, f"{name} (by {issuers})", why, said)
    return Proof(Standing.UNPROVEN, "", why, tuple(("claims the name", n) for n in who))


def _authentic(signature: Signature, root: bytes) -> str:
    """Why a bundle does not prove what it claims; empty where it does. Uses no network."""
    from sigstore.models import Bundle, TrustedRoot
    from sigstore.verify import Verifier
    from sigstore_models.trustroot.v1 import TrustedRoot as Said

    try:
        verifier = Verifier(trusted_root=TrustedRoot(Said.from_json(root)))
        bundle = Bundle.from_json(signature.bundle)
        reading = _Reading()
        if signature.payload_type:
            said = verifier.verify_dsse(bundle, reading)
            if said != (signature.payload_type, signature.payload):
                return "it is read in two ways"
        else:
            from sigstore.hashes import Hashed
            from sigstore_models.common.v1 import HashAlgorithm

            digest = bytes.fromhex(signature.files[0].value) if signature.files else b""
            hashed = Hashed(algorithm=HashAlgorithm.SHA2_256, digest=digest)
            verifier.verify_artifact(hashed, bundle, reading)
    except Exception as error:  # the library lets those of its own dependencies through, too
        return (str(error) or type(error).__name__)[:300]
    if reading.certificate is None:
        return "no certificate was verified"
    return _same(reading.certificate, signature)


def _same(certificate: x509.Certificate, signature: Signature) -> str:
    from cryptography.hazmat.primitives.serialization import Encoding

    der = certificate.public_bytes(Encoding.DER)
    return "" if der == signature.certificates[0] else "it holds two certificates of a signer"


def _extensions(certificate: x509.Certificate) -> tuple[tuple[str, str], ...]:
    """What Fulcio wrote into the certificate of the account that asked for it."""
    found: list[tuple[str, str]] = []
    for extension in certificate.extensions:
        oid = extension.oid.dotted_string
        number = oid.removeprefix(_FULCIO)
        if oid != number and number in _EXTENSIONS:
            raw: bytes = getattr(extension.value, "value", b"")
            value = raw if number == "1" else _utf8(raw)
            found.append((_EXTENSIONS[number], value.decode("utf-8", "replace")[:500]))
    return tuple(dict.fromkeys(found))


def _utf8(der: bytes) -> bytes:
    """The text of a DER UTF8String."""
    if len(der) < 2 or der[0] != 0x0C:
        return b""
    if der[1] < 0x80:
        return der[2 : 2 + der[1]]
    octets = der[1] & 0x7F
    size = int.from_bytes(der[2 : 2 + octets])
    return der[2 + octets : 2 + octets + size]
