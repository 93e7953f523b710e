"""Container images: layers are descended into, and a layer's links are the image's own."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import sys
import tarfile
from pathlib import Path

import pytest

from pickles import RUNS
from weighbridge.core.finding import Action
from weighbridge.core.format import Limits
from weighbridge.core.report import Examined
from weighbridge.core.tree import Held
from weighbridge.engine.audit import run
from weighbridge.engine.examine import examine
from weighbridge.engine.ruleset import load

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

Entry = tuple[str, bytes, str | bytes]
FILE, LINK, HARD, DEVICE = tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE


def tarred(*entries: Entry) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for name, kind, content in entries:
            info = tarfile.TarInfo(name)
            info.type = kind
            if isinstance(content, bytes):
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
            else:
                info.linkname = content
                archive.addfile(info)
    return made.getvalue()


ROOT: tuple[Entry, ...] = (
    ("etc/os-release", FILE, b"NAME=small\n"),
    ("bin", LINK, "usr/bin"),
    ("etc/mtab", LINK, "/proc/mounts"),
    ("usr/lib/x/y", LINK, "../../../../../lib/x"),
    ("usr/bin/perl5", HARD, "usr/bin/perl"),
    ("usr/bin/perl6", HARD, "/usr/bin/perl"),
    ("dev/null", DEVICE, ""),
    ("etc/.wh.old", FILE, b""),
    ("opt/.wh..wh..opq", FILE, b""),
)


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def saved(*layers: bytes) -> bytes:
    """As `docker save` writes it today: an image layout with a manifest of its own."""
    names = [f"blobs/sha256/{digest(layer)}" for layer in layers]
    manifest = [{"Config": "config.json", "RepoTags": ["m:1"], "Layers": names}]
    files: list[Entry] = [(n, FILE, d) for n, d in zip(names, layers, strict=True)]
    files += [
        ("oci-layout", FILE, b'{"imageLayoutVersion": "1.0.0"}'),
        ("manifest.json", FILE, json.dumps(manifest).encode()),
    ]
    return tarred(*files)


def look(data: bytes, name: str = "image.tar") -> Examined:
    return examine(Held(name, data), load(), Limits())


def escapes(data: bytes, name: str = "image.tar") -> list[str]:
    return [f.symbol for f in look(data, name).findings if f.check == "archive-escape"]


@pytest.mark.parametrize("packed", [bytes, gzip.compress, zstd.compress])
def test_links_of_a_layer_are_the_images_own(packed: type[bytes]) -> None:
    examined = look(saved(packed(tarred(*ROOT))))
    assert examined.findings == ()
    assert examined.gaps == ()


def test_the_older_layouts() -> None:
    layer = tarred(*ROOT)
    assert escapes(tarred((f"{'0a' * 32}/layer.tar", FILE, layer))) == []
    assert escapes(tarred((f"{'0a' * 32}.tar", FILE, layer))) == []


def test_the_same_links_elsewhere_are_accused() -> None:
    layer = tarred(*ROOT)
    assert escapes(layer, "weights.tar") == ["etc/mtab", "usr/lib/x/y", "usr/bin/perl6", "dev/null"]
    assert escapes(tarred(("layer.tar", FILE, layer)))


def test_what_leaves_the_image_is_accused() -> None:
    layer = tarred(*ROOT, ("../../x", FILE, b"x"), ("a", HARD, "../../etc/shadow"))
    assert escapes(saved(gzip.compress(layer))) == ["../../x", "a"]


def test_a_model_in_a_layer_is_read() -> None:
    layer = tarred(*ROOT, ("models/m.pkl", FILE, RUNS))
    found = look(saved(gzip.compress(layer))).findings
    assert [f.symbol for f in found if f.action is Action.BLOCK] == ["os.system"]


def test_an_image_layout_in_a_folder(tmp_path: Path) -> None:
    layer = gzip.compress(tarred(*ROOT, ("models/m.pkl", FILE, RUNS)))
    blobs = tmp_path / "blobs/sha256"
    blobs.mkdir(parents=True)
    (blobs / digest(layer)).write_bytes(layer)
    (tmp_path / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    found = run(tmp_path).findings
    assert [f.symbol for f in found if f.action is Action.BLOCK] == ["os.system"]
