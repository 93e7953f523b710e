"""Whether an advisory speaks of a version: the rules of OSV, and the real data as the oracle."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import InvalidVersion, Version

from advisories import REAL, advisory, since
from weighbridge.intel.advisories.build import dump
from weighbridge.intel.advisories.osv import (
    Advisory,
    Affected,
    Reach,
    Standing,
    canonical,
    fixes,
    judge,
    normalised,
    reach,
    read_affected,
)
from weighbridge.intel.advisories.severity import base_score, level

YES, NO, OPEN = Standing.AFFECTED, Standing.CLEAR, Standing.UNDECIDED


def said(*events: dict[str, str], versions: tuple[str, ...] = ()) -> Affected:
    import msgspec

    made = msgspec.convert(advisory("X-1", "a", *events, versions=versions), Advisory)
    assert made.affected is not None
    return read_affected(made.affected[0])


@pytest.mark.parametrize(
    ("version", "events", "versions", "expected"),
    [
        ("1.0", since(fixed="1.1"), (), YES),
        ("1.1", since(fixed="1.1"), (), NO),
        ("1.1rc1", since(fixed="1.1"), (), YES),
        ("0.9", since("1.0", fixed="2.0"), (), NO),
        ("2.0.0", since("0", last_affected="2.0.0"), (), YES),
        ("2.0.1", since("0", last_affected="2.0.0"), (), NO),
        # A build of one's own is judged as the public version too.
        ("2.0.0+cu118", since("0", last_affected="2.0.0"), (), YES),
        ("2.0.1+cu118", since("0", last_affected="2.0.0"), (), NO),
        ("2.0.0+cu118", since(fixed="2.0.0"), (), NO),
        ("2.0.0+cu118", (), ("2.0.0",), YES),
        ("2.0.0", (), ("2.0.0+cu118",), NO),
        # Events come in any order.
        ("1.5", ({"fixed": "1.2"}, {"introduced": "1.4"}, {"introduced": "0"}), (), YES),
        ("1.3", ({"fixed": "1.2"}, {"introduced": "1.4"}, {"introduced": "0"}), (), NO),
        ("2.0", ({"introduced": "2.0"}, {"introduced": "0"}, {"fixed": "2.0"}), (), YES),
        ("5.0", ({"introduced": "0"}, {"limit": "4.0"}), (), NO),
        ("3.0", ({"introduced": "0"}, {"limit": "4.0"}), (), YES),
        ("3.0", ({"introduced": "0"}, {"limit": "*"}), (), YES),
        # What is listed is affected, whatever the ranges say.
        ("3.0", since(fixed="2.0"), ("3.0",), YES),
        ("1", (), ("1.0.0",), YES),
        ("v1.0", (), ("1.0.0",), YES),
        ("1.0.post1", (), ("1.0",), NO),
        # What is no version of PEP 440 is compared as text.
        ("2004d-final", (), ("2004d-final",), YES),
        ("2004d-final", since(fixed="1.0"), ("2004e-final",), NO),
        ("2004d-final", since(fixed="1.0"), (), OPEN),
        ("2004d-final", since(), (), YES),
        ("1.0", ({"introduced": "0"}, {"fixed": "r12-x"}), (), OPEN),
        ("1.0", (), (), OPEN),
        ("1" * 5000, since(fixed="1.0"), (), OPEN),
    ],
)  # fmt: skip
def test_a_version(
    version: str, events: tuple[dict[str, str], ...], versions: tuple[str, ...], expected: Standing
) -> None:
    assert judge(version, said(*events, versions=versions)) is expected


@pytest.mark.parametrize(
    ("specifier", "events", "versions", "expected"),
    [
        (">=1", since(fixed="2.0"), ("1.0", "1.5"), Reach.MAY),
        (">=1,<2", since(fixed="2.0"), ("1.0", "1.5"), Reach.ONLY),
        ("~=1.5.0", since(fixed="2.0"), ("1.5.0",), Reach.ONLY),
        ("==1.*", since(fixed="1.9", introduced="0"), ("1.5",), Reach.MAY),
        (">=2", since(fixed="2.0"), ("1.0", "1.5"), Reach.NEVER),
        ("", since(fixed="2.0"), ("1.0",), Reach.MAY),
        ("", since(), ("1.0",), Reach.ONLY),
        (">=3", since(), ("1.0",), Reach.ONLY),
        ("", since("0", last_affected="1.5"), (), Reach.MAY),
        ("<=1.5", since("0", last_affected="1.5"), (), Reach.ONLY),
        (">=4", since("5.0", fixed="6.0"), (), Reach.MAY),
        (">=6", since("5.0", fixed="6.0"), (), Reach.NEVER),
    ],
)  # fmt: skip
def test_what_a_range_may_resolve_to(
    specifier: str, events: tuple[dict[str, str], ...], versions: tuple[str, ...], expected: Reach
) -> None:
    assert reach(specifier, said(*events, versions=versions)) is expected


def test_names_and_versions_have_one_spelling() -> None:
    assert {normalised(n) for n in ("A.b_c", "a--B-C", "a_b.c")} == {"a-b-c"}
    assert {canonical(v) for v in ("1", "1.0", "v1.0.0", " 1.0")} == {"1"}
    assert canonical("1.0-final x") == "1.0-final x"
    assert fixes(said(*since(fixed="1.10")), "1.9") == ("1.10",)
    assert fixes(said(*since(fixed="1.10")), "1.10") == ()


@given(st.text(max_size=40), st.text(max_size=40))
def test_any_text_can_be_judged(version: str, other: str) -> None:
    judge(version, said(*since(other, fixed=version), versions=(other,)))
    assert judge(version, said(versions=(version,))) in (YES, OPEN)


@pytest.mark.parametrize(
    ("vector", "expected"),
    [  # of the examples of FIRST, and of NVD
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", 9.8),
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H", 10.0),
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N", 6.1),
        ("CVSS:3.0/AV:L/AC:L/PR:L/UI:N/S:U/C:H/I:N/A:N", 5.5),
        ("CVSS:3.1/AV:N/AC:H/PR:N/UI:N/S:U/C:N/I:N/A:H", 5.9),
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:N", 0.0),
        ("CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N", None),
        ("AV:N/AC:L/Au:N/C:P/I:P/A:P", None),
        ("CVSS:3.1/AV:N", None),
        ("", None),
    ],
)
def test_base_scores(vector: str, expected: float | None) -> None:
    assert base_score(vector) == expected


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, ""),
        ({"database_specific": {"severity": "HIGH"}}, "high"),
        ({"database_specific": {"severity": "MEDIUM"}}, "moderate"),
        ({"severity": [{"type": "CVSS_V3",
                        "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}]}, "critical"),
        # The word of who published it goes before the vector.
        ({"database_specific": {"severity": "LOW"},
          "severity": [{"type": "CVSS_V3",
                        "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}]}, "low"),
        ({"database_specific": {"severity": ["x"]}}, ""),
        ({"database_specific": "HIGH"}, ""),
    ],
)  # fmt: skip
def test_severity(more: dict[str, object], expected: str) -> None:
    import msgspec

    assert level(msgspec.convert(advisory("X-1", "a", **more), Advisory)) == expected  # type: ignore[arg-type]


@pytest.mark.skipif(not REAL.is_file(), reason="the advisories are not beside the checkout")
def test_ranges_agree_with_the_versions_that_were_listed() -> None:
    """Who published the advisories listed the affected versions one by one: for every version of a
    package that any of them lists, our reading of the ranges alone must agree, but for the versions
    that lie outside of the ranges by their own word."""
    entries = [json.loads(data) for _, data in dump(REAL)]
    versions: dict[str, set[str]] = {}
    for entry in entries:
        for affected in entry["affected"]:
            versions.setdefault(normalised(affected["package"]["name"]), set()).update(
                v for v in affected.get("versions", ()) if _is_version(v)
            )
    compared = 0
    outside: set[tuple[str, str]] = set()
    for entry in entries:
        for affected in entry["affected"]:
            ranges = [r for r in affected.get("ranges", ()) if r["type"] == "ECOSYSTEM"]
            listed = {Version(v) for v in affected.get("versions", ()) if _is_version(v)}
            if not ranges or not listed:
                continue
            alone = said(*[e for r in ranges for e in r["events"]]) if len(ranges) == 1 else None
            if alone is None:
                continue
            for version in versions[normalised(affected["package"]["name"])]:
                compared += 1
                by_range = judge(version, alone) is YES
                if by_range != (Version(version) in listed):
                    outside.add((entry["id"], version))
    assert compared > 100_000
    # Fewer than two in a thousand: versions published after the list was made, yanked ones that
    # were left out, and those that are listed against the ranges.
    assert len(outside) / compared < 0.01, sorted(outside)[:40]


def _is_version(text: str) -> bool:
    try:
        return bool(Version(text))
    except InvalidVersion:
        return False
