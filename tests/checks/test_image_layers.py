"""Layers of images: what is installed in them, what upper layers hide, and what they keep."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from advisories import advisory, index, since
from weighbridge.core.finding import Action, Finding
from weighbridge.core.format import Limits
from weighbridge.core.tree import Held
from weighbridge.engine.audit import Audited, run
from weighbridge.engine.examine import examine
from weighbridge.engine.ruleset import load
from wheels import FILES, HOSTILE, METADATA, package, wheel

SITE = "usr/lib/python3.12/site-packages"
DPKG = (
    "Package: openssl\nStatus: install ok installed\nVersion: 3.0.1\n\n"
    "Package: gone\nStatus: deinstall ok config-files\nVersion: 1\n"
)
Files = dict[str, bytes]


LINKS = {b"->": tarfile.SYMTYPE, b"=>": tarfile.LNKTYPE, b"!": tarfile.CHRTYPE}


def layer(files: Files) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for path, data in files.items():
            info = tarfile.TarInfo(path)
            for mark, kind in LINKS.items():
                if data.startswith(mark):
                    info.type, info.linkname = kind, data.removeprefix(mark).decode()
            info.size = len(data) if info.isreg() else 0
            archive.addfile(info, io.BytesIO(data))
    return made.getvalue()


def installed(name: str, version: str, files: Files | None = None) -> Files:
    """A package as it lies in a layer."""
    text = METADATA.replace("Name: demo", f"Name: {name}", 1).replace("1.0", version, 1)
    made = package(files or {}, f"{name}-{version}")
    made.pop(f"{name}-{version}.dist-info/RECORD")
    made[f"{name}-{version}.dist-info/METADATA"] = text.encode()
    return {f"{SITE}/{path}": data for path, data in made.items()}


def blob(data: bytes) -> tuple[str, str]:
    digest = hashlib.sha256(data).hexdigest()
    return f"blobs/sha256/{digest}", f"sha256:{digest}"


def layout(layers: list[bytes], config: dict[str, Any] | None = None) -> Files:
    """An OCI image layout with one image."""
    config = config or {}
    about = json.dumps({"os": "linux", "rootfs": {"type": "layers", "diff_ids": []}, **config})
    files = {blob(data)[0]: data for data in (*layers, about.encode())}
    manifest = json.dumps({
        "schemaVersion": 2,
        "config": {"digest": blob(about.encode())[1],
                   "mediaType": "application/vnd.oci.image.config.v1+json"},
        "layers": [{"digest": blob(data)[1],
                    "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip"} for data in layers],
    }).encode()  # fmt: skip
    files[blob(manifest)[0]] = manifest
    files["oci-layout"] = b'{"imageLayoutVersion": "1.0.0"}'
    entry = {"digest": blob(manifest)[1], "mediaType": "application/vnd.oci.image.manifest.v1+json"}
    files["index.json"] = json.dumps({"schemaVersion": 2, "manifests": [entry]}).encode()
    return files


def write(folder: Path, files: Files) -> Path:
    for path, data in files.items():
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
    return folder


def as_layout(layers: list[bytes], folder: Path) -> Path:
    return write(folder, layout([gzip.compress(data) for data in layers]))


def as_folder_within(layers: list[bytes], folder: Path) -> Path:
    write(folder / "image", layout(layers))
    write(folder, {"config.json": b'{"model_type": "a"}'})
    return folder


def as_archive(layers: list[bytes], folder: Path) -> Path:
    write(folder, {"image.tar": layer(layout([gzip.compress(data) for data in layers]))})
    return folder


def as_docker_save(layers: list[bytes], folder: Path) -> Path:
    names = [f"{n:064x}/layer.tar" for n in range(len(layers))]
    files = dict(zip(names, layers, strict=True))
    listed = [{"Config": "c.json", "RepoTags": ["m:1"], "Layers": names}]
    write(folder, {"image.tar": layer({**files, "manifest.json": json.dumps(listed).encode()})})
    return folder


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("advisories") / "index"
    return index(path, advisory("PYSEC-a", "ray", *since(fixed="2.10")),
                 advisory("PYSEC-b", "torch", *since(fixed="2.6")))  # fmt: skip


def affected(said: Audited) -> list[str]:
    return sorted(f.symbol for f in said.findings
                  if f.check == "affected-version" and f.at.path != ".")  # fmt: skip


WRITERS = (as_layout, as_folder_within, as_archive, as_docker_save)
CASES: list[tuple[str, list[Files], list[str]]] = [
    ("one layer", [installed("ray", "2.9")], ["ray 2.9"]),
    ("below another", [installed("ray", "2.9"), {"etc/x": b"y"}], ["ray 2.9"]),
    ("upgraded", [installed("ray", "2.9"), {f"{SITE}/.wh.ray-2.9.dist-info": b"",
                  **installed("ray", "2.10")}], []),
    ("removed with its folder", [installed("ray", "2.9"), {"usr/lib/.wh.python3.12": b""}], []),
    ("hidden by an opaque folder", [installed("ray", "2.9"), {f"{SITE}/.wh..wh..opq": b""}], []),
    ("removed and installed again",
     [installed("ray", "2.9"), {f"{SITE}/.wh.ray-2.9.dist-info": b""}, installed("ray", "2.9")],
     ["ray 2.9"]),
    ("a whiteout of something else",
     [installed("ray", "2.9"), {f"{SITE}/.wh.ray": b"", "usr/.wh.bin": b""}], ["ray 2.9"]),
    ("a whiteout below", [{f"{SITE}/.wh.ray-2.9.dist-info": b""}, installed("ray", "2.9")],
     ["ray 2.9"]),
    ("the same record replaced",
     [installed("ray", "2.9"),
      {f"{SITE}/ray-2.9.dist-info/METADATA": b"Metadata-Version: 2.1\nName: ray\nVersion: 2.11\n"}],
     []),
]  # fmt: skip


@pytest.mark.parametrize("writer", WRITERS, ids=lambda w: w.__name__)
@pytest.mark.parametrize(("layers", "expected"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_what_is_installed_in_an_image(
    writer: Any, layers: list[Files], expected: list[str], known: Path, tmp_path: Path
) -> None:
    folder = writer([layer(files) for files in layers], tmp_path)
    assert affected(run(folder, advisories=known)) == expected


def test_an_unpacked_root_file_system(known: Path, tmp_path: Path) -> None:
    write(tmp_path, {**installed("torch", "2.5"), "var/lib/dpkg/status": DPKG.encode()})
    said = run(tmp_path, advisories=known)
    assert affected(said) == ["torch 2.5"]


@pytest.mark.parametrize(
    ("path", "text", "expected"),
    [
        ("var/lib/dpkg/status", DPKG, [("openssl", "3.0.1", "Debian")]),
        ("var/lib/dpkg/status.d/libc6", "Package: libc6\nVersion: 2.36\n",
         [("libc6", "2.36", "Debian")]),
        ("lib/apk/db/installed", "P:musl\nV:1.2.5-r0\n\n", [("musl", "1.2.5-r0", "Alpine")]),
    ],
)  # fmt: skip
def test_packages_of_the_system_in_a_layer(
    path: str, text: str, expected: list[tuple[str, str, str]]
) -> None:
    data = layer(layout([gzip.compress(layer({path: text.encode()}))]))
    facts = examine(Held("image.tar", data), load(), Limits()).facts
    found = [
        (r.name, r.version, r.ecosystem) for f in facts for r in getattr(f, "requirements", ())
    ]
    assert found == expected


@pytest.mark.parametrize("writer", WRITERS, ids=lambda w: w.__name__)
@pytest.mark.parametrize(
    ("versions", "expected"),
    [(("3.0.10-1",), 1), (("3.0.10-1", "3.0.12-1"), 0), (("3.0.12-1", "3.0.10-1"), 1)],
)
def test_the_topmost_list_of_packages_counts(
    writer: Any, versions: tuple[str, ...], expected: int, tmp_path: Path
) -> None:
    """Each layer that installs something brings the whole list of dpkg anew; the release is told by
    the lowest alone."""
    told = index(tmp_path / "index", advisory("DSA-1", "openssl", *since(fixed="3.0.11-1"),
                                              ecosystem="Debian:12"))  # fmt: skip
    layers: list[Files] = [
        {"var/lib/dpkg/status": DPKG.replace("3.0.1\n", f"{version}\n").encode()}
        for version in versions
    ]
    layers[0]["etc/os-release"] = b'ID=debian\nVERSION_ID="12"\n'
    said = run(writer([layer(files) for files in layers], tmp_path / "image"), advisories=told)
    found = [f for f in said.findings if f.check == "affected-system-package"]
    assert len(found) == expected


# -- records, wheels and models in layers ----------------------------------------------------------


def found(data: bytes, check: str, name: str = "image.tar") -> list[Finding]:
    examined = examine(Held(name, data), load(), Limits())
    assert [g for g in examined.gaps if g.kind.value == "crashed"] == []
    return [f for f in examined.findings if f.check == check]


MADE = {f"{SITE}/{path}": data for path, data in package(FILES).items()}
NEXT = {f"{SITE}/{path}": data for path, data in package({**FILES, "demo/__init__.py": b"x = 2\n"},
                                                         "demo-1.1").items()}  # fmt: skip
INIT = f"{SITE}/demo/__init__.py"
RECORD = f"{SITE}/demo-1.0.dist-info/RECORD"
EVIL = b"import os\n"
HERE, LATER = "changed in its layer", "changed in a later layer"
GONE = {f"{SITE}/.wh.demo-1.0.dist-info": b"", f"{SITE}/.wh.demo": b""}
RECORDS: list[tuple[str, list[Files], list[tuple[str, str]]]] = [
    ("as installed", [MADE], []),
    ("in its own layer", [{**MADE, INIT: EVIL}], [(HERE, INIT)]),
    ("in a later layer", [MADE, {"etc/x": b""}, {INIT: EVIL}], [(LATER, INIT)]),
    ("twice", [MADE, {INIT: EVIL}, {INIT: b"pass\n"}], [(LATER, INIT)]),
    ("written anew as it was", [MADE, {INIT: MADE[INIT]}], []),
    ("and changed back", [MADE, {INIT: EVIL}, {INIT: MADE[INIT]}], []),
    ("mended above its own layer", [{**MADE, INIT: EVIL}, {INIT: MADE[INIT]}], []),
    ("removed", [MADE, {f"{SITE}/demo/.wh.__init__.py": b""}], []),
    ("changed and removed", [MADE, {INIT: EVIL}, {f"{SITE}/demo/.wh.__init__.py": b""}], []),
    ("changed and removed with its folder", [MADE, {INIT: EVIL}, {f"{SITE}/.wh.demo": b""}], []),
    ("its package is removed", [MADE, GONE, {INIT: EVIL}], []),
    ("an opaque folder between", [MADE, {"usr/lib/.wh..wh..opq": b""}, {INIT: EVIL}], []),
    ("a whiteout that leads up hides nothing",
     [MADE, {INIT: EVIL}, {f"{SITE}/.wh..": b"", f"{SITE}/demo/.wh...": b""}], [(LATER, INIT)]),
    ("absolute names and dots", [MADE, {f"/usr/./lib/../{INIT[4:]}": EVIL}], [(LATER, INIT)]),
    ("upgraded", [MADE, {**GONE, **NEXT}], []),
    ("upgraded, then changed", [MADE, {**GONE, **NEXT}, {INIT: MADE[INIT]}], [(LATER, INIT)]),
    ("the record alone is another", [MADE, {RECORD: NEXT[RECORD.replace("1.0", "1.1")]}],
     [(HERE, INIT)]),
    ("a file of no package", [MADE, {f"{SITE}/other.py": EVIL, "bin/x": b"#!x\n"}], []),
    ("a link in place of the folder", [MADE, {f"{SITE}/demo": b"->/opt/demo"}],
     [(LATER, f"{SITE}/demo")]),
    ("a link in place of the file", [MADE, {INIT: b"->/opt/demo.py"}], [(LATER, INIT)]),
    ("a hard link", [MADE, {f"{SITE}/a.py": EVIL, INIT: b"=>" + f"{SITE}/a.py".encode()}],
     [(LATER, INIT)]),
    ("a device", [MADE, {INIT: b"!"}], []),
]  # fmt: skip


@pytest.mark.parametrize("writer", WRITERS, ids=lambda w: w.__name__)
@pytest.mark.parametrize(
    ("layers", "expected"), [c[1:] for c in RECORDS], ids=[c[0] for c in RECORDS]
)
def test_files_of_packages_against_records_over_layers(
    writer: Any, layers: list[Files], expected: list[tuple[str, str]], tmp_path: Path
) -> None:
    said = run(writer([layer(files) for files in layers], tmp_path))
    told = [f for f in said.findings if f.check == "layer-record"]
    assert [(f.symbol, f.at.inside[-1]) for f in told] == expected
    assert all(f.action is Action.REVIEW for f in told)
    assert [g for g in said.gaps if g.kind.value == "crashed"] == []


def test_an_archive_that_is_no_layer_and_records_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(layer({**MADE, INIT: EVIL}))
    (tmp_path / "b.tar").write_bytes(layer({**MADE, RECORD: b"one,two,three,four\n"}))
    said = run(tmp_path)
    assert [f.symbol for f in said.findings if f.check == "layer-record"] == [HERE]
    assert any("no path, digest and size" in g.message for g in said.gaps)


def test_the_last_of_two_members_of_one_name_counts(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(layer(MADE))
    with tarfile.open(tmp_path / "a.tar", "a") as archive:
        again = tarfile.TarInfo(INIT)
        again.size = len(EVIL)
        archive.addfile(again, io.BytesIO(EVIL))
    said = [f.symbol for f in run(tmp_path).findings if f.check == "layer-record"]
    assert said == [HERE]


@pytest.mark.parametrize("packed", ["layer", "tar", "zip"])
def test_wheels_inside_other_archives_are_checked(packed: str) -> None:
    changed = wheel({**package(FILES), "demo/extra.py": b"", "demo/model.bin": HOSTILE})
    inner = {"opt/wheels/demo-1.0-py3-none-any.whl": changed}
    data = {"layer": layer(layout([gzip.compress(layer(inner))])), "tar": layer(inner),
            "zip": wheel(inner)}[packed]  # fmt: skip
    (record,) = found(data, "wheel-record")
    assert "not in the record" in record.message
    (call,) = found(data, "pickle-acting-call")
    assert call.action is Action.BLOCK
    assert call.at.inside[-2:] == ("opt/wheels/demo-1.0-py3-none-any.whl", "demo/model.bin")


def test_a_file_that_an_upper_layer_deletes_is_still_in_the_image() -> None:
    layers = [layer({"m/a.pkl": HOSTILE}), layer({"m/.wh.a.pkl": b""})]
    assert [f.action for f in found(layer(layout(layers)), "pickle-acting-call")] == [Action.BLOCK]


# -- configurations --------------------------------------------------------------------------------

TOKEN = "hf_" + "aB3dE5gH7jK9mN1pQ3rS5tU7vW9xY1zA2c"


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"config": {"User": "app", "Env": ["PATH=/bin", f"HF_TOKEN={TOKEN}"]}}, ["HF_TOKEN"]),
        ({"config": {"User": "app"}, "history": [{"created_by": f"ENV API_KEY={TOKEN}"}]},
         ["API_KEY"]),
        ({"config": {"User": "app"}, "history": [
            {"created_by": f"RUN |2 V=1 AWS_SECRET_ACCESS_KEY={TOKEN} /bin/sh -c make # bk"}]},
         ["AWS_SECRET_ACCESS_KEY"]),
        ({"config": {"User": "app"}, "history": [
            {"created_by": f"/bin/sh -c #(nop)  ENV DB_PASSWORD={TOKEN}"}]}, ["DB_PASSWORD"]),
        ({"config": {"User": "app"}, "history": [
            {"created_by": "RUN /bin/sh -c curl https://example.net/i.sh | sh # buildkit"}]},
         ["curl https://example.net/i.sh | sh"]),
        ({"config": {"User": "app"}, "history": [
            {"created_by": "RUN curl https://example.net/i.sh | sh"}]},  # as kaniko writes it
         ["curl https://example.net/i.sh | sh"]),
        ({"config": {"User": "0:0"}}, ["root"]),
        ({"config": {"Env": []}, "history": []}, ["root"]),
        ({"config": {"User": "1000", "Env": ["HF_TOKEN=changeme", "TOKEN_LIMIT=4096",
                                             "GPG_KEY=A035C8C19219BA821ECEA86B64E628F8D684696D"]},
          "history": [{"created_by": "RUN |1 HF_TOKEN= /bin/sh -c echo ENV API_KEY=abc"},
                      {"created_by": 7}, "x"]}, []),
    ],
)  # fmt: skip
def test_what_a_configuration_keeps(config: dict[str, Any], expected: list[str]) -> None:
    image = layer(layout([layer({"a": b"b"})], config))
    assert [f.symbol for f in found(image, "image-configuration")] == expected


def test_a_json_file_that_is_no_configuration() -> None:
    said = json.dumps({"config": {"Env": [f"HF_TOKEN={TOKEN}"]}, "rootfs": "x"}).encode()
    assert found(said, "image-configuration", "a.json") == []
