"""What an index of packages knows: small requirements, an index on loopback, and what is said."""

from __future__ import annotations

import hashlib
import json
from argparse import Namespace
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checks.test_environment import SITE, write
from index_server import TYPE, PackageIndex, Project, serve
from weighbridge.apps.cli import UsageError
from weighbridge.apps.cli.audit import access
from weighbridge.core.document import Malformed
from weighbridge.core.finding import Action, Finding, Gap, GapKind
from weighbridge.core.tree import Held
from weighbridge.engine.audit import Audited, run
from weighbridge.formats import default_index
from weighbridge.formats.zip import read_member
from weighbridge.sources import package_index
from weighbridge.sources.package_index import Index
from weighbridge.sources.remote import SourceError
from weighbridge.sources.target import Access
from wheels import FILES, package, record, wheel

NOW = datetime.now(UTC)


def ago(**span: float) -> dict[str, Any]:
    return {"upload-time": (NOW - timedelta(**span)).strftime("%Y-%m-%dT%H:%M:%S.000000Z")}


def wheel_of(name: str) -> str:
    return f"{name}-py3-none-any.whl"


PLAIN: dict[str, dict[str, Any]] = {wheel_of("plain-1.0"): {}, wheel_of("plain-2.0"): {}}
SIGNED = {"provenance": "https://example.org/p"}
PROJECTS = {
    "plain": Project(PLAIN),
    "pip": Project({}),
    "gone": Project({wheel_of("gone-1.0"): {"yanked": "stolen account"}, "gone-1.1.tar.gz": {}}),
    "gone-whole": Project({wheel_of("gone_whole-1.0"): {"yanked": True}}),
    "half": Project({wheel_of("half-1.0"): {"yanked": "broken"}, "half-1.0.tar.gz": {}}),
    "seized": Project({}, status="quarantined", reason="reported as malware"),
    "shelved": Project({wheel_of("shelved-1.0"): {}}, status="archived"),
    "replaced": Project({wheel_of("replaced-1.0"): {}}, status="deprecated"),
    "bare": Project({}),
    "new-name": Project({wheel_of("new_name-0.1"): ago(days=3)}),
    "new-release": Project({wheel_of("new_release-1.0"): {},
                            wheel_of("new_release-1.1"): ago(hours=30)}),
    "torch": Project({wheel_of("torch-9.0"): ago(days=3)}),
    "untimed": Project({wheel_of("untimed-1.0"): {}}, old=True),
    "signed": Project({wheel_of("signed-1.0"): ago(days=300) | SIGNED,
                       wheel_of("signed-1.1"): ago(days=200) | SIGNED,
                       wheel_of("signed-1.2"): ago(days=100),
                       wheel_of("signed-1.0.1"): ago(days=90)}),
    "eggs": Project({"eggs-1.0-py2.7.egg": {}, "eggs-1.0.win32.exe": {}}, old=True),
}  # fmt: skip
CHECKS = ("index-answers", "missing-package", "quarantined-package", "yanked-release",
          "young-package", "requirement-digest", "package-attestation", "index-wheel",
          "index-record")  # fmt: skip
GOOD = hashlib.sha256(wheel_of("plain-1.0").encode()).hexdigest()
OTHER = "0" * 64


@pytest.fixture(scope="module")
def served() -> Iterator[PackageIndex]:
    index = PackageIndex(PROJECTS)
    with serve(index):
        yield index


def audited(folder: Path, tree: dict[str, str | bytes], *indexes: str, **more: Any) -> Audited:
    for name, content in tree.items():
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content.encode() if isinstance(content, str) else content)
    return run(folder, access=Access(indexes=indexes, **more))


def of(said: Audited, *checks: str) -> list[Finding]:
    """What these checks say; without any, what all say but for the count of attestations."""
    if checks:
        return [f for f in said.findings if f.check in checks]
    return [f for f in said.findings if f.check in CHECKS and f.symbol != "attestations"]


def gaps(said: Audited) -> list[Gap]:
    return [g for g in said.gaps if "index" in g.message and "dependencies" in g.controls]


