"""Makes the signed model of the benign corpus that an early release of model signing signed.

pip install model-signing==0.2.0 sigstore-protobuf-specs==0.3.2
python tests/benign/make_signatures_before_1.py tests/benign/files/model_signing

It signs another encoding and another statement than release 1.0. The private key is thrown away.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from model_signing.hashing import file as hashing
from model_signing.hashing.memory import SHA256
from model_signing.serialization.serialize_by_file import ManifestSerializer
from model_signing.signature.key import ECKeySigner
from model_signing.signing.in_toto import DigestsIntotoPayload
from model_signing.signing.in_toto_signature import IntotoSigner


def main(folder: Path) -> None:
    """Make it."""
    model = folder / "before_1"
    model.mkdir(parents=True, exist_ok=True)
    (model / "config.json").write_text(json.dumps({"model_type": "tiny", "hidden_size": 2}))
    (model / "notes.txt").write_text("signed in 2024's way\n")
    key = ec.generate_private_key(ec.SECP384R1())
    public = key.public_key()
    text = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (folder / "before_1.pub").write_bytes(text)
    serializer = ManifestSerializer(lambda path: hashing.SimpleFileHasher(path, SHA256()))
    with tempfile.TemporaryDirectory() as scratch:
        private = Path(scratch) / "key.pem"
        private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        signer = IntotoSigner(ECKeySigner.from_path(str(private)))
        payload = DigestsIntotoPayload.from_manifest(serializer.serialize(model))
        signer.sign(payload).write(model / "model.sig")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
