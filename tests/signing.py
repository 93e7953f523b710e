"""Signatures made for tests: keys, certificates, bundles, and a Sigstore instance of our own.

Everything is built here from the specifications: DSSE v1.0, in-toto Statement v1, Sigstore bundle
v0.3, RFC 5280, RFC 6962 (signed certificate timestamps), Rekor v1 entries.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

IN_TOTO = "application/vnd.in-toto+json"
NOW = datetime(2026, 6, 1, tzinfo=UTC)
Key = ec.EllipticCurvePrivateKey


def key(curve: type[ec.EllipticCurve] = ec.SECP256R1) -> Key:
    return ec.generate_private_key(curve())


def pem(made: Key) -> str:
    return made.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def der(made: Key) -> bytes:
    return made.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def hint(made: Key) -> str:
    return hashlib.sha256(pem(made).encode()).hexdigest()


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def statement(
    files: Mapping[str, bytes] | Sequence[tuple[str, str]], ignored: Sequence[str] = (), **more: Any
) -> bytes:
    """An in-toto statement as model signing 1.x makes it; `files` are contents, or digests."""
    pairs = (
        [(name, sha256(data)) for name, data in sorted(files.items())]
        if isinstance(files, Mapping)
        else list(files)
    )
    resources = [{"name": n, "algorithm": "sha256", "digest": d} for n, d in pairs]
    whole = sha256(b"".join(bytes.fromhex(d) for _, d in pairs))
    made = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "model", "digest": {"sha256": whole}}],
        "predicateType": "https://model_signing/signature/v1.0",
        "predicate": {
            "serialization": {
                "method": "files",
                "hash_type": "sha256",
                "allow_symlinks": False,
                "ignore_paths": list(ignored),
            },
            "resources": resources,
        },
    }
    return json.dumps(made | more).encode()


def before_1(files: Mapping[str, bytes]) -> bytes:
    """The statement of `model-signing` before its release 1.0."""
    subjects = [{"name": n, "digest": {"sha256": sha256(d)}} for n, d in sorted(files.items())]
    return json.dumps(
        {
            "_type": "https://in-toto.io/Statement/v1",
            "subject": subjects,
            "predicateType": "https://model_signing/Digests/v0.1",
            "predicate": {"unused": "Unused, just passed due to API requirements"},
        }
    ).encode()


def pae(payload: bytes, kind: str = IN_TOTO) -> bytes:
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind.encode(), len(payload), payload)


def ecdsa(made: Key, data: bytes) -> bytes:
    sizes = {384: hashes.SHA384(), 521: hashes.SHA512()}
    return made.sign(data, ec.ECDSA(sizes.get(made.curve.key_size, hashes.SHA256())))


def envelope(signature: bytes, payload: bytes, kind: str = IN_TOTO) -> dict[str, Any]:
    signatures = [{"sig": b64(signature), "keyid": ""}]
    return {"payload": b64(payload), "payloadType": kind, "signatures": signatures}


def bundle(material: dict[str, Any], content: dict[str, Any]) -> bytes:
    return json.dumps(
        {
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": {"tlogEntries": [], **material},
            **content,
        }
    ).encode()


def by_key(made: Key, payload: bytes, *, called: str | None = None, kind: str = IN_TOTO) -> bytes:
    """A bundle signed with a key, which it calls by its hint."""
    named = hint(made) if called is None else called
    signed = envelope(ecdsa(made, pae(payload, kind)), payload, kind)
    return bundle({"publicKey": {"hint": named}}, {"dsseEnvelope": signed})


# -- certificates ---------------------------------------------------------------------------------


@dataclass
class Authority:
    """A certificate authority and its key. `parent` is who certified it (None: itself)."""

    name: str = "Test root"
    parent: Authority | None = None
    start: datetime = NOW - timedelta(days=365)
    days: int = 3650
    ca: bool = True
    key: Key = field(default_factory=key)

    def __post_init__(self) -> None:
        self.certificate = issue(
            self.parent or self, self.name, self.key, self.start, self.days,
            x509.BasicConstraints(ca=self.ca, path_length=None), _usage(certificates=self.ca),
        )  # fmt: skip

    @property
    def subject(self) -> x509.Name:
        return named(self.name)

    @property
    def text(self) -> str:
        return self.certificate.public_bytes(Encoding.PEM).decode()


def named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)] if name else [])


def _usage(*, certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not certificates, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, key_cert_sign=certificates,
        crl_sign=certificates, encipher_only=False, decipher_only=False,
    )  # fmt: skip


def issue(
    issuer: Authority, name: str, own: Key, start: datetime, days: float, *extensions: Any
) -> x509.Certificate:
    builder = (
        x509.CertificateBuilder()
        .subject_name(named(name))
        .issuer_name(issuer.subject)
        .public_key(own.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=days))
    )
    for extension in extensions:
        critical = isinstance(extension, x509.BasicConstraints | x509.KeyUsage)
        critical |= isinstance(extension, x509.SubjectAlternativeName) and not name
        builder = builder.add_extension(extension, critical=critical)
    return builder.sign(issuer.key, hashes.SHA256())


CODE = ExtendedKeyUsageOID.CODE_SIGNING
WEB = ExtendedKeyUsageOID.SERVER_AUTH


def leaf(
    issuer: Authority, own: Key, name: str = "Example signing", *,
    purpose: x509.ObjectIdentifier | None = CODE, start: datetime | None = None, days: float = 3650,
) -> x509.Certificate:  # fmt: skip
    extensions: list[Any] = [_usage(certificates=False)]
    if purpose is not None:
        extensions.append(x509.ExtendedKeyUsage([purpose]))
    begin = start or NOW - timedelta(days=300)
    return issue(issuer, name, own, begin, days, *extensions)


def by_certificate(own: Key, chain: Sequence[x509.Certificate], payload: bytes) -> bytes:
    """A bundle signed with the key of the first certificate."""
    raw = [{"rawBytes": b64(c.public_bytes(Encoding.DER))} for c in chain]
    signed = envelope(ecdsa(own, pae(payload)), payload)
    return bundle({"x509CertificateChain": {"certificates": raw}}, {"dsseEnvelope": signed})


# -- Sigstore -------------------------------------------------------------------------------------


def _vector(data: bytes, octets: int) -> bytes:
    return len(data).to_bytes(octets) + data


def _utf8(text: str) -> bytes:
    assert len(text) < 128
    return b"\x0c" + bytes([len(text)]) + text.encode()


@dataclass
class Sigstore:
    """An instance of one's own: an authority, a log of certificates, a log of signatures."""

    authority: Authority = field(default_factory=lambda: Authority("Test Fulcio"))
    certificates: Key = field(default_factory=key)
    log: Key = field(default_factory=key)
    start: datetime = NOW - timedelta(days=30)

    def trust_root(self) -> str:
        begun = {"start": "2026-01-01T00:00:00Z"}

        def instance(made: Key) -> dict[str, Any]:
            return {
                "baseUrl": "https://log.example",
                "hashAlgorithm": "SHA2_256",
                "publicKey": {
                    "rawBytes": b64(der(made)),
                    "keyDetails": "PKIX_ECDSA_P256_SHA_256",
                    "validFor": begun,
                },
                "logId": {"keyId": b64(hashlib.sha256(der(made)).digest())},
            }

        raw = b64(self.authority.certificate.public_bytes(Encoding.DER))
        return json.dumps(
            {
                "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
                "tlogs": [instance(self.log)],
                "ctlogs": [instance(self.certificates)],
                "certificateAuthorities": [
                    {
                        "subject": {"organization": "test", "commonName": "test"},
                        "uri": "https://ca.example",
                        "certChain": {"certificates": [{"rawBytes": raw}]},
                        "validFor": begun,
                    }
                ],
                "timestampAuthorities": [],
            }
        )

    def certificate(self, own: Key, identity: str, issuer: str) -> x509.Certificate:
        """A certificate for ten minutes, with the time stamp of the log of certificates."""
        fulcio = "1.3.6.1.4.1.57264.1."
        extensions: list[Any] = [
            _usage(certificates=False),
            x509.ExtendedKeyUsage([CODE]),
            x509.SubjectAlternativeName([x509.UniformResourceIdentifier(identity)]),
            x509.UnrecognizedExtension(x509.ObjectIdentifier(fulcio + "1"), issuer.encode()),
            x509.UnrecognizedExtension(x509.ObjectIdentifier(fulcio + "8"), _utf8(issuer)),
            x509.UnrecognizedExtension(
                x509.ObjectIdentifier(fulcio + "12"), _utf8("https://github.com/example/models")
            ),
            x509.AuthorityKeyIdentifier.from_issuer_public_key(self.authority.key.public_key()),
        ]
        # Both are signed with the same serial number, so that they differ by the time stamp only.
        number = x509.random_serial_number()
        before = self._issue(own, number, extensions)
        stamp = x509.UnrecognizedExtension(
            x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2"),
            self._stamps(before.tbs_certificate_bytes),
        )
        return self._issue(own, number, [*extensions, stamp])

    def _issue(self, own: Key, number: int, extensions: list[Any]) -> x509.Certificate:
        builder = (
            x509.CertificateBuilder(extensions=[])
            .subject_name(named(""))
            .issuer_name(self.authority.subject)
            .public_key(own.public_key())
            .serial_number(number)
            .not_valid_before(self.start)
            .not_valid_after(self.start + timedelta(minutes=10))
        )
        for extension in extensions:
            critical = isinstance(extension, x509.KeyUsage | x509.SubjectAlternativeName)
            builder = builder.add_extension(extension, critical=critical)
        return builder.sign(self.authority.key, hashes.SHA256())

    def _stamps(self, tbs: bytes) -> bytes:
        """RFC 6962, section 3.2 and 3.3."""
        time = int(self.start.timestamp() * 1000).to_bytes(8)
        issuer = hashlib.sha256(der(self.authority.key)).digest()
        said = b"\0\0" + time + b"\0\1" + issuer + _vector(tbs, 3) + _vector(b"", 2)
        made = ecdsa(self.certificates, said)
        log = hashlib.sha256(der(self.certificates)).digest()
        stamp = b"\0" + log + time + _vector(b"", 2) + b"\4\3" + _vector(made, 2)
        stamps = _vector(_vector(stamp, 2), 2)
        size = len(stamps)
        head = bytes([size]) if size < 128 else b"\x81" + bytes([size])
        return b"\x04" + head + stamps

    def _entry(self, body: dict[str, Any]) -> dict[str, Any]:
        raw = json.dumps(body, separators=(",", ":"), sort_keys=True).encode()
        log_id = hashlib.sha256(der(self.log)).digest()
        at = int((self.start + timedelta(minutes=1)).timestamp())
        promised = {"body": b64(raw), "integratedTime": at, "logID": log_id.hex(), "logIndex": 0}
        said = json.dumps(promised, separators=(",", ":"), sort_keys=True).encode()
        root = hashlib.sha256(b"\0" + raw).digest()
        note = f"log.example - 1\n1\n{b64(root)}\n"
        made = b64(log_id[:4] + ecdsa(self.log, note.encode()))
        return {
            "logIndex": "0",
            "logId": {"keyId": b64(log_id)},
            "kindVersion": {"kind": body["kind"], "version": body["apiVersion"]},
            "integratedTime": str(at),
            "inclusionPromise": {"signedEntryTimestamp": b64(ecdsa(self.log, said))},
            "inclusionProof": {
                "logIndex": "0",
                "rootHash": b64(root),
                "treeSize": "1",
                "hashes": [],
                "checkpoint": {"envelope": f"{note}\n\u2014 log.example {made}\n"},
            },
            "canonicalizedBody": b64(raw),
        }

    def sign(self, payload: bytes, identity: str, issuer: str, **wrong: Any) -> bytes:
        """A keyless bundle. `signed` replaces what is signed, `logged` what the log says."""
        own = key()
        certificate = self.certificate(own, identity, issuer)
        made = ecdsa(own, pae(wrong.get("signed", payload)))
        shown = b64(certificate.public_bytes(Encoding.PEM))
        digest = sha256(wrong.get("logged", payload))
        body = {
            "apiVersion": "0.0.1",
            "kind": "dsse",
            "spec": {
                "envelopeHash": {"algorithm": "sha256", "value": sha256(b"not checked")},
                "payloadHash": {"algorithm": "sha256", "value": digest},
                "signatures": [{"signature": b64(made), "verifier": shown}],
            },
        }
        raw = {"rawBytes": b64(certificate.public_bytes(Encoding.DER))}
        material = {"certificate": raw, "tlogEntries": [self._entry(body)]}
        return bundle(material, {"dsseEnvelope": envelope(made, payload)})

    def sign_file(self, data: bytes, identity: str, issuer: str) -> bytes:
        """A keyless bundle over one file."""
        own = key()
        certificate = self.certificate(own, identity, issuer)
        made = ecdsa(own, data)
        shown = b64(certificate.public_bytes(Encoding.PEM))
        body = {
            "apiVersion": "0.0.1",
            "kind": "hashedrekord",
            "spec": {
                "data": {"hash": {"algorithm": "sha256", "value": sha256(data)}},
                "signature": {"content": b64(made), "publicKey": {"content": shown}},
            },
        }
        raw = {"rawBytes": b64(certificate.public_bytes(Encoding.DER))}
        digest = {"algorithm": "SHA2_256", "digest": b64(hashlib.sha256(data).digest())}
        return bundle(
            {"certificate": raw, "tlogEntries": [self._entry(body)]},
            {"messageSignature": {"messageDigest": digest, "signature": b64(made)}},
        )