CASES: list[tuple[str, set[tuple[str, str, str]]]] = [
    ("plain==1.0", set()),
    ("plain", set()),
    ("plain==3.0", {("missing-package", "review", "plain 3.0")}),
    ("plain==1.0+cu118", set()),
    ("plain==1", set()),
    ("made-up-by-a-model", {("missing-package", "review", "made-up-by-a-model")}),
    ("bare", {("missing-package", "review", "bare")}),
    ("eggs==1.0", set()),
    ("gone==1.0", {("yanked-release", "review", "gone 1.0")}),
    ("gone==1.1", set()),
    ("gone>=1.0", set()),
    ("gone-whole>=1.0", {("yanked-release", "review", "gone-whole >=1.0")}),
    ("half==1.0", {("yanked-release", "note", "half 1.0")}),
    ("seized==1.0", {("quarantined-package", "block", "seized quarantined")}),
    ("shelved==1.0", {("quarantined-package", "note", "shelved archived")}),
    ("replaced==1.0", {("quarantined-package", "note", "replaced deprecated")}),
    ("new_name==0.1", {("young-package", "review", "new-name 0.1")}),
    ("new-release==1.1", {("young-package", "note", "new-release 1.1")}),
    ("new-release==1.0", set()),
    ("torch==9.0", {("young-package", "note", "torch 9.0")}),
    ("untimed==1.0", set()),
    ("signed==1.1", set()),
    ("signed==1.2", {("package-attestation", "review", "signed 1.2")}),
    ("signed==1.0.1", set()),
    (f"plain==1.0 --hash=sha256:{GOOD}", set()),
    (f"plain==1.0 --hash=sha256:{GOOD.upper()}", set()),
    (f"plain==1.0 --hash=sha512:{'0' * 128}", set()),
    (f"plain==1.0 --hash=sha256:{OTHER}", {("requirement-digest", "review", "plain 1.0")}),
    (f"plain==1.0 --hash=sha256:{GOOD} --hash=sha256:{OTHER}",
     {("requirement-digest", "review", "plain 1.0")}),
    ("plain @ https://example.org/plain-1.0.tar.gz", set()),
    ("--extra-index-url https://example.org/simple\ninternal==1.0",
     {("missing-package", "review", "internal 1.0")}),
]  # fmt: skip


@pytest.mark.parametrize(("line", "expected"), CASES, ids=[c[0][:40] for c in CASES])
def test_what_is_said(
    line: str, expected: set[tuple[str, str, str]], served: PackageIndex, tmp_path: Path
) -> None:
    said = audited(tmp_path, {"requirements.txt": f"{line}\n"}, served.url)
    told = {(f.check, f.action.value, f.symbol) for f in of(said)}
    assert told == expected
    assert gaps(said) == []
    assert not [g for g in said.gaps if g.kind is GapKind.CRASHED]


def test_what_is_told(served: PackageIndex, tmp_path: Path) -> None:
    lines = "gone==1.0\nseized\nplain==3.0\nnew-release==1.1\nsigned==1.1\n"
    said = audited(tmp_path, {"requirements.txt": lines, "sub/requirements.txt": lines}, served.url)
    told = {f.check: f for f in of(said, *CHECKS)}
    host = served.url
    assert told["yanked-release"].message == "gone 1.0 was taken back: stolen account"
    (intel,) = [i for i in said.intel if i.name.startswith("index of packages")]
    assert (intel.source, intel.count, intel.date) == (host, 5, NOW.date().isoformat())
    assert said.coverage.transfer is not None
    assert [r.at.path for r in told["yanked-release"].related] == ["sub/requirements.txt"]
    assert told["missing-package"].message == f"plain 3.0: {host} has no such release"
    assert "one day old" in told["young-package"].message
    assert "1 of 3 releases" in told["package-attestation"].message
    (text,) = told["quarantined-package"].evidence
    assert text.text == "reported as malware"  # type: ignore[union-attr]


def test_nobody_is_asked_unless_that_was_wished(served: PackageIndex, tmp_path: Path) -> None:
    before = len(served.seen)
    said = audited(tmp_path, {"requirements.txt": "gone==1.0\n"})
    (note,) = of(said)
    assert (note.symbol, note.action) == ("index not asked", Action.NOTE)
    offline = audited(tmp_path, {}, served.url, offline=True)
    (gap,) = gaps(offline)
    assert (gap.kind, "--offline" in gap.message) == (GapKind.OFFLINE, True)
    assert len(served.seen) == before


def test_an_index_that_a_file_names_is_asked_only_if_it_may_be(
    served: PackageIndex, tmp_path: Path
) -> None:
    other = PackageIndex({"inner": Project({wheel_of("inner-1.0"): {"yanked": "old"}})})
    lock = '[[package]]\nname="inner"\nversion="1.0"\nsource={registry="%s"}\n'
    with serve(other):
        tree = {"uv.lock": lock % other.url.replace("http://", "http://me:secret@")}
        (gap,) = gaps(audited(tmp_path, dict(tree), served.url))
        assert (gap.kind, other.seen) == (GapKind.NOT_GIVEN, [])
        assert "secret" not in gap.message
        assert not any("/inner/" in path for path, _ in served.seen)
        said = audited(tmp_path, dict(tree), served.url, other.url)
        assert [f.check for f in of(said)] == ["yanked-release"]
        assert all("Authorization" not in headers for _, headers in other.seen)


