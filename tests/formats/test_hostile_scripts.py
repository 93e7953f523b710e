"""Scripts and Dockerfiles that were written to take long: twice as much costs twice as much, or it
is refused. Lines that are executed are counted, not seconds."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from weighbridge.analysis.image_installs import installs
from weighbridge.analysis.shell_acts import acts
from weighbridge.analysis.shell_requirements import EXPANDED, ShellInstalls
from weighbridge.core.document import Malformed
from weighbridge.core.format import Limits
from weighbridge.core.location import Location
from weighbridge.core.tree import Held
from weighbridge.formats.dockerfile import (
    BUILT,
    DOCKERFILE,
    STAGES,
    VARIABLES,
    Dockerfile,
    replaced,
)
from weighbridge.formats.shell import read
from work import steps

SMALL = 200
SCRIPTS: dict[str, Callable[[int], str]] = {
    "continued lines": lambda n: "pip install " + "x \\\n" * n,
    "here-documents of one command": lambda n: "cat " + "<<A " * n + "\n" + "A\n" * n,
    "here-documents of one line": lambda n: "cat <<A;" * n + "\n" + "A\n" * n,
    "here-documents that do not end": lambda n: "cat <<A\n" * n,
    "nested": lambda n: "$(" * n,
    "nested and closed": lambda n: ("$(" * 12 + "a" + ")" * 12 + " ") * (n // 12),
    "nested defaults": lambda n: "${a:-$(" * n,
    "back-ticks": lambda n: "`a " * n,
    "arithmetic": lambda n: "$(( a\n" * n,
    "sub-shells": lambda n: "(" * n,
    "cases": lambda n: "case x in a) " * n,
    "evaluations": lambda n: "eval " * n + "x",
    "downloads": lambda n: "".join(f"curl -o f{i} http://x/y\nsh g{i}\n" for i in range(n)),
    "pipes": lambda n: "curl x | " * n,
    "chains": lambda n: "A=$A$A\n" * n,
    "long values": lambda n: "A=" + "x" * 4_000 + "\npip install " + "$A " * n,
}
DOCKERFILES: dict[str, Callable[[int], str]] = {
    "continued lines": lambda n: "FROM a\nRUN a" + " \\\n b" * n,
    "comments between": lambda n: "FROM a\nRUN x \\\n" + "# c\n" * n + "y",
    "here-documents": lambda n: "FROM a\n" + "RUN <<A\nx\nA\n" * n,
    "here-documents that do not end": lambda n: "FROM a\n" + "RUN <<A\n" * n,
    "arguments of arguments": lambda n: "FROM a\n" + "".join(
        f"ARG A{i + 1}=$A{i}$A{i}\n" for i in range(n)),
    "variables of every command": lambda n: "FROM a\n" + "".join(
        f"ENV A{i}=1\nRUN x\n" for i in range(n)),
    "stages on stages": lambda n: "FROM a AS s0\n" + "".join(
        f"FROM s{i} AS s{i + 1}\nENV A{i}=1\nRUN x\n" for i in range(n)),
    "defaults of defaults": lambda n: "FROM a\nENV A=" + "${A:-" * n,
    "long values": lambda n: "FROM a\nENV A=" + "x" * 4_000 + "\nRUN pip install " + "$A " * n,
    "flags": lambda n: "FROM a\nRUN " + "--a=b " * n + "x",
    "copies": lambda n: "FROM a\n" + "".join(f"COPY --from=x{i} a b\n" for i in range(n)),
}  # fmt: skip


def of_script(text: str) -> None:
    script = read(text)
    for _ in acts(script):
        pass
    ShellInstalls().script(script, {})


def of_build(text: str) -> None:
    made = DOCKERFILE.parse(  # type: ignore[misc]
        Held("Dockerfile", text.encode()), Location("Dockerfile"), Limits()
    )
    assert isinstance(made, Dockerfile)
    installs(made.build)


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts(name: str) -> None:
    once, twice = (steps(partial(of_script, SCRIPTS[name](n))) for n in (SMALL, 2 * SMALL))
    assert twice < 2.3 * once + 1_000


@pytest.mark.parametrize("name", DOCKERFILES)
def test_builds(name: str) -> None:
    once, twice = (steps(partial(of_build, DOCKERFILES[name](n))) for n in (SMALL, 2 * SMALL))
    assert twice < 2.3 * once + 1_000


@pytest.mark.parametrize(
    "text",
    [
        "FROM a\n" * (STAGES + 1),
        "FROM a\n" + "RUN x\n" * (BUILT + 1),
        "FROM a\nENV " + "A=1 " * (VARIABLES + 1),
    ],
)
def test_what_is_too_much_is_refused(text: str) -> None:
    with pytest.raises(Malformed, match="more than"):
        of_build(text)


def test_a_default_without_an_end() -> None:
    """Each of the names in it could be split in many ways, which a pattern must not try."""
    text = "${A:-" + "$aa" * 500
    assert replaced(text, {}) == text


def test_what_comes_of_variables_is_bounded_and_said() -> None:
    found = ShellInstalls()
    text = "A=" + "x" * 4_000 + "\npip install " + "$A " * 20_000
    found.script(read(text), {})
    assert found.expanded < EXPANDED + 5_000
    fact = found.fact(Location("a.sh"), "script")
    assert fact is not None
    assert any("too much comes of its variables" in why for why in fact.unread)
