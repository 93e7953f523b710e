"""`weighbridge update` and `weighbridge serve-osv`, as a user runs them."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from advisories import advisory, index, since
from apps.running import ENVIRONMENT, WEIGHBRIDGE
from weighbridge.apps.cli.serve_osv import QUERIES_LIMIT, server


def call(home: Path, *arguments: str) -> tuple[int, str, str]:
    environment = {**ENVIRONMENT, "WEIGHBRIDGE_HOME": str(home), "NO_COLOR": "1"}
    done = subprocess.run(
        [*WEIGHBRIDGE, *arguments], capture_output=True, text=True, env=environment, cwd=home
    )
    return done.returncode, done.stdout, done.stderr


def test_from_a_folder_and_then_audited(tmp_path: Path) -> None:
    model, dump = tmp_path / "model", tmp_path / "dump"
    model.mkdir()
    dump.mkdir()
    (model / "requirements.txt").write_text("torch==2.5.1\n")
    code, out, _ = call(tmp_path, "audit", str(model), "--format", "json")
    assert code == 3
    assert "not looked up" in json.loads(out)["sentence"]
    made = advisory("CVE-1", "torch", *since(fixed="2.6.0"), summary="\x1b[31mred")
    (dump / "CVE-1.json").write_text(json.dumps(made))
    code, out, error = call(tmp_path, "update", "--from", str(dump))
    assert (code, error) == (0, "")
    assert out.startswith("1 advisories of dump, the newest of 2026-11-01; 0 exploited")
    code, out, _ = call(tmp_path, "audit", str(model), "--format", "json")
    report = json.loads(out)
    assert code == 0
    assert report["verdict"] == "review"
    (known,) = [i for i in report["intel"] if i["name"].startswith("advisories")]
    assert known == {"name": "advisories (1)", "date": "2026-11-01", "source": "dump", "count": 1,
                     "digest": known["digest"]}  # fmt: skip
    code, out, _ = call(tmp_path, "audit", str(model))
    assert "torch 2.5.1" in out
    assert "\x1b[31m" not in out


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["update", "--from", "nothing"], "nothing"),
        (["update", "--from", "empty"], "holds no advisories"),
        (["update", "--from", "empty", "--whole"], "use"),
        (["update", "--endpoint", "http://127.0.0.1:9"], "cannot be had"),
        (["serve-osv"], "weighbridge update"),
        (["serve-osv", "--port", "99999999"], "weighbridge update"),
    ],
)
def test_what_does_not_work_is_said(arguments: list[str], expected: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    code, out, error = call(tmp_path, *arguments)
    assert (code, out) == (2, "")
    assert error.startswith("weighbridge: ")
    assert expected in error
    assert os.listdir(tmp_path) == ["empty"]


class Client:
    def __init__(self, port: int) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)

    def ask(self, path: str, question: Any = None) -> tuple[int, Any]:
        body = None if question is None else json.dumps(question)
        self.connection.request("GET" if question is None else "POST", path, body)
        response = self.connection.getresponse()
        return response.status, json.loads(response.read())


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    made = index(
        tmp_path / "index",
        advisory("PYSEC-1", "Torch", *since(fixed="2.6.0"), published="2025-01-01T00:00:00+00:00"),
        advisory("PYSEC-2", "torch", *since(last_affected="2.0.0")),
        advisory("PYSEC-3", "torch", *since(), withdrawn="2026-01-01T00:00:00Z"),
    )
    offered = server(made)
    threading.Thread(target=offered.serve_forever, daemon=True).start()
    yield Client(offered.server_address[1])
    offered.shutdown()
    offered.server_close()


def test_the_interface_of_osv(client: Client) -> None:
    torch = {"name": "torch", "ecosystem": "PyPI"}

    def ids(question: dict[str, Any]) -> list[str]:
        status, said = client.ask("/v1/query", question)
        assert status == 200
        return [v["id"] for v in said.get("vulns", ())]

    assert ids({"package": torch, "version": "2.0.0+cu118"}) == ["PYSEC-1", "PYSEC-2"]
    assert ids({"package": torch, "version": "2.5"}) == ["PYSEC-1"]
    assert ids({"package": torch}) == ["PYSEC-1", "PYSEC-2"]
    assert ids({"package": torch, "version": "2.6"}) == []
    assert ids({"package": {"purl": "pkg:pypi/torch@2.5"}}) == ["PYSEC-1"]
    assert ids({"package": {"purl": "pkg:pypi/torch"}, "version": "2.0"}) == ["PYSEC-1", "PYSEC-2"]
    assert ids({"package": {"name": "torch", "ecosystem": "npm"}}) == []
    assert ids({"commit": "a1" * 20}) == []
    status, said = client.ask("/v1/vulns/PYSEC-1")
    assert (status, said["id"], said["published"]) == (200, "PYSEC-1", "2025-01-01T00:00:00Z")
    assert client.ask("/v1/vulns/PYSEC-3")[1]["withdrawn"]
    assert client.ask("/v1/vulns/PYSEC-9")[0] == 404
    assert client.ask("/v2/vulns/PYSEC-1")[0] == 404
    queries = [{"package": torch, "version": v} for v in ("2.5", "2.6")]
    status, said = client.ask("/v1/querybatch", {"queries": queries})
    assert [[v["id"] for v in r.get("vulns", ())] for r in said["results"]] == [["PYSEC-1"], []]
    assert said["results"][0]["vulns"][0]["modified"]


@pytest.mark.parametrize(
    ("path", "question", "status"),
    [
        ("/v1/query", {}, 400),
        ("/v1/query", [], 400),
        ("/v1/query", {"package": {"name": 1, "ecosystem": "PyPI"}}, 400),
        ("/v1/query", {"package": {"purl": "pkg:npm/a"}}, 400),
        ("/v1/querybatch", {"queries": 1}, 400),
        ("/v1/querybatch", {"queries": [{}] * (QUERIES_LIMIT + 1)}, 400),
        ("/v1/other", {}, 404),
    ],
)
def test_what_is_no_question(client: Client, path: str, question: Any, status: int) -> None:
    assert client.ask(path, question)[0] == status
