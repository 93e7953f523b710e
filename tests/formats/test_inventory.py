"""Bills of materials: CycloneDX and SPDX in JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weighbridge.core.fact import Installs
from weighbridge.core.format import Limits
from weighbridge.core.location import Location
from weighbridge.core.tree import Held
from weighbridge.engine.examine import examine
from weighbridge.engine.ruleset import load
from weighbridge.formats.inventory import COMPONENTS, bill_of_materials

CYCLONE = {
    "bomFormat": "CycloneDX",
    "specVersion": "1.6",
    "components": [
        {"type": "library", "name": "torch", "purl": "pkg:pypi/torch@2.6.0%2Bcu124?extension=whl"},
        {"type": "library", "name": "curl", "purl": "pkg:deb/debian/curl@7.88.1-10?arch=amd64",
         "components": [{"type": "library", "name": "x", "purl": "pkg:pypi/nested@1"}]},
        {"type": "operating-system", "name": "debian"},
        {"type": "library", "name": "unknown"},
    ],
}  # fmt: skip
SPDX = {
    "spdxVersion": "SPDX-2.3",
    "documentDescribes": ["SPDXRef-image"],
    "packages": [
        {"name": "image", "SPDXID": "SPDXRef-image"},
        {"name": "vllm", "externalRefs": [
            {"referenceCategory": "SECURITY", "referenceType": "cpe23Type",
             "referenceLocator": "cpe:2.3:a:x"},
            {"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl",
             "referenceLocator": "pkg:pypi/vllm@0.8.4"},
        ]},
        {"name": "@a/b", "externalRefs": [
            {"referenceType": "purl", "referenceLocator": "pkg:npm/%40a/b@2.0.0"}]},
    ],
}  # fmt: skip


def facts(value: Any) -> list[Installs]:
    examined = examine(Held("bom.json", json.dumps(value).encode()), load(), Limits())
    return [f for f in examined.facts if isinstance(f, Installs)]


@pytest.mark.parametrize(
    ("value", "expected", "unread"),
    [
        (CYCLONE, [("torch", "2.6.0+cu124", "PyPI"), ("curl", "7.88.1-10", "Debian"),
                   ("nested", "1", "PyPI")], 1),
        (SPDX, [("vllm", "0.8.4", "PyPI"), ("@a/b", "2.0.0", "npm")], 0),
        ({"bomFormat": "CycloneDX", "components": "none"}, [], 0),
    ],
)  # fmt: skip
def test_what_is_listed(value: Any, expected: list[tuple[str, str, str]], unread: int) -> None:
    (fact,) = facts(value)
    assert fact.place == "inventory"
    assert [(r.name, r.version, r.ecosystem) for r in fact.requirements] == expected
    assert len(fact.unread) == unread


@pytest.mark.parametrize("value", [{"packages": []}, {"components": []}, [1], {"bomFormat": "x"}])
def test_other_json_is_none(value: Any) -> None:
    assert facts(value) == []


def test_very_many_components_are_bounded() -> None:
    one = {"type": "library", "name": "a", "purl": "pkg:pypi/a@1"}
    value = {"bomFormat": "CycloneDX", "components": [one] * (COMPONENTS + 10)}
    fact = bill_of_materials(value, Location("a"))
    assert fact is not None
    assert len(fact.requirements) == 1
    assert fact.unread


DPKG = (
    "Package: curl\nStatus: install ok installed\nVersion: 7.88.1-10\nDescription: a\n"
    " Package: no\n\nPackage: gone\nStatus: deinstall ok config-files\nVersion: 1\n\n"
    "Package: half\n\n"
)
APK = "C:Q1x=\nP:musl\nV:1.2.5-r0\nF:lib\nR:ld\n\nP:busybox\nV:1.36-r2\n"


@pytest.mark.parametrize(
    ("path", "text", "expected"),
    [
        ("var/lib/dpkg/status", DPKG, [("curl", "7.88.1-10", "Debian", 1)]),
        (
            "root/lib/apk/db/installed",
            APK,
            [("musl", "1.2.5-r0", "Alpine", 2), ("busybox", "1.36-r2", "Alpine", 7)],
        ),
        ("notes/status", DPKG, None),
        ("var/lib/dpkg/status", "words alone\n", None),
    ],
)
def test_packages_of_a_system(
    path: str, text: str, expected: list[tuple[str, str, str, int]] | None
) -> None:
    examined = examine(Held(path, text.encode()), load(), Limits())
    found = [f for f in examined.facts if isinstance(f, Installs)]
    told = [(r.name, r.version, r.ecosystem, r.line) for f in found for r in f.requirements]
    assert told == (expected or [])


KEYS = ["components", "purl", "name", "packages", "externalRefs", "type", "SPDXID"]
PLAIN = st.none() | st.text(max_size=5) | st.just("pkg:pypi/a@1")
ENTRY = st.dictionaries(st.sampled_from(KEYS), PLAIN | st.lists(PLAIN, max_size=2), max_size=4)
VALUE = st.dictionaries(st.sampled_from(KEYS), PLAIN | st.lists(PLAIN | ENTRY, max_size=3))


@given(VALUE)
def test_any_value_is_read(value: dict[str, Any]) -> None:
    for head in ({"bomFormat": "CycloneDX"}, {"spdxVersion": "SPDX-2.3"}):
        bill_of_materials({**value, **head}, Location("a"))
