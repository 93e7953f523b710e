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


# Which controls each entry of a framework asks for, counted from 1.
ASKED_BY = {
    "OWASP LLM03:2025 risk 1": [12],
    "OWASP LLM03:2025 risk 2": [3],
    "OWASP LLM03:2025 risk 3": [14],
    "OWASP LLM03:2025 risk 4": [6, 7, 8],
    "OWASP LLM03:2025 risk 5": [1, 2, 3],
    "OWASP LLM03:2025 risk 6": [3, 6, 8],
    "OWASP LLM03:2025 risk 7": [3, 11],
    "OWASP LLM03:2025 risk 8": [2, 13],
    "OWASP LLM04:2025": [4, 8],
    "MITRE ATLAS AML.T0010.001": [9, 10, 11, 12],
    "MITRE ATLAS AML.T0010.002": [4],
    "MITRE ATLAS AML.T0010.003": [1, 2, 3, 4, 5, 6, 7, 8],
    "MITRE ATLAS AML.T0010.004": [12],
    "MITRE ATLAS AML.T0011.000": [5, 6],
    "MITRE ATLAS AML.T0011.001": [12],
    "MITRE ATLAS AML.T0018.000": [8],
    "MITRE ATLAS AML.T0018.001": [8],
    "MITRE ATLAS AML.T0018.002": [6],
    "MITRE ATLAS AML.T0019": [4],
    "MITRE ATLAS AML.T0020": [4],
    "MITRE ATLAS AML.T0055": [9, 11],
    "MITRE ATLAS AML.T0058": [8],
    "MITRE ATLAS AML.T0059": [4],
    "MITRE ATLAS AML.T0060": [12],
    "MITRE ATLAS AML.T0070": [4],
    "MITRE ATLAS AML.T0073": [1],
    "MITRE ATLAS AML.T0074": [1],
    "MITRE ATLAS AML.T0076": [6],
    "MITRE ATLAS AML.T0111": [1],
    "OWASP AISVS 1.1.2": [4],
    "OWASP AISVS 1.3.1": [4],
    "OWASP AISVS 3.1.2": [2, 14],
    "OWASP AISVS 3.1.3": [2, 14],
    "OWASP AISVS 4.1.1": [13],
    "OWASP AISVS 4.1.2": [5],
    "OWASP AISVS 6.1.1": [6],
    "OWASP AISVS 6.1.2": [1],
    "OWASP AISVS 6.1.3": [2],
    "OWASP AISVS 6.1.4": [8],
}


def test_every_framework_entry_stands_at_the_controls_that_answer_it() -> None:
    shown: dict[str, list[int]] = {}
    for number, control in enumerate(CONTROLS, 1):
        for id in control.frameworks:
            if not id.startswith("CWE-"):
                shown.setdefault(id, []).append(number)
    assert shown == ASKED_BY
