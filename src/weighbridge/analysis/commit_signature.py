"""Verifies a commit's SSH signature against the keys of the policy.

Format: OpenSSH's PROTOCOL.sshsig, and RFC 4251 section 5 for its strings. Needs the extra `sign`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Sequence
from typing import Any, Final

from weighbridge.analysis.signature import Proof, Standing
from weighbridge.core.origin import CommitSignature
from weighbridge.core.trust import Publisher

SSH: Final = "-----BEGIN SSH SIGNATURE-----"
PGP: Final = "-----BEGIN PGP SIGNATURE-----"
_END: Final = "-----END SSH SIGNATURE-----"
_MAGIC: Final = b"SSHSIG"
_HASHES: Final = {b"sha512": hashlib.sha512, b"sha256": hashlib.sha256}
MISSING: Final = "cryptography is not installed (weighbridge[sign])"


def proven(signature: CommitSignature, publishers: Sequence[Publisher]) -> Proof:
    """How the signature of a commit stands: `VALID` only by a key that the policy names."""
    if not signature.armored.startswith(SSH):
        kind = "an OpenPGP" if signature.armored.startswith(PGP) else "an X.509"
        return Proof(Standing.UNTRIED, "", f"it is {kind} signature, which is not verified here")
    try:
        parts = _parts(signature.armored)
    except ValueError as error:
        return Proof(Standing.BAD, "", str(error))
    key, namespace, reserved, algorithm, made = parts
    if namespace != b"git" or algorithm not in _HASHES:
        return Proof(Standing.BAD, "", "it is a signature over something else than a commit")
    digest = _HASHES[algorithm](signature.payload).digest()
    signed = _MAGIC + b"".join(map(_string, (namespace, reserved, algorithm, digest)))
    try:
        from cryptography.hazmat.primitives.serialization import (
            Encoding,
            PublicFormat,
            load_pem_public_key,
            load_ssh_public_key,
        )
    except ImportError:
        return Proof(Standing.UNTRIED, "", MISSING)
    try:
        algorithm, _ = _take(key, 0)
        public: Any = load_ssh_public_key(algorithm + b" " + base64.b64encode(key))
        good = _holds(public, made, signed)
    except Exception as error:  # whatever a library says of a key of the target's
        return Proof(Standing.BAD, "", f"its key cannot be read ({type(error).__name__})")
    if not good:
        return Proof(Standing.BAD, "", "it is no signature over this commit")
    der = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    for publisher in publishers:
        if publisher.key is None:
            continue
        known = load_pem_public_key(publisher.key.encode())
        if known.public_bytes(*der) == public.public_bytes(*der):
            return Proof(Standing.VALID, publisher.name, "an SSH key that the policy names")
    print_of = base64.b64encode(hashlib.sha256(key).digest()).decode().rstrip("=")
    return Proof(Standing.OTHER, "", f"the policy does not name its key SHA256:{print_of}")


def _parts(armored: str) -> tuple[bytes, bytes, bytes, bytes, bytes]:
    """Key, namespace, reserved, hash and signature. Raises `ValueError`."""
    body = armored.strip().removeprefix(SSH).partition(_END)[0]
    try:
        data = base64.b64decode("".join(body.split()), validate=True)
    except binascii.Error:
        raise ValueError("it is no base64") from None
    if not data.startswith(_MAGIC) or data[6:10] != b"\0\0\0\1":
        raise ValueError("it is no SSH signature of version 1")
    at, found = 10, []
    for _ in range(5):
        part, at = _take(data, at)
        found.append(part)
    if at != len(data):
        raise ValueError("bytes follow the signature")
    return found[0], found[1], found[2], found[3], found[4]


def _take(data: bytes, at: int) -> tuple[bytes, int]:
    length = int.from_bytes(data[at : at + 4], "big")
    end = at + 4 + length
    if at + 4 > len(data) or end > len(data):
        raise ValueError("it ends in the middle of a part")
    return data[at + 4 : end], end


def _string(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


def _holds(public: Any, made: bytes, signed: bytes) -> bool:
    """Whether a signature in SSH's encoding holds over these bytes."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils

    kind, at = _take(made, 0)
    value, _ = _take(made, at)
    try:
        if isinstance(public, ed25519.Ed25519PublicKey) and kind == b"ssh-ed25519":
            public.verify(value, signed)
        elif isinstance(public, rsa.RSAPublicKey) and kind in (b"rsa-sha2-512", b"rsa-sha2-256"):
            used = hashes.SHA512() if kind == b"rsa-sha2-512" else hashes.SHA256()
            public.verify(value, signed, padding.PKCS1v15(), used)
        elif isinstance(public, ec.EllipticCurvePublicKey):
            sized = {256: hashes.SHA256(), 384: hashes.SHA384(), 521: hashes.SHA512()}
            r, at = _take(value, 0)
            s, _ = _take(value, at)
            numbers = (int.from_bytes(r, "big", signed=True), int.from_bytes(s, "big", signed=True))
            der = utils.encode_dss_signature(*numbers)
            public.verify(der, signed, ec.ECDSA(sized[public.curve.key_size]))
        else:
            return False
    except InvalidSignature:
        return False
    return True
