"""The packages of systems against the advisories of their releases."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from advisories import advisory, index, since
from weighbridge.core.finding import Finding, Gap, GapKind
from weighbridge.engine.audit import Audited, run

HIGH: dict[str, Any] = {"database_specific": {"severity": "HIGH"}}
ADVISORIES = (
    advisory("DSA-1", "openssl", *since(fixed="3.0.11-1~deb12u2"), ecosystem="Debian:12",
             versions=("3.0.11-1~deb12u1",), aliases=["CVE-1"], summary="memory", **HIGH),
    advisory("DEBIAN-CVE-1", "openssl", *since(fixed="3.0.11-1~deb12u2"), ecosystem="Debian:12",
             aliases=["CVE-1"]),
    advisory("DEBIAN-CVE-2", "zlib", *since(), ecosystem="Debian:12"),
    advisory("DEBIAN-CVE-3", "glibc", *since(fixed="2.36-9+deb12u4"), ecosystem="Debian:12",
             aliases=["CVE-9"]),
    advisory("DSA-2", "openssl", *since(fixed="9"), ecosystem="Debian:11"),
    advisory("DSA-3", "curl", *since(fixed="9"), ecosystem="Debian:12",
             withdrawn="2026-11-02T00:00:00Z"),
    advisory("USN-1", "openssl", *since(fixed="3.0.2-0ubuntu1.12"), ecosystem="Ubuntu:22.04:LTS"),
    advisory("ALPINE-1", "openssl", *since(fixed="3.1.4-r1"), ecosystem="Alpine:v3.18"),
    advisory("PYSEC-1", "openssl", *since()),
)  # fmt: skip
DEBIAN = 'ID=debian\nVERSION_ID="12"\nPRETTY_NAME="Debian GNU/Linux 12"\n'
UBUNTU = "NAME=Ubuntu\nVERSION_ID='22.04'\nID=ubuntu\n"
ALPINE = "ID=alpine\nVERSION_ID=3.18.4\n"
DPKG, APK, RELEASE = "var/lib/dpkg/status", "lib/apk/db/installed", "etc/os-release"


def dpkg(name: str, version: str, source: str = "") -> str:
    more = f"Source: {source}\n" if source else ""
    return f"Package: {name}\nStatus: install ok installed\n{more}Version: {version}\n\n"


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("advisories") / "index"
    return index(path, *ADVISORIES, exploited=("CVE-9",))


def audited(folder: Path, tree: dict[str, str], known: Path | None) -> Audited:
    for name, content in tree.items():
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(content)
    return run(folder, advisories=known)


def of(said: Audited) -> list[Finding]:
    return [f for f in said.findings if f.check == "affected-system-package"]


def gaps(said: Audited) -> list[Gap]:
    return [g for g in said.gaps if "dependencies" in g.controls]


@pytest.mark.parametrize(
    ("tree", "expected"),
    [
        ({DPKG: dpkg("libssl3", "3.0.11-1~deb12u1", "openssl"), RELEASE: DEBIAN},
         [("review", "repairs missing")]),
        ({DPKG: dpkg("openssl", "3.0.11-1~deb12u2"), RELEASE: DEBIAN}, []),
        ({DPKG: dpkg("openssl", "3.0.11-1~deb12u10"), RELEASE: DEBIAN}, []),
        # The rebuild has a higher number than its source; the source's counts.
        ({DPKG: dpkg("libssl3", "9:9", "openssl (3.0.11-1~deb12u1)"), RELEASE: DEBIAN},
         [("review", "repairs missing")]),
        ({DPKG: dpkg("zlib1g", "1:1.2.13.dfsg-1", "zlib"), RELEASE: DEBIAN},
         [("note", "not repaired")]),
        ({DPKG: dpkg("libc6", "2.36-9+deb12u3", "glibc"), RELEASE: DEBIAN},
         [("review", "glibc CVE-9")]),
        ({DPKG: dpkg("curl", "1"), RELEASE: DEBIAN}, []),
        ({DPKG: dpkg("openssl", "3.0.2-0ubuntu1.9"), RELEASE: UBUNTU},
         [("review", "repairs missing")]),
        ({DPKG: dpkg("openssl", "3.0.2-0ubuntu1.12"), "usr/lib/os-release": UBUNTU}, []),
        ({APK: "P:libssl3\nV:3.1.4-r0\no:openssl\n\n", RELEASE: ALPINE},
         [("review", "repairs missing")]),
        ({APK: "P:libssl3\nV:3.1.4-r1\no:openssl\n\n", RELEASE: ALPINE}, []),
        # Two systems in one target, each by its own release.
        ({f"a/{DPKG}": dpkg("openssl", "3.0.10-1"), f"a/{RELEASE}": DEBIAN,
          f"b/{DPKG}": dpkg("openssl", "3.0.10-1"), f"b/{RELEASE}": UBUNTU},
         [("review", "repairs missing")]),
    ],
)  # fmt: skip
def test_what_is_said(
    tree: dict[str, str], expected: list[tuple[str, str]], known: Path, tmp_path: Path
) -> None:
    said = audited(tmp_path, tree, known)
    assert [(f.action.value, f.symbol) for f in of(said)] == expected
    assert gaps(said) == []


def test_what_is_shown(known: Path, tmp_path: Path) -> None:
    status = dpkg("libssl3", "3.0.10-1", "openssl") + dpkg("openssl", "3.0.10-1")
    (found,) = of(audited(tmp_path, {DPKG: status, RELEASE: DEBIAN}, known))
    assert found.message == (
        "Debian GNU/Linux 12 has published repairs that are not installed: 1 package, 1 weakness, "
        "the gravest high"
    )
    assert (found.at.path, found.at.line) == (DPKG, 1)
    (table,) = found.evidence
    assert table.rows == (  # type: ignore[union-attr]
        ("openssl", "3.0.10-1", "CVE-1, DEBIAN-CVE-1, DSA-1", "high", "3.0.11-1~deb12u2",
         "libssl3, openssl"),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("release", "why"),
    [
        ("", "no os-release"),
        ("ID=debian\n", "names no release"),
        ("ID=rhel\nVERSION_ID=9\nNAME=Red\n", "no advisories of Red are kept"),
        (DEBIAN.replace("12", "13"), "weighbridge update --ecosystem Debian"),
    ],
)
def test_what_is_not_looked_up(release: str, why: str, known: Path, tmp_path: Path) -> None:
    tree = {DPKG: dpkg("openssl", "1")} | ({RELEASE: release} if release else {})
    said = audited(tmp_path, tree, known)
    assert of(said) == []
    (gap,) = gaps(said)
    assert (gap.kind, why in gap.message) == (GapKind.NOT_GIVEN, True)


def bill(*purls: str) -> dict[str, str]:
    components = [{"type": "library", "name": "a", "purl": purl} for purl in purls]
    return {"bom.json": json.dumps({"bomFormat": "CycloneDX", "components": components})}


def build(base: str, *packages: str, more: str = "") -> dict[str, str]:
    return {"Dockerfile": f"FROM {base}\n{more}RUN apt-get install -y {' '.join(packages)}\n"}


TELL = "what they were built from is not told"
LATER = "told when it is built"
NAMED: list[tuple[dict[str, str], list[tuple[str, str]], list[str]]] = [
    # Bills of materials: the release is in the package URL, and what it was built from.
    (bill("pkg:deb/debian/libssl3@3.0.11-1~deb12u1?arch=amd64&upstream=openssl&distro=debian-12"),
     [("review", "repairs missing")], []),
    (bill("pkg:deb/debian/libssl3@3.0.11-1~deb12u2?upstream=openssl%403.0.11-1~deb12u1"
          "&distro=debian-12.5"), [("review", "repairs missing")], []),
    (bill("pkg:deb/debian/libssl3@3.0.11-1~deb12u2?upstream=openssl&distro=debian-12"), [], []),
    (bill("pkg:deb/debian/openssl@3.0.10-1?distro=bookworm",
          "pkg:deb/debian/zlib@1?distro=debian-12"),
     [("note", "not repaired"), ("review", "repairs missing")], []),
    (bill("pkg:deb/ubuntu/openssl@3.0.2-0ubuntu1.9?distro=ubuntu-22.04"),
     [("review", "repairs missing")], []),
    (bill("pkg:apk/alpine/libssl3@3.1.4-r0?upstream=openssl&distro=3.18.4"),
     [("review", "repairs missing")], []),
    (bill("pkg:deb/debian/libssl3@3.0.10-1?distro=debian-12"), [], [TELL]),
    (bill("pkg:deb/debian/openssl@3.0.10-1"), [], ["of which release is not told"]),
    (bill("pkg:deb/debian/openssl@3.0.10-1?distro=debian-sid"), [], ["names no release"]),
    (bill("pkg:deb/mint/openssl@3.0.10-1?distro=linuxmint-21"), [], ["no advisories of Linuxmint"]),
    # Builds: the image's name tells the release, `=` the version.
    (build("debian:12-slim", "openssl=3.0.10-1"), [("review", "repairs missing")], []),
    (build("python:3.11-slim-bookworm", "openssl=3.0.11-1~deb12u2"), [], []),
    (build("ubuntu:jammy", "openssl=3.0.2-0ubuntu1.9"), [("review", "repairs missing")], []),
    (build("nvidia/cuda:12.4.1-runtime-ubuntu22.04", "openssl=3.0.2-0ubuntu1.9", "git"),
     [("review", "repairs missing")], [LATER]),
    (build("debian:12 AS a", "git", more="FROM a\n"), [], [LATER]),
    (build("debian:12 AS a", "openssl=3.0.10-1", more="FROM a\n"),
     [("review", "repairs missing")], []),
    (build("debian:12", "libssl3=3.0.10-1"), [], [TELL]),
    (build("python:3.11-slim", "openssl=3.0.10-1"), [], ["of which release is not told"]),
]  # fmt: skip


@pytest.mark.parametrize(("tree", "expected", "left"), NAMED)
def test_what_names_its_release(
    tree: dict[str, str],
    expected: list[tuple[str, str]],
    left: list[str],
    known: Path,
    tmp_path: Path,
) -> None:
    said = audited(tmp_path, tree, known)
    assert sorted((f.action.value, f.symbol) for f in of(said)) == expected
    assert sum("packages of" in g.message for g in gaps(said)) == len(left)
    assert all(any(why in g.message for g in gaps(said)) for why in left)


def test_the_build_of_a_test_is_judged_one_step_lower(known: Path, tmp_path: Path) -> None:
    tree = {"pyproject.toml": "", "src/a.py": "", ".github/workflows/a.yml": "on: push\njobs: {}\n"}
    (text,) = build("debian:12", "openssl=3.0.10-1").values()
    said = audited(tmp_path, tree | {"tests/Dockerfile": text}, known)
    assert [(f.action.value, f.at.path) for f in of(said)] == [("note", "tests/Dockerfile")]


def test_without_advisories_nothing_was_looked_up(tmp_path: Path) -> None:
    said = audited(tmp_path, {DPKG: dpkg("openssl", "1"), RELEASE: DEBIAN}, None)
    (gap,) = gaps(said)
    assert gap.kind is GapKind.OFFLINE


def test_a_version_that_is_none_is_a_gap(known: Path, tmp_path: Path) -> None:
    said = audited(tmp_path, {DPKG: dpkg("openssl", "what?"), RELEASE: DEBIAN}, known)
    assert ["cannot be compared" in g.message for g in gaps(said)] == [True]


def test_the_only_release_of_a_target_holds_for_all(known: Path, tmp_path: Path) -> None:
    tree = {f"upper/{DPKG}": dpkg("openssl", "3.0.10-1"), f"lower/{RELEASE}": DEBIAN}
    assert [f.symbol for f in of(audited(tmp_path, tree, known))] == ["repairs missing"]
