"""The index: built from zips and folders, asked by name, brought up to date over HTTP."""

from __future__ import annotations

import hashlib
import http.server
import json
import threading
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from advisories import REAL, advisory, index, since
from weighbridge.intel.advisories import update as updating
from weighbridge.intel.advisories.build import build, dump
from weighbridge.intel.advisories.index import (
    FILE,
    Index,
    NoIndex,
    age,
    facts_of,
    home,
    merged,
)
from weighbridge.intel.advisories.osv import Standing, judge, normalised
from weighbridge.intel.advisories.update import update

TABLE = Path(__file__).with_name("pip_audit.tsv")


def test_an_index_is_asked_by_name(tmp_path: Path) -> None:
    path = index(
        tmp_path / "index",
        advisory("PYSEC-1", "Some.Package", *since(fixed="2"), aliases=["CVE-1", "GHSA-1"]),
        advisory("GHSA-1", "some-package", *since(fixed="2"), aliases=["CVE-1"], summary="bad",
                 database_specific={"severity": "CRITICAL"}),
        advisory("PYSEC-2", "some_package", *since(), withdrawn="2026-11-02T00:00:00Z"),
        advisory("PYSEC-3", "other", *since()),
        advisory("RUSTSEC-1", "some-package", *since(), ecosystem="crates.io"),
        exploited=("CVE-1",),
    )  # fmt: skip
    with Index(path) as opened:
        known = opened.of("SOME__package")
        assert [k.id for k in known] == ["GHSA-1", "PYSEC-1", "PYSEC-2"]
        assert [k.exploited for k in known] == ["CVE-1", "CVE-1", ""]
        assert known[2].withdrawn
        one, two = merged(known)
        assert one.ids == ("CVE-1", "GHSA-1", "PYSEC-1")
        assert (one.severity, one.summary, one.exploited) == ("critical", "bad", "CVE-1")
        assert two.ids == ("PYSEC-2",)
        assert opened.of("nothing") == ()
        body = opened.body("PYSEC-1")
        assert body is not None
        assert json.loads(body)["id"] == "PYSEC-1"
        assert opened.body("PYSEC-9") is None
    facts = facts_of(path)
    assert (facts.count, facts.date, facts.exploited) == (5, "2026-11-01", 1)


def test_aliases_join_over_a_third_name(tmp_path: Path) -> None:
    path = index(
        tmp_path / "index",
        advisory("A-1", "a", *since(), aliases=["CVE-1"]),
        advisory("B-1", "a", *since(), aliases=["CVE-2"]),
        advisory("C-1", "a", *since(), aliases=["CVE-1", "CVE-2"]),
        advisory("D-1", "a", *since()),
    )
    with Index(path) as opened:
        assert [m.ids for m in merged(opened.of("a"))] == [
            ("CVE-1", "CVE-2", "A-1", "B-1", "C-1"), ("D-1",)
        ]  # fmt: skip


def test_the_digest_is_of_the_advisories_alone(tmp_path: Path) -> None:
    made = [advisory(f"X-{n}", "a", *since()) for n in range(4)]
    index(tmp_path / "one", *made)
    index(tmp_path / "two", *reversed(made))
    index(tmp_path / "three", *made[1:])
    digests = [facts_of(tmp_path / name).digest for name in ("one", "two", "three")]
    assert digests[0] == digests[1] != digests[2]


