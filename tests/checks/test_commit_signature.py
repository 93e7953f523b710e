"""Signatures of commits: built by code with keys of their own."""

from __future__ import annotations

import base64
import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils
from cryptography.hazmat.primitives.hashes import SHA256, SHA512
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from weighbridge.analysis.commit_signature import proven
from weighbridge.analysis.signature import Standing
from weighbridge.core.origin import CommitSignature
from weighbridge.core.trust import Publisher

PAYLOAD = b"tree " + b"a" * 40 + b"\nauthor Ann <ann@example.org> 1 +0000\n\nA change\n"
Key = ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


def text(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


def number(value: int) -> bytes:
    return text(value.to_bytes(value.bit_length() // 8 + 1, "big"))


def signed(key: Key, payload: bytes = PAYLOAD, namespace: bytes = b"git") -> str:
    digest = hashlib.sha512(payload).digest()
    covered = b"SSHSIG" + text(namespace) + text(b"") + text(b"sha512") + text(digest)
    if isinstance(key, ed25519.Ed25519PrivateKey):
        made = text(b"ssh-ed25519") + text(key.sign(covered))
    elif isinstance(key, rsa.RSAPrivateKey):
        made = text(b"rsa-sha2-512") + text(key.sign(covered, padding.PKCS1v15(), SHA512()))
    else:
        r, s = utils.decode_dss_signature(key.sign(covered, ec.ECDSA(SHA256())))
        made = text(b"ecdsa-sha2-nistp256") + text(number(r) + number(s))
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).split()[1]
    blob = b"SSHSIG\0\0\0\1" + text(base64.b64decode(public)) + text(namespace) + text(b"")
    blob += text(b"sha512") + text(made)
    body = base64.encodebytes(blob).decode()
    return f"-----BEGIN SSH SIGNATURE-----\n{body}-----END SSH SIGNATURE-----"


def publisher(key: Key) -> Publisher:
    pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return Publisher(repository="*", key=pem.decode())


ED, RSA, EC = (
    ed25519.Ed25519PrivateKey.generate(),
    rsa.generate_private_key(65537, 2048),
    ec.generate_private_key(ec.SECP256R1()),
)
OTHER = ed25519.Ed25519PrivateKey.generate()
CASES: dict[str, tuple[str, list[Publisher], Standing]] = {
    "ed25519": (signed(ED), [publisher(OTHER), publisher(ED)], Standing.VALID),
    "rsa": (signed(RSA), [publisher(RSA)], Standing.VALID),
    "ecdsa": (signed(EC), [publisher(EC)], Standing.VALID),
    "another key": (signed(OTHER), [publisher(ED)], Standing.OTHER),
    "no publisher": (signed(ED), [], Standing.OTHER),
    "another commit": (signed(ED, PAYLOAD + b"x"), [publisher(ED)], Standing.BAD),
    "another purpose": (signed(ED, namespace=b"file"), [publisher(ED)], Standing.BAD),
    "openpgp": ("-----BEGIN PGP SIGNATURE-----\n\nx\n", [publisher(ED)], Standing.UNTRIED),
    "no base64": ("-----BEGIN SSH SIGNATURE-----\n!!\n", [], Standing.BAD),
    "cut": (signed(ED)[:120], [publisher(ED)], Standing.BAD),
    "empty": ("-----BEGIN SSH SIGNATURE-----", [], Standing.BAD),
}


@pytest.mark.parametrize("case", CASES)
def test_standing(case: str) -> None:
    armored, publishers, standing = CASES[case]
    proof = proven(CommitSignature(armored=armored, payload=PAYLOAD), publishers)
    assert proof.standing is standing, proof.why
