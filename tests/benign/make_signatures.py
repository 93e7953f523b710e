"""Makes the signed models of the benign corpus with the reference implementation.

pip install model-signing==1.1.1 pyOpenSSL==26.4.0 sigstore==4.5.1 cryptography==50.0.2
python tests/benign/make_signatures.py tests/benign/files/model_signing

The private keys are thrown away; the public ones and the root lie beside the models.
"""

from __future__ import annotations

import json
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import model_signing
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)


def model(folder: Path) -> Path:
    """Three files, one of them in a folder below."""
    (folder / "tokenizer").mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"model_type": "tiny", "hidden_size": 2}))
    (folder / "tokenizer" / "vocab.txt").write_text("one\ntwo\n")
    header = json.dumps({"w": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}}).encode()
    data = len(header).to_bytes(8, "little") + header + bytes(16)
    (folder / "model.safetensors").write_bytes(data)
    return folder


def key(folder: Path, curve: ec.EllipticCurve) -> tuple[ec.EllipticCurvePrivateKey, Path]:
    """A new key, and where it is kept for the moment."""
    made = ec.generate_private_key(curve)
    place = folder / "key.pem"
    text = made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    place.write_bytes(text)
    return made, place


def public(made: ec.EllipticCurvePrivateKey) -> bytes:
    """The public part, PEM."""
    return made.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def certificate(
    name: str,
    own: ec.EllipticCurvePrivateKey,
    issuer: str,
    issuer_key: ec.EllipticCurvePrivateKey,
    authority: bool,
) -> x509.Certificate:
    """A certificate in force from 2020 for a hundred years."""
    begin = datetime(2020, 1, 1, tzinfo=UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, issuer)]))
        .public_key(own.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + timedelta(days=36_500))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(
            x509.KeyUsage(not authority, False, False, False, False, authority, authority, False,
                          False), critical=True,
        )
    )  # fmt: skip
    if not authority:
        purpose = x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.CODE_SIGNING])
        builder = builder.add_extension(purpose, critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def main(folder: Path) -> None:
    """Make all of them."""
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        for name, curve in (("p256", ec.SECP256R1()), ("p384", ec.SECP384R1())):
            made, private = key(place, curve)
            config = model_signing.signing.Config().use_elliptic_key_signer(private_key=private)
            whole = model(folder / name)
            config.sign(whole, whole / "model.sig")
            (folder / f"{name}.pub").write_bytes(public(made))
        made, private = key(place, ec.SECP256R1())
        (folder / "shards.pub").write_bytes(public(made))
        hashing = model_signing.hashing.Config().use_shard_serialization(shard_size=64)
        config = model_signing.signing.Config().use_elliptic_key_signer(private_key=private)
        whole = model(folder / "shards")
        config.set_hashing_config(hashing).sign(whole, whole / "model.sig")

        whole = model(folder / "single")
        config = model_signing.signing.Config().use_elliptic_key_signer(private_key=private)
        config.sign(whole / "model.safetensors", whole / "model.sig")
        (folder / "single.pub").write_bytes(public(made))

        root_key = ec.generate_private_key(ec.SECP256R1())
        root = certificate("Example root", root_key, "Example root", root_key, True)
        made, private = key(place, ec.SECP256R1())
        own = certificate("Example signing", made, "Example root", root_key, False)
        (place / "own.pem").write_bytes(own.public_bytes(Encoding.PEM))
        (folder / "root.pem").write_bytes(root.public_bytes(Encoding.PEM))
        whole = model(folder / "certificate")
        model_signing.signing.Config().use_certificate_signer(
            private_key=private,
            signing_certificate=place / "own.pem",
            certificate_chain=[folder / "root.pem"],
        ).sign(whole, whole / "model.sig")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
