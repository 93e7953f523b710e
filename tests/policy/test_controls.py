"""The table of the 14 controls."""

from __future__ import annotations

import re

from weighbridge.core.control import OnFail
from weighbridge.policy.controls import BY_ID, CONTROLS, GROUPS

IN_ORDER = [
    "publisher",
    "integrity",
    "lineage",
    "training-data",
    "file-format",
    "payload-scan",
    "code-and-templates",
    "backdoor",
    "workflows",
    "training-code",
    "release",
    "dependencies",
    "isolation",
    "monitoring",
]


def test_the_14_are_there_in_order_and_group() -> None:
    assert [control.id for control in CONTROLS] == IN_ORDER
    assert list(BY_ID) == IN_ORDER
    groups = [control.group for control in CONTROLS]
    assert list(dict.fromkeys(groups)) == list(GROUPS)
    assert groups == sorted(groups, key=list(GROUPS).index)


def test_which_block_and_which_make_incomplete() -> None:
    numbered = dict(enumerate(CONTROLS, 1))
    assert [n for n, c in numbered.items() if c.gap_incompletes] == [1, 2, 5, 6, 9, 12, 13]
    assert [n for n, c in numbered.items() if c.on_fail is OnFail.BLOCK] == [1, 2, 6, 7, 8, 12]


def test_every_control_says_everything() -> None:
    for control in CONTROLS:
        assert control.question.endswith("?")
        for text in (control.evidence, control.passes, control.fails, control.warns):
            assert text[0].isupper(), control.id
            assert text.endswith("."), control.id
            assert "  " not in text
        assert len({control.passes, control.fails, control.warns}) == 3


def test_framework_ids_are_of_a_known_kind() -> None:
    kinds = re.compile(
        r"OWASP LLM0[34]:2025( risk [1-9])?|MITRE ATLAS AML\.T\d{4}(\.\d{3})?"
        r"|OWASP AISVS \d+\.\d+\.\d+|CWE-\d+"
    )
    for control in CONTROLS:
        assert control.frameworks
        assert len(set(control.frameworks)) == len(control.frameworks)
        for id in control.frameworks:
            assert kinds.fullmatch(id), id