def test_a_login_goes_to_its_own_index_alone(tmp_path: Path) -> None:
    outside = PackageIndex({"plain": Project(PLAIN)})
    with serve(outside):

        def move(path: str, counts: Counter[str]) -> tuple[int, dict[str, str], bytes]:
            return 302, {"Location": outside.url + "/plain/"}, b""

        index = PackageIndex({"plain": Project(PLAIN)})
        with serve(index):
            address = index.url.replace("http://", "http://me:secret@")
            assert of(audited(tmp_path, {"requirements.txt": "plain==1.0\n"}, address)) == []
            assert {h.get("Authorization", "")[:6] for _, h in index.seen} == {"Basic "}
            index.fault = move
            (gap,) = gaps(audited(tmp_path, {}, address))
            assert "redirected to another host" in gap.message
            assert "secret" not in gap.message
            assert outside.seen == []


ANSWERS: list[tuple[str, Any]] = [
    ("it gives no JSON", (200, {"Content-Type": "text/html"}, b"<html>")),
    ("no listing", (200, {"Content-Type": TYPE}, b'{"name": 1}')),
    ("no listing", (200, {"Content-Type": TYPE}, b"\xff")),
    ("of another project", (200, {"Content-Type": TYPE}, b'{"name": "other", "files": []}')),
    ("no gzip", (200, {"Content-Type": TYPE, "Content-Encoding": "gzip"}, b"plain")),
    ("encoded as br", (200, {"Content-Type": TYPE, "Content-Encoding": "br"}, b"plain")),
    ("access is refused", (403, {}, b"")),
    ("seems to be no index", (404, {}, b"")),
    ("redirected", (302, {"Location": "/simple/plain/"}, b"")),
]


@pytest.mark.parametrize(("why", "answer"), ANSWERS, ids=[a[0] for a in ANSWERS])
def test_what_is_not_answered_is_not_known(why: str, answer: Any, tmp_path: Path) -> None:
    index = PackageIndex({"plain": Project(PLAIN)}, fault=lambda path, counts: answer)
    with serve(index):
        said = audited(tmp_path, {"requirements.txt": "plain==1.0\n"}, index.url)
    (gap,) = gaps(said)
    assert gap.kind is GapKind.OFFLINE
    assert why in gap.message
    assert of(said) == []


def test_an_index_that_is_not_there_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("weighbridge.sources.http.BACK_OFF", 0.001)
    with serve(PackageIndex()) as url:
        pass
    names = "".join(f"name{n}\n" for n in range(50))
    said = audited(tmp_path, {"requirements.txt": names}, url)
    assert {g.kind for g in gaps(said)} == {GapKind.OFFLINE}
    assert any("does not answer" in g.message for g in gaps(said))
    assert of(said) == []


def test_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(package_index, "NAMES", 2)
    monkeypatch.setattr(package_index, "ANSWER_LIMIT", 200)
    index = PackageIndex({n: Project({wheel_of(f"{n}-1.0"): {}}) for n in ("a", "b", "c")})
    with serve(index) as url:
        found, failed = Index(url).ask(["c", "b", "a", "../up", "a" * 200])
        assert found == {}
        assert "not asked for" in failed["c"]
        assert all("-" in path or path.count("/") == 3 for path, _ in index.seen)
        assert not any(".." in path for path, _ in index.seen)
        monkeypatch.setattr(package_index, "SECONDS", -1.0)
        assert "not asked for" in Index(url).ask(["a"])[1]["a"]
    with pytest.raises(SourceError, match="begins with"):
        Index("ftp://example.org/simple")


def test_answers_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = PackageIndex({"plain": Project(PLAIN)})
    with serve(index) as url:
        first = Index(url, tmp_path).ask(["plain", "none"])[0]
        assert Index(url, tmp_path).ask(["plain"])[0]["plain"] == first["plain"]
        assert index.counts["/simple/plain/"] == 1
        monkeypatch.setattr(package_index, "FRESH", -1)
        assert Index(url, tmp_path).ask(["plain"])[0]["plain"] == first["plain"]
        assert index.counts["/simple/plain/"] == 2
        assert "If-None-Match" in index.seen[-1][1]
        index.projects["plain"].status = "quarantined"
        assert Index(url, tmp_path).ask(["plain"])[0]["plain"].status == "quarantined"
        (kept,) = tmp_path.rglob("plain.msgpack")
        kept.write_bytes(b"\xc1rubbish")
        assert Index(url, tmp_path).ask(["plain"])[0]["plain"].status == "quarantined"
        assert "If-None-Match" not in index.seen[-1][1]
        assert not list(tmp_path.rglob("none.msgpack"))


