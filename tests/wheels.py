"""Wheels and installed packages, built by code with the records that belong to them."""

from __future__ import annotations

import base64
import hashlib
import io
import os
import pickle
import zipfile

METADATA = (
    "Metadata-Version: 2.4\nName: demo\nVersion: 1.0\nRequires-Dist: torch>=2.6\n"
    'Requires-Dist: pytest; extra == "test"\nRequires-Dist: numpy ; python_version < "3.13"\n\n'
    "Name: not a header\n"
)
FILES = {"demo/__init__.py": b"x = 1\n", "demo/data.txt": b"words\n"}


class Acting:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("true",)


HOSTILE = pickle.dumps(Acting())


def digest(data: bytes, algorithm: str = "sha256") -> str:
    raw = hashlib.new(algorithm, data).digest()
    return f"{algorithm}={base64.urlsafe_b64encode(raw).decode().rstrip('=')}"


def record(files: dict[str, bytes], name: str = "demo-1.0") -> bytes:
    rows = [f"{path},{digest(data)},{len(data)}" for path, data in files.items()]
    return "\n".join([*rows, f"{name}.dist-info/RECORD,,", ""]).encode()


def package(files: dict[str, bytes], name: str = "demo-1.0") -> dict[str, bytes]:
    """Files with the metadata and the record that belong to them."""
    made = {**files, f"{name}.dist-info/METADATA": METADATA.encode(),
            f"{name}.dist-info/WHEEL": b"Wheel-Version: 1.0\n"}  # fmt: skip
    return {**made, f"{name}.dist-info/RECORD": record(made, name)}


def wheel(files: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, data in files.items():
            archive.writestr(path, data)
    return made.getvalue()