def write(folder: Path, *advisories: dict[str, Any]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for made in advisories:
        (folder / f"{made['id']}.json").write_text(json.dumps(made))
    return folder


def zipped(path: Path, *advisories: dict[str, Any]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("LICENSE.txt", "words")
        for made in advisories:
            archive.writestr(f"{made['id']}.json", json.dumps(made))
    return path


def test_zips_and_folders(tmp_path: Path) -> None:
    made = [advisory("X-1", "a", *since()), advisory("X-2", "b", *since())]
    catalogue = {"catalogVersion": "1", "vulnerabilities": [{"cveID": "X-2", "product": "b"}]}
    folder = write(tmp_path / "folder", *made)
    (folder / "known_exploited_vulnerabilities.json").write_text(json.dumps(catalogue))
    (folder / "broken.json").write_text('{"id": ')
    (folder / "other.json").write_text('["no advisory"]')
    one = build(dump(folder), tmp_path / "one", "folder")
    two = build(dump(zipped(tmp_path / "a.zip", *made)), tmp_path / "two", "zip")
    assert one.digest == two.digest
    assert (one.count, one.unread, one.exploited) == (2, 2, 1)
    assert (two.count, two.unread, two.exploited) == (2, 0, 0)


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x05\x06" + bytes(18)])
def test_what_is_no_dump_makes_no_index(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "dump.zip").write_bytes(content)
    old = index(tmp_path / "index", advisory("X-1", "a", *since()))
    with pytest.raises(NoIndex):
        build(dump(tmp_path / "dump.zip"), old, "dump.zip")
    assert facts_of(old).count == 1
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_what_is_no_index_is_said(tmp_path: Path) -> None:
    with pytest.raises(NoIndex, match="weighbridge update"):
        facts_of(tmp_path / "nothing")
    (tmp_path / "index").write_text("no database")
    with pytest.raises(NoIndex, match="no index"):
        facts_of(tmp_path / "index")


def test_where_it_lies(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WEIGHBRIDGE_HOME", str(tmp_path))
    assert home() == tmp_path
    monkeypatch.delenv("WEIGHBRIDGE_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert home() == tmp_path / "cache" / "weighbridge"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert home() == Path.home() / ".cache" / "weighbridge"
    assert FILE.endswith(".sqlite")


def test_age(tmp_path: Path) -> None:
    stamp = (datetime.now(UTC) - timedelta(days=20)).strftime("%Y-%m-%dT00:00:00Z")
    path = index(tmp_path / "index", advisory("X-1", "a", *since(), modified=stamp))
    assert age(facts_of(path)) == 20


class Bucket:
    """OSV's bucket on loopback; `asked` are the paths in order, with the status of each."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.asked: list[tuple[str, int]] = []
        bucket = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = bucket.files.get(self.path)
                tag = f'"{hashlib.sha256(body or b"").hexdigest()[:8]}"'
                status = 404 if body is None else 200
                if body is not None and self.headers.get("If-None-Match") == tag:
                    status, body = 304, b""
                bucket.asked.append((self.path, status))
                self.send_response(status)
                self.send_header("ETag", tag)
                self.send_header("Content-Length", str(len(body or b"")))
                self.end_headers()
                self.wfile.write(body or b"")

            def log_message(self, format: str, *arguments: object) -> None:
                """Say nothing."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def publish(self, tmp_path: Path, *advisories: dict[str, Any], ecosystem: str = "PyPI") -> None:
        newest = sorted(advisories, key=lambda a: a["modified"], reverse=True)
        rows = "".join(f"{a['modified']},{a['id']}\n" for a in newest)
        place = f"/{ecosystem}"
        self.files = {p: d for p, d in self.files.items() if not p.startswith(f"{place}/")}
        self.files |= {f"{place}/{a['id']}.json": json.dumps(a).encode() for a in advisories}
        self.files[f"{place}/modified_id.csv"] = rows.encode()
        self.files[f"{place}/all.zip"] = zipped(tmp_path / "all.zip", *advisories).read_bytes()
        self.asked.clear()


@pytest.fixture
def bucket() -> Iterator[Bucket]:
    made = Bucket()
    yield made
    made.server.shutdown()
    made.server.server_close()


def test_updates(tmp_path: Path, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(updating, "BACK_OFF", 0.0)
    path, told = tmp_path / "index", list[str]()

    def again(whole: bool = False) -> tuple[int, list[tuple[str, int]]]:
        bucket.asked.clear()
        return update(path, told.append, bucket.url, None, whole).count, bucket.asked[:]

    old = [advisory(f"X-{n}", "a", *since(fixed=f"{n}")) for n in range(5)]
    bucket.publish(tmp_path, *old)
    assert again() == (5, [("/PyPI/modified_id.csv", 200), ("/PyPI/all.zip", 200)])
    # Nothing has changed: one question, by its ETag.
    assert again() == (5, [("/PyPI/modified_id.csv", 304)])
    # One is new and one has changed: those two are fetched.
    changed = advisory("X-1", "a", *since(fixed="9"), modified="2026-11-20T00:00:00Z")
    new = advisory("X-9", "b", *since(), modified="2026-11-21T00:00:00Z")
    bucket.publish(tmp_path, *(changed if a["id"] == "X-1" else a for a in old), new)
    assert again() == (6, [("/PyPI/modified_id.csv", 200), ("/PyPI/X-9.json", 200),
                           ("/PyPI/X-1.json", 200)])  # fmt: skip
    with Index(path) as opened:
        fixed = {k.id: judge("5", k.said) for k in opened.of("a")}
        assert fixed["X-1"] is Standing.AFFECTED
        assert fixed["X-2"] is Standing.CLEAR
        assert len(opened.of("b")) == 1
    assert facts_of(path).date == "2026-11-21"
    # An advisory that is gone is forgotten when everything is fetched again.
    bucket.publish(tmp_path, *old)
    assert again(whole=True)[0] == 5
    # Very many changes are fetched in one piece.
    monkeypatch.setattr(updating, "CHANGES_LIMIT", 1)
    bucket.publish(tmp_path, *old, new, changed | {"id": "X-10"})
    assert again() == (7, [("/PyPI/modified_id.csv", 200), ("/PyPI/all.zip", 200)])
    # What cannot be had leaves the old one.
    bucket.files.clear()
    with pytest.raises(NoIndex, match="404"):
        again()
    assert facts_of(path).count == 7


def test_several_ecosystems(tmp_path: Path, bucket: Bucket) -> None:
    path, told = tmp_path / "index", list[str]()

    def again(*ecosystems: str) -> tuple[int, list[str]]:
        bucket.asked.clear()
        count = update(path, told.append, bucket.url, None, False, ecosystems).count
        return count, [f"{place} {status}" for place, status in bucket.asked]

    debian = advisory("DSA-1", "curl", *since(fixed="2-1"), ecosystem="Debian:12",
                      versions=("1-1", "1-2"))  # fmt: skip
    bucket.publish(tmp_path, advisory("X-1", "a", *since()))
    bucket.publish(tmp_path, debian, ecosystem="Debian")
    assert again() == (1, ["/PyPI/modified_id.csv 200", "/PyPI/all.zip 200"])
    # Another one joins, and stays.
    assert again("Debian") == (2, ["/PyPI/modified_id.csv 304", "/Debian/modified_id.csv 200",
                                   "/Debian/all.zip 200"])  # fmt: skip
    assert again() == (2, ["/PyPI/modified_id.csv 304", "/Debian/modified_id.csv 304"])
    with Index(path) as opened:
        (known,) = opened.of("curl", "Debian:12")
        assert judge("1-9", known.said, "Debian:12") is Standing.AFFECTED
        assert judge("2-1~deb12u1", known.said, "Debian:12") is Standing.AFFECTED
        assert judge("2-1", known.said, "Debian:12") is Standing.CLEAR
        assert (opened.holds("Debian:12"), opened.holds("Debian:13")) == (True, False)
        body = opened.body("DSA-1")
        assert body is not None
        assert json.loads(body) == debian
    # One has changed in one of them.
    mended = debian | {"modified": "2026-11-22T00:00:00Z", "summary": "anew"}
    bucket.publish(tmp_path, mended, ecosystem="Debian")
    assert again() == (2, ["/PyPI/modified_id.csv 304", "/Debian/modified_id.csv 200",
                           "/Debian/DSA-1.json 200"])  # fmt: skip
    with Index(path) as opened:
        assert [k.summary for k in opened.of("curl", "Debian:12")] == ["anew"]
        assert len(opened.of("a")) == 1


def test_the_catalogue_of_what_is_exploited(tmp_path: Path, bucket: Bucket) -> None:
    bucket.publish(tmp_path, advisory("X-1", "a", *since(), aliases=["CVE-2026-1"]))
    bucket.files["/kev.json"] = json.dumps({"vulnerabilities": [{"cveID": "CVE-2026-1"}]}).encode()
    path, told = tmp_path / "index", list[str]()
    assert update(path, told.append, bucket.url, f"{bucket.url}/kev.json").exploited == 1
    with Index(path) as opened:
        assert opened.of("a")[0].exploited == "CVE-2026-1"
    # It cannot be had: what was known stays, and that is said.
    del bucket.files["/kev.json"]
    assert update(path, told.append, bucket.url, f"{bucket.url}/kev.json").exploited == 1
    assert any("not known anew" in text for text in told)
    # Another catalogue over the same advisories.
    bucket.files["/kev.json"] = b'{"vulnerabilities": []}'
    assert update(path, told.append, bucket.url, f"{bucket.url}/kev.json").exploited == 0
    with Index(path) as opened:
        assert opened.of("a")[0].exploited == ""


def test_nothing_listens(tmp_path: Path) -> None:
    with pytest.raises(NoIndex, match="cannot be had"):
        update(tmp_path / "index", print, "http://127.0.0.1:9", None)
    assert not (tmp_path / "index").exists()


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("real") / "index"
    build(dump(REAL), path, "PyPA")
    return path


@pytest.mark.skipif(not REAL.is_file(), reason="the advisories are not beside the checkout")
def test_pip_audit_names_the_same(real: Path) -> None:
    """What pip-audit 2.10.1 said of 1,040 pins of 260 packages, over our server of the same data
    (`bench/dependencies.py`). It names every one that we name, and no other: there is no
    difference to explain. pip-audit leaves the versions to the server and reads names, aliases
    and withdrawals itself; `test_ranges_agree_…` holds the versions to an oracle of their own."""
    rows = [line.split("\t") for line in TABLE.read_text().splitlines()]
    assert len({pin.partition("==")[0] for pin, _, _ in rows}) >= 200
    assert len(rows) >= 1_000
    wrong = []
    with Index(real) as opened:
        for pin, count, digest in rows:
            name, _, version = pin.partition("==")
            known = [k for k in opened.of(normalised(name)) if not k.withdrawn]
            said = merged(k for k in known if judge(version, k.said) is Standing.AFFECTED)
            names = "\n".join(sorted(min(m.ids) for m in said))
            ours = (str(len(said)), hashlib.sha256(names.encode()).hexdigest()[:16])
            if ours != (count, digest):
                wrong.append((pin, count, len(said)))
    assert wrong == []
    assert sum(int(count) for _, count, _ in rows) > 2_000
    assert sum(count == "0" for _, count, _ in rows) > 40


@pytest.mark.skipif(not REAL.is_file(), reason="the advisories are not beside the checkout")
def test_real_advisories(real: Path) -> None:
    facts = facts_of(real)
    assert (facts.count, facts.unread, facts.date) == (2_661, 0, "2024-10-10")
    with Index(real) as opened:
        withdrawn = [k for n in ("requests", "pillow", "langchain") for k in opened.of(n)]
        assert withdrawn
        assert len(list(opened.bodies())) == 2_661