def test_files_are_read_from_safe_places_only() -> None:
    from weighbridge.core.listing import ListedFile

    index = Index("https://example.org/simple")
    for url, good in (("https://files.example.net/a.whl", True), ("http://a.net/a.whl", False),
                      ("file:///etc/passwd", False), ("https:///a.whl", False)):  # fmt: skip
        assert (index.remote(ListedFile("a.whl", "1", url, size=9)) is not None) is good
    assert index.remote(ListedFile("a.whl", "1", "https://example.org/a", size=-1)) is None


def test_a_state_by_either_name() -> None:
    for key in ("status", "state"):
        said = {"name": "a", "files": [], "project-status": {key: "quarantined"}}
        read = package_index.read(json.dumps(said).encode(), "a", "https://example.org/")
        assert read.status == "quarantined"


@pytest.mark.parametrize("url", ["http://[", "https://a:99999/x", "x" * 3_000])
def test_an_address_that_is_none(url: str) -> None:
    said = {"name": "a", "files": [{"filename": "a-1.tar.gz", "url": url}]}
    (file,) = package_index.read(json.dumps(said).encode(), "a", "https://example.org/").files
    assert file.url == ""
    assert Index("https://example.org/simple").remote(file) is None


@given(
    st.binary(max_size=200)
    | st.builds(
        lambda name, url, extra: (
            b'{"name": "a", "files": [{"filename": "%s", "url": "%s"%s}]}'
            % (name.encode(), url.encode(), extra)
        ),
        st.text("a-1.0whl", max_size=20),
        st.text("htps:/.[]@\\u0000", max_size=20),
        st.sampled_from([b"", b', "yanked": 1', b', "size": -5', b', "hashes": {"sha256": ""}']),
    )
)
def test_any_answer_is_a_listing_or_refused(data: bytes) -> None:  # fmt: skip
    with suppress(SourceError):
        package_index.read(data, "a", "https://example.org/simple/a/")


@given(st.binary(max_size=300), st.integers(0, 400), st.integers(0, 255))
def test_any_archive_gives_its_member_or_is_malformed(noise: bytes, at: int, byte: int) -> None:
    damaged = bytearray(wheel({"a.dist-info/RECORD": b"a.py,,\n", "b": b"x" * 40}))
    damaged[at % len(damaged)] = byte
    for data in (noise, bytes(damaged)):
        with suppress(Malformed):
            read_member(Held("a.whl", data), lambda name: name.endswith("RECORD"), 1_000)


def test_which_indexes_a_user_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    def allowed(*indexes: str, ask: bool = False) -> tuple[str, ...]:
        names = {"endpoint": None, "offline": False, "index": list(indexes), "ask_index": ask}
        return access(Namespace(**names)).indexes

    assert allowed() == ()
    assert allowed(ask=True) == (default_index.DEFAULT_INDEX,)
    assert allowed("https://example.org/s", ask=True) == ("https://example.org/s",)
    with pytest.raises(UsageError, match="begins with"):
        allowed("example.org/s")
    monkeypatch.setattr(default_index, "DEFAULT_INDEX", "")
    with pytest.raises(UsageError, match="no pip"):
        allowed(ask=True)


# -- wheels and installed packages -----------------------------------------------------------------


def test_a_wheel_on_disk(served: PackageIndex, tmp_path: Path) -> None:
    made = wheel(package(FILES))
    index = PackageIndex({"demo": Project({wheel_of("demo-1.0"): {"data": made}})})
    tree: dict[str, str | bytes] = {wheel_of("demo-1.0"): made}
    with serve(index) as url:
        said = audited(tmp_path, tree, url)
        assert (of(said, "index-wheel"), gaps(said)) == ([], [])
        changed = wheel(package({**FILES, "demo/__init__.py": b"x = 2\n"}))
        said = audited(tmp_path, {wheel_of("demo-1.0"): changed}, url)
        assert [f.action for f in of(said, "index-wheel")] == [Action.BLOCK]
        (tmp_path / wheel_of("demo-1.0")).unlink()
        said = audited(tmp_path, {wheel_of("demo-1.1"): made, "a b.whl": made}, url)
        assert ["does not name its digest" in g.message for g in gaps(said)] == [True]
        assert of(said, "index-wheel") == []


