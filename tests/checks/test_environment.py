"""Wheels, source archives and installed environments against their own records."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from programs import elf
from weighbridge.analysis.ownership import made_from, ownership, source_of, vouched
from weighbridge.core.document import Malformed
from weighbridge.core.fact import Firmness, Installs
from weighbridge.core.finding import Action, Finding
from weighbridge.core.format import Limits
from weighbridge.core.tree import Held
from weighbridge.engine.audit import Audited, TargetError, run
from weighbridge.engine.examine import examine
from weighbridge.engine.ruleset import load
from weighbridge.engine.supervisor import INSTALLED
from weighbridge.formats.conda_installed import read_installed
from weighbridge.formats.installed import read_record
from weighbridge.sources.target import Access
from wheels import FILES, HOSTILE, METADATA, digest, package, wheel

SITE = "lib/python3.11/site-packages"


def of_wheel(data: bytes, check: str, name: str = "demo-1.0-py3-none-any.whl") -> list[Finding]:
    examined = examine(Held(name, data), load(), Limits())
    assert [g for g in examined.gaps if g.kind.value == "crashed"] == []
    return [f for f in examined.findings if f.check == check]


# -- wheels ----------------------------------------------------------------------------------------


def test_a_wheel_as_it_was_built() -> None:
    assert of_wheel(wheel(package(FILES)), "wheel-record") == []


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"demo/__init__.py": b"x = 2\n"}, "another content"),
        ({"demo/extra.py": b""}, "not in the record"),
        ({"setup.pth": b"x\n"}, "not in the record"),
        ({"demo/data.txt": None}, "not in the wheel"),
        ({"demo-1.0.dist-info/RECORD": None}, "without a record"),
    ],
)
def test_wheels_that_differ_from_their_record(change: dict[str, bytes | None], what: str) -> None:
    files = {k: v for k, v in {**package(FILES), **change}.items() if v is not None}
    (finding,) = of_wheel(wheel(files), "wheel-record")
    assert what in finding.message
    assert finding.action is Action.REVIEW


@pytest.mark.parametrize(
    ("row", "what"),
    [
        (f"demo/a.py,{digest(b'', 'md5')},0\n", "no digest"),
        ("demo/a.py,,\n", "no digest"),
        ("../../bin/x,,\n", "leads out"),
        ("/etc/x,,\n", "leads out"),
    ],
)
def test_records_that_hold_nothing(row: str, what: str) -> None:
    files = {**package(FILES), "demo/a.py": b""}
    if "leads" in what:
        files.pop("demo/a.py")
    files["demo-1.0.dist-info/RECORD"] += row.encode()
    assert any(what in f.message for f in of_wheel(wheel(files), "wheel-record"))


def test_archives_that_are_no_wheels_are_left_alone() -> None:
    assert of_wheel(wheel({"a/data.pkl": b"x"}), "wheel-record", "model.zip") == []


def test_a_record_that_is_none_is_a_gap() -> None:
    files = {**package(FILES), "demo-1.0.dist-info/RECORD": b"one,two,three,four\n"}
    examined = examine(Held("a.whl", wheel(files)), load(), Limits())
    assert any("no path, digest and size" in g.message for g in examined.gaps)


@given(st.binary(max_size=400))
def test_any_record_is_read_or_malformed(data: bytes) -> None:
    try:
        read_record(data.decode("utf-8", "replace"))
    except Malformed:
        return


@given(st.binary(max_size=300))
def test_any_metadata_is_read_or_malformed(data: bytes) -> None:
    for path, head in (("a.dist-info/METADATA", b"Metadata-Version:"),
                       ("a.dist-info/entry_points.txt", b"[")):  # fmt: skip
        examined = examine(Held(path, head + data), load(), Limits())
        assert [g for g in examined.gaps if g.kind.value == "crashed"] == []


def facts(name: str, data: bytes) -> list[Installs]:
    examined = examine(Held(name, data), load(), Limits())
    return [f for f in examined.facts if isinstance(f, Installs)]


def told(fact: Installs) -> list[tuple[str, str, Firmness]]:
    return [(r.name, r.version or r.specifier, r.firm) for r in fact.requirements]


def test_what_a_wheel_has_installed() -> None:
    (fact,) = facts("demo-1.0-py3-none-any.whl", wheel(package(FILES)))
    assert fact.place == "project"
    assert told(fact) == [("demo", "1.0", Firmness.EXACT), ("torch", ">=2.6", Firmness.RANGE),
                          ("numpy", "", Firmness.NONE)]  # fmt: skip


def sdist(files: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        for path, data in files.items():
            info = tarfile.TarInfo(f"demo-1.0/{path}")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return made.getvalue()


def test_what_a_source_archive_has_installed() -> None:
    files = {"PKG-INFO": METADATA.encode(), "src/demo.egg-info/PKG-INFO": METADATA.encode()}
    (fact,) = facts("demo-1.0.tar.gz", sdist(files))
    assert told(fact)[0] == ("demo", "1.0", Firmness.EXACT)


# -- incidents -------------------------------------------------------------------------------------


def test_fake_sdk_with_a_pickle_in_its_wheel() -> None:
    """2025-05: the payload was a model file inside the package; its record was right."""
    data = wheel(package({**FILES, "demo/model.pt": HOSTILE}))
    examined = examine(Held("aliyun_sdk-1.0-py3-none-any.whl", data), load(), Limits())
    assert Action.BLOCK in {f.action for f in examined.findings}
    assert of_wheel(data, "wheel-record") == []


@pytest.mark.parametrize("name", ["litellm_init.pth", "setup.pth"])
def test_pth_files_that_act(name: str) -> None:
    """2026-03 (litellm) and 2026-06: in the record, with the right digest."""
    line = b"import os, subprocess; subprocess.Popen(['true'])\n"
    found = of_wheel(wheel(package({**FILES, name: line})), "runs-by-itself")
    assert [f.action for f in found] == [Action.BLOCK]


def test_binding_gyp() -> None:
    """2026-06: node-gyp runs the commands of a `binding.gyp` at the install."""
    hostile = b'{"targets": [{"target_name": "a", "sources": ["<!(node index.js)"]}]}'
    plain = b'{"targets": [{"target_name": "a", "sources": ["a.cc"]}]}'
    built = b'{"targets": [{"target_name": "a", "actions": [{"action": ["sh", "-c", "true"]}]}]}'
    for data in (hostile, built):
        assert len(of_wheel(wheel(package({"binding.gyp": data})), "runs-by-itself")) == 1
    assert of_wheel(wheel(package({"binding.gyp": plain})), "runs-by-itself") == []


def test_setup_that_acts_while_it_is_installed() -> None:
    script = b"from setuptools import setup\nimport os\nos.system('true')\nsetup(name='demo')\n"
    examined = examine(Held("demo-1.0.tar.gz", sdist({"setup.py": script})), load(), Limits())
    assert [f.at.inside[-1] for f in examined.findings if f.check.startswith("source-")] == [
        "demo-1.0/setup.py"
    ]


def test_entry_points_that_are_loaded_at_the_start() -> None:
    said = b"[torch.backends]\nx = demo:go\n[console_scripts]\ndemo = demo:main\n"
    path = "demo-1.0.dist-info/entry_points.txt"
    (finding,) = of_wheel(wheel(package({path: said})), "startup-entry-point")
    assert "demo:go is loaded whenever torch is imported" in finding.message
    quiet = b"[console_scripts]\ndemo = demo:main\n# [torch.backends]\n"
    assert of_wheel(wheel(package({path: quiet})), "startup-entry-point") == []


# -- environments ----------------------------------------------------------------------------------


def write(folder: Path, files: dict[str, bytes]) -> None:
    for path, data in files.items():
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """A venv with one package in it, and a model beside it."""
    write(tmp_path / "model", {"config.json": b'{"a": 1}'})
    root = tmp_path / "env"
    files = {
        "demo/__init__.py": b"import subprocess\nsubprocess.run(['true'])\n",
        "demo/native.so": elf(),
        "demo/script": b"#!/bin/sh\ntrue\n",
        "demo/zone": b"TZif\x00\x01\x02",
        "demo/tests/old.pkl": HOSTILE,
        "demo/install.sh": b"curl https://example.net/i.sh | sh\n",
        "demo/.github/workflows/a.yml": b"on: push\njobs: {}\n",
        "demo/page.tpl": b"{{ ''.__class__.__mro__ }}",
    }
    write(root / SITE, package(files))
    write(root, {"pyvenv.cfg": b"home = /usr/bin\n", "bin/activate": b"# from bash\n"})
    (root / "bin/python3").symlink_to("/usr/bin/env")
    (root / "lib64").symlink_to("lib")
    return tmp_path


def audited(folder: Path) -> Audited:
    return run(folder / "model", access=Access(parts=(("env", str(folder / "env")),)))


def of(report: Audited, check: str) -> list[Finding]:
    return [f for f in report.findings if f.check == check]


def test_an_environment_as_it_was_installed(environment: Path) -> None:
    report = audited(environment)
    assert [f.message for f in report.findings if f.at.path.startswith("env:")] == []
    assert {g.kind.value for g in report.gaps} <= {"not-given", "offline"}
    hashed = [f for f in report.files if f.formats == (INSTALLED,)]
    assert len(hashed) == 10
    assert all(f.sha256 for f in hashed)


@pytest.mark.parametrize(
    ("path", "data", "what", "also"),
    [
        ("demo/__init__.py", b"import os\nos.system('true')\n", "changed since", "source-"),
        ("demo/extra.py", b"import os\nos.system('true')\n", "of no package", "source-"),
        ("top.py", b"import os\nos.system('true')\n", "of no package", "source-"),
        ("sitecustomize.py", b"x = 1\n", "of no package", "runs-by-itself"),
        ("setup.pth", b"import os; os.system('true')\n", "of no package", "runs-by-itself"),
        ("demo/weights.pkl", HOSTILE, "of no package", "pickle-acting-call"),
        ("hidden.pyc", b"\xa7\r\r\n" + bytes(12) + b"N", "without its source", ""),
        ("demo/__pycache__/gone.cpython-311.pyc", bytes(20), "without its source", ""),
    ],
)
def test_what_was_put_there_afterwards(
    environment: Path, path: str, data: bytes, what: str, also: str
) -> None:
    write(environment / "env" / SITE, {path: data})
    report = audited(environment)
    (finding,) = of(report, "installed-record")
    assert what in finding.message
    assert finding.action is Action.REVIEW
    assert not also or any(f.check.startswith(also) and f.at.path == f"env:{SITE}/{path}"
                           for f in report.findings)  # fmt: skip


def test_a_file_that_is_missing_is_a_note(environment: Path) -> None:
    (environment / "env" / SITE / "demo/zone").unlink()
    assert [f.action for f in of(audited(environment), "installed-record")] == [Action.NOTE]


def test_a_model_that_a_package_brings_is_read(environment: Path) -> None:
    write(environment / "env" / SITE, package({"sdk/model.bin": HOSTILE}, "sdk-2.0"))
    report = audited(environment)
    assert [f.action for f in of(report, "pickle-acting-call")] == [Action.BLOCK]
    assert of(report, "installed-record") == []


def test_pth_files_of_packages(environment: Path) -> None:
    plain = {"quiet.pth": b"import demo\n"}
    write(environment / "env" / SITE, package(plain, "quiet-1.0"))
    assert [f.action for f in of(audited(environment), "runs-by-itself")] == [Action.NOTE]
    acting = {"litellm_init.pth": b"import os; os.system('true')\n"}
    write(environment / "env" / SITE, package(acting, "litellm-1.82.8"))
    assert Action.BLOCK in {f.action for f in of(audited(environment), "runs-by-itself")}


def compiled(flags: int, size: int) -> bytes:
    return (
        b"\xa7\r\r\n" + flags.to_bytes(4, "little") + bytes(4) + size.to_bytes(4, "little") + b"N"
    )


@pytest.mark.parametrize(
    ("flags", "extra", "stray"), [(0, 0, False), (0, 1, True), (1, 0, True), (3, 0, False)]
)
def test_compiled_modules(environment: Path, flags: int, extra: int, stray: bool) -> None:
    site = environment / "env" / SITE
    size = (site / "demo/__init__.py").stat().st_size
    cached = "demo/__pycache__/__init__.cpython-311.pyc"
    write(site, {cached: compiled(flags, size + extra)})
    report = audited(environment)
    assert bool(of(report, "installed-record")) is stray
    assert any("compiled modules have no digest" in g.message for g in report.gaps)
    known = next(f for f in report.files if f.path.endswith(".pyc"))
    assert (known.formats == (INSTALLED,)) is not stray


def test_what_is_installed_is_a_requirement(environment: Path) -> None:
    site = environment / "env" / SITE
    (fact,) = facts("env:demo-1.0.dist-info/METADATA", (site / "demo-1.0.dist-info/METADATA")
                    .read_bytes())  # fmt: skip
    assert fact.place == "installed"
    assert told(fact) == [("demo", "1.0", Firmness.INSTALLED)]


def test_a_model_cannot_pretend_to_be_an_environment(tmp_path: Path) -> None:
    spoofed = tmp_path / "model"
    write(spoofed, {f"env:{p}": d for p, d in package({"evil.py": b"import os\n"
                    b"os.system('true')\n"}).items()})  # fmt: skip
    report = run(spoofed)
    assert not [f for f in report.files if f.formats == (INSTALLED,)]
    assert any(f.check.startswith("source-") for f in report.findings)
    joined = run(spoofed, access=Access(parts=(("env", str(tmp_path / "model")),)))
    accused = {f.at.path for f in joined.findings if f.check.startswith("source-")}
    assert "target:env:evil.py" in accused


@pytest.mark.parametrize("parts", [(), ("env",), ("source", "env")])
def test_names_that_look_like_parts_are_the_models_own(
    parts: tuple[str, ...], tmp_path: Path
) -> None:
    """Whatever is beside the target: its own files are judged as its own, by every check."""
    line = b"import os; os.system('true')\n"
    named = {"env:x.pth": line, "source:a/x.pth": line, "target:x.pth": line, "a-b:x.pth": line,
             "env:a/weights.pkl": HOSTILE, "source:README.md": b"x"}  # fmt: skip
    write(tmp_path / "model", {**named, "config.json": b'{"model_type": "a"}'})
    write(tmp_path / "other", {"notes.txt": b"words"})
    access = Access(parts=tuple((name, str(tmp_path / "other")) for name in parts))
    report = run(tmp_path / "model", access=access)
    blocked = {(f.check, f.at.path) for f in report.findings if f.action is Action.BLOCK}
    assert blocked == {("runs-by-itself", "target:env:x.pth"),
                       ("runs-by-itself", "target:source:a/x.pth"),
                       ("runs-by-itself", "target:target:x.pth"),
                       ("runs-by-itself", "target:a-b:x.pth"),
                       ("pickle-acting-call", "target:env:a/weights.pkl")}  # fmt: skip
    assert {f.path for f in report.files if f.path.startswith("target:")} == {
        f"target:{name}" for name in named
    }


def test_an_index_finds_the_shards_of_a_folder_that_looks_like_a_part(tmp_path: Path) -> None:
    index = b'{"metadata": {}, "weight_map": {"a": "env:w/a.pkl"}}'
    write(tmp_path, {"model.index.json": index, "env:w/a.pkl": HOSTILE})
    assert not any("a.pkl" in g.message and "there" in g.message for g in run(tmp_path).gaps)


def test_without_digests_nothing_is_vouched_for(environment: Path) -> None:
    from weighbridge.engine.supervisor import Settings

    report = run(
        environment / "model",
        Settings(digest=False),
        access=Access(parts=(("env", str(environment / "env")),)),
    )
    assert not [f for f in report.files if f.formats == (INSTALLED,)]
    assert any("were not compared" in g.message for g in report.gaps)


def test_an_environment_without_packages(tmp_path: Path) -> None:
    write(tmp_path, {"model/config.json": b'{"a": 1}', "env/notes.txt": b"words"})
    report = audited(tmp_path)
    assert any("no package with a record" in g.message for g in report.gaps)
    with pytest.raises(TargetError, match="--env"):
        run(tmp_path / "model", access=Access(parts=(("env", str(tmp_path / "env/notes.txt")),)))


def test_records_are_hostile_too() -> None:
    big = b"../../../../etc/passwd,sha256=AAAA,1\n/etc/shadow,,\na.py,sha256=%%%,x\n\n"
    blobs = {"env:x-1.dist-info/RECORD": Held("r", big), "env:a.py": Held("a", b"1"),
             "env:y-1.dist-info/RECORD": Held("r", b'"open\n')}  # fmt: skip
    found = ownership(blobs, blobs)
    assert [row for _, row in found.outside] == ["../../../../etc/passwd", "/etc/shadow"]
    assert found.owned["env:a.py"].sha256 == ""
    assert "env:a.py" not in vouched(blobs, lambda blob: b"")[1]


def test_a_record_of_the_target_owns_nothing_of_the_environment(environment: Path) -> None:
    stray, data = f"{SITE}/stray.py", b"x = 1\n"
    row = f"env:{stray},{digest(data)},{len(data)}\n"
    write(environment / "env", {stray: data})
    write(environment / "model", {"a-1.dist-info/RECORD": row.encode()})
    told = [f.message for f in of(audited(environment), "installed-record")]
    assert [m for m in told if "stray.py is of no package" in m]


def test_names_and_heads_of_compiled_modules() -> None:
    assert source_of("a/__pycache__/b.cpython-311.pyc") == "a/b.py"
    assert source_of("env:__pycache__/b.cpython-313.opt-2.pyc") == "env:b.py"
    assert source_of("a/b.pyc") is None
    assert not made_from(b"short", 5)


# -- conda -----------------------------------------------------------------------------------------


def conda(root: Path, files: dict[str, bytes], name: str = "demo-native") -> None:
    """A package as conda installs it, with its record."""
    paths = [
        {"_path": path, "path_type": "hardlink", "sha256": "0" * 64,
         "sha256_in_prefix": hashlib.sha256(data).hexdigest()}
        for path, data in files.items()
    ]  # fmt: skip
    paths.append({"_path": "lib/libdemo.so", "path_type": "softlink", "sha256": "1" * 64})
    said = {"name": name, "version": "2.1", "build": "h1_0", "files": [p["_path"] for p in paths],
            "paths_data": {"paths_version": 1, "paths": paths}}  # fmt: skip
    write(root, {**files, f"conda-meta/{name}-2.1-h1_0.json": json.dumps(said).encode()})


NATIVE = {"lib/libdemo.so.1": elf(), "bin/demo": b"#!/bin/sh\ntrue\n",
          f"{SITE}/demo2/__init__.py": b"import os\nos.system('true')\n"}  # fmt: skip


def test_what_conda_has_installed(environment: Path) -> None:
    root = environment / "env"
    conda(root, NATIVE)
    report = audited(environment)
    assert of(report, "installed-record") == []
    assert not any(f.check.startswith("source-") for f in report.findings)
    held = {f.path for f in report.files if f.formats == (INSTALLED,)}
    assert {f"env:{path}" for path in NATIVE} <= held
    (fact,) = facts("env:conda-meta/demo-2.1-0.json", b'{"name": "demo", "version": "2.1"}')
    assert told(fact) == [("demo", "2.1", Firmness.INSTALLED)]


@pytest.mark.parametrize("path", sorted(NATIVE))
def test_what_was_changed_behind_conda(environment: Path, path: str) -> None:
    conda(environment / "env", NATIVE)
    place = environment / "env" / path
    place.write_bytes(place.read_bytes() + b"\n")
    (finding,) = of(audited(environment), "installed-record")
    assert "changed since demo-native-2.1 (conda) was installed" in finding.message
    place.unlink()
    (finding,) = of(audited(environment), "installed-record")
    assert "not there" in finding.message


def test_an_environment_of_conda_alone(tmp_path: Path) -> None:
    write(tmp_path, {"model/config.json": b'{"a": 1}'})
    conda(tmp_path / "env", NATIVE)
    report = audited(tmp_path)
    assert of(report, "installed-record") == []
    assert not any("no package with a record" in g.message for g in report.gaps)
    write(tmp_path / "env", {"conda-meta/broken-1-0.json": b'{"name": 1}'})
    assert any("no record of conda" in g.message for g in audited(tmp_path).gaps)


@given(st.binary(max_size=200) | st.sampled_from([b'{"name":"a","version":"1","files":[""]}']))
def test_any_record_of_conda_is_read_or_malformed(data: bytes) -> None:
    with suppress(Malformed):
        read_installed(data)
    blobs = {"env:conda-meta/a-1-0.json": Held("r", data)}
    ownership(blobs, blobs)