Files = dict[str, bytes]


def installed(folder: Path, files: Files, installer: bytes = b"pip\n", **more: bytes) -> None:
    """A package as an installer puts it there, its record written anew."""
    made = {p: d for p, d in package(files).items() if not p.endswith("RECORD")}
    made["demo-1.0.dist-info/WHEEL"] = b"Wheel-Version: 1.0\nTag: py3-none-any\n"
    made["demo-1.0.dist-info/INSTALLER"] = installer
    made |= {f"demo-1.0.dist-info/{n.replace('__', '.')}": d for n, d in more.items()}
    made["demo-1.0.dist-info/RECORD"] = record(made)
    write(folder / "env" / SITE, made)
    write(folder, {"model/config.json": b'{"a": 1}'})


def built(files: Files) -> bytes:
    made = {p: d for p, d in package(files).items() if not p.endswith("RECORD")}
    made["demo-1.0.dist-info/WHEEL"] = b"Wheel-Version: 1.0\nTag: py3-none-any\n"
    return wheel({**made, "demo-1.0.dist-info/RECORD": record(made)})


EXTRA = {"demo/extra.py": b"x = 1\n"}
CHANGED = {"demo/__init__.py": b"import os\n"}


@pytest.mark.parametrize(
    ("files", "told"),
    [
        (FILES, []),
        ({**FILES, **CHANGED}, ["other digests than"]),
        ({**FILES, **EXTRA}, ["files that are not in"]),
        ({**FILES, "demo/__pycache__/a.cpython-311.pyc": b"x", "../../../bin/demo": b"x"}, []),
        ({**FILES, **CHANGED, **EXTRA}, ["files that are not in", "other digests than"]),
    ],
)
def test_a_record_that_was_written_anew(files: Files, told: list[str], tmp_path: Path) -> None:
    padding = {f"demo/part{n}.bin": bytes(range(256)) * 4_000 for n in range(3)}
    index = PackageIndex(
        {"demo": Project({wheel_of("demo-1.0"): {"data": built(FILES | padding)}})}
    )
    installed(tmp_path, {**files, **padding})
    with serve(index) as url:
        said = of_environment(tmp_path, url)
    assert [f.symbol for f in of(said, "index-record")] == told
    assert gaps(said) == []
    assert of(said, "installed-record") == [] or "bin/demo" in str(files)
    assert index.sent < 200_000  # of a wheel whose members are three times as large


def of_environment(folder: Path, url: str) -> Audited:
    return run(
        folder / "model",
        access=Access(indexes=(url,), parts=(("env", str(folder / "env")),)),
    )


@pytest.mark.parametrize(
    ("more", "index", "why"),
    [
        ({"installer": b"conda"}, PackageIndex(), "put there by conda"),
        ({"direct_url__json": b"{}"}, PackageIndex(), "from an address"),
        ({}, PackageIndex({"demo": Project({"demo-1.0.tar.gz": {}})}), "no one wheel"),
        ({}, PackageIndex({"demo": Project({wheel_of("demo-1.0"): {"data": b"no zip" * 9}})}),
         "no directory"),
        ({}, PackageIndex({"demo": Project({wheel_of("demo-1.0"): {"data": wheel({"a": b""})}})}),
         "no record"),
        ({}, PackageIndex({"demo": Project({wheel_of("demo-1.0"): {"data": built(FILES) + bytes(
            300_000)}})}, ranges=False), "instead of a part"),
    ],
)  # fmt: skip
def test_what_is_not_held_against_the_index(
    more: dict[str, bytes], index: PackageIndex, why: str, tmp_path: Path
) -> None:
    installed(tmp_path, FILES, **more)
    with serve(index) as url:
        said = of_environment(tmp_path, url)
    assert of(said, "index-record") == []
    assert any(why in g.message and g.kind is GapKind.NOT_GIVEN for g in gaps(said)), gaps(said)


def test_what_a_package_brings_with_it_is_its_own(tmp_path: Path) -> None:
    """setuptools carries whole packages with their records; nobody installed those."""
    brought = {
        "demo/_vendor/other-1.0.dist-info/RECORD": b"a.py,sha256=AAAA,1\n",
        "demo/_vendor/other-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\n\n",
    }
    installed(tmp_path, {**FILES, **brought})
    index = PackageIndex(
        {"demo": Project({wheel_of("demo-1.0"): {"data": built({**FILES, **brought})}})}
    )
    with serve(index) as url:
        said = of_environment(tmp_path, url)
    assert of(said, "index-record") == []
    assert not any("/other/" in path for path, _ in index.seen)
