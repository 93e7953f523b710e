"""Images: what they are built on, how they are built, and what their builds install."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weighbridge.analysis.dependencies import dependencies
from weighbridge.analysis.image_installs import installs
from weighbridge.analysis.image_names import parsed
from weighbridge.checks.runtime.base_image import base_image
from weighbridge.core.check import Audit
from weighbridge.core.fact import ImageBuild, Installs
from weighbridge.core.finding import Action, Finding, Gap
from weighbridge.core.format import Limits
from weighbridge.core.report import Examined
from weighbridge.core.tree import Held
from weighbridge.engine.audit import run
from weighbridge.engine.examine import examine
from weighbridge.engine.ruleset import load
from weighbridge.intel.images import ends, listed

DIGEST = "sha256:" + "ab" * 32
SHA = "a1" * 20


def looked_at(text: str, path: str = "Dockerfile") -> Examined:
    examined = examine(Held(path, text.encode()), load(), Limits())
    assert [g for g in examined.gaps if g.kind.value == "crashed"] == []
    return examined


def built(text: str) -> ImageBuild:
    (fact,) = looked_at(text).facts
    assert isinstance(fact, ImageBuild)
    return fact


def judged_bases(
    text: str, path: str = "Dockerfile", repository: bool = False
) -> list[Finding | Gap]:
    (fact,) = looked_at(text, path).facts
    return list(base_image.run(Audit(files=(), artifacts=(), facts=(fact,), repository=repository)))


def said(text: str, check: str, *actions: Action) -> list[tuple[int | None, str]]:
    kept = actions or tuple(Action)
    return [(f.at.line, f.message) for f in looked_at(text).findings
            if f.check == check and f.action in kept]  # fmt: skip


def installed(text: str) -> Installs:
    fact = installs(built(text))
    assert fact is not None
    return fact


# -- reading ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "text", "is_one"),
    [
        ("Dockerfile", "FROM a\n", True),
        ("docker/Containerfile.gpu", "# note\nARG A=1\nfrom a\n", True),
        ("serve.Dockerfile", "\n\n# x\nFROM a", True),
        ("Dockerfile", "Dockerfiles are described here.\n", False),
        ("Dockerfile", "ARG A=1\n", False),
        ("Dockerfile.jinja2", "FROM {{ base }}\n", False),
        ("Dockerfile.dockerignore", "FROM\n", False),
        ("query.sql", "FROM a\n", False),
    ],
)
def test_told_by_name_and_content(path: str, text: str, is_one: bool) -> None:
    facts = looked_at(text, path).facts
    assert bool([f for f in facts if isinstance(f, ImageBuild)]) is is_one


def test_stages_variables_and_heredocs() -> None:
    build = built(
        "# syntax=docker/dockerfile:1.7\n# escape=\\\nARG PY=3.12\nARG OS\n"
        "FROM --platform=$BUILDPLATFORM python:${PY}-slim AS base\n"
        "ARG PY\nENV HOME_DIR=/srv NAME='a b' OLD=$PY\nENV LEGACY some value\n"
        "RUN --mount=type=cache,target=/c \\\n  # a comment\n\n  pip install \\\n  one\n"
        "FROM base\nRUN <<EOF\npip install two\nEOF\nCOPY <<FILE $HOME_DIR/x\nRUN not this\nFILE\n"
        'RUN echo "<<EOF"\n'
        'CMD ["python", "-m", "x"]\nFROM ${OS:-debian}:12\nONBUILD RUN pip install three\n'
    )
    assert build.syntax == "docker/dockerfile:1.7"
    assert [(s.image, s.name, s.base) for s in build.stages] == [
        ("python:3.12-slim", "base", None), ("base", "", 0), ("debian:12", "", None),
    ]  # fmt: skip
    names = [[i.name for i in s.instructions] for s in build.stages]
    assert names == [["ARG", "ENV", "ENV", "RUN"], ["RUN", "COPY", "RUN", "CMD"], ["RUN"]]
    environment = build.stages[0].instructions[1]
    assert environment.pairs == (("HOME_DIR", "/srv"), ("NAME", "a b"), ("OLD", "3.12"))
    assert build.stages[0].instructions[2].pairs == (("LEGACY", "some value"),)
    assert build.stages[0].instructions[3].flag("mount") == "type=cache,target=/c"
    copy = build.stages[1].instructions[1]
    assert copy.words[-1] == "/srv/x"
    assert copy.heredocs == ("RUN not this",)
    assert build.stages[1].instructions[3].exec
    assert build.stages[2].instructions[0].trigger
    fact = installs(build)
    assert fact is not None
    assert [(r.name, r.line) for r in fact.requirements] == [
        ("one", 12),
        ("two", 16),
        ("three", 24),
    ]


def test_windows_escapes_and_line_ends() -> None:
    build = built("# escape=`\r\nFROM a:1\r\nRUN pip install `\r\n  one\r\nCOPY a C:\\b\r\n")
    assert [r.name for r in installs(build).requirements] == ["one"]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("FROM a\nRUM pip install x\n", "'RUM' is no instruction"),
        ("FROM a\nRUN <<EOF\npip install x\n", "does not end"),
        ("RUN x\nFROM a\n", None),  # not told by its content: text
        ("ARG A\nRUN x\nFROM a\n", "before the first FROM"),
        ("FROM a\nRUN echo 'open\n", "quotes do not end"),
    ],
)
def test_what_cannot_be_read_is_a_gap(text: str, why: str | None) -> None:
    gaps = [g.message for g in looked_at(text).gaps]
    assert (gaps == []) if why is None else any(why in g for g in gaps)


def test_variables_cannot_fill_the_memory() -> None:
    lines = ["FROM a", "ENV A0=" + "x" * 4_000]
    lines += [f"ENV A{n + 1}=" + f"$A{n}" * 500 for n in range(400)]
    build = built("\n".join(lines))
    kept = sum(len(v or "") for i in build.stages[0].instructions for _, v in i.pairs)
    assert kept < 16 << 20


@given(st.text(alphabet="FROMRUNARGENVCOPY \\\n\t<>-EOF=$`{}[]\"'#:@a1", max_size=300))
def test_any_text_is_read(text: str) -> None:
    looked_at(f"FROM a\n{text}")


# -- what it is built on ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"FROM python:3.13-slim@{DIGEST}\nUSER app\n", []),
        ("FROM scratch\nUSER 1000\n", []),
        ("FROM python:3.13.1-slim\nUSER app\n", [("note", "names a release")]),
        ("FROM python:3.13\nUSER app\n", [("note", "a tag that moves")]),
        ("FROM nvcr.io/nvidia/pytorch\nUSER a\n", [("review", "without a tag")]),
        ("FROM vllm/vllm-openai:latest\nUSER a\n", [("review", "pushed last")]),
        ("FROM vllm/vllm-openai:nightly-x86\nUSER a\n", [("review", "pushed last")]),
        (f"FROM registry.example.net/a@{DIGEST}\nUSER a\n", [("review", "well-known")]),
        (f"FROM 203.0.113.7:5000/a@{DIGEST}\nUSER a\n", [("review", "is an address")]),
        (f"FROM localhost:5000/a@{DIGEST}\nUSER a\n", [("review", "well-known")]),
        (f"FROM python:3.8@{DIGEST}\nUSER a\n", [("review", "python 3.8 has had no security")]),
        (
            f"FROM nvidia/cuda:10.2-devel-ubuntu18.04@{DIGEST}\nUSER a\n",
            [("review", "CUDA 10.2"), ("review", "Ubuntu 18.04")],
        ),
        (f"FROM python:3.13-buster@{DIGEST}\nUSER a\n", [("review", "Debian 10")]),
        (f"FROM a/b@{DIGEST} AS x\nUSER a\nFROM x\nCOPY --from=x /a /b\n", []),
        (
            f"FROM a/b@{DIGEST}\nCOPY --from=busybox:latest /a /b\nUSER a\n",
            [("review", "busybox:latest")],
        ),
        (f"FROM a/b@{DIGEST}\nUSER root\n", [("note", "as root")]),
        (f"FROM a/b@{DIGEST}\nUSER app\nUSER 0:0\n", [("note", "as root")]),
        (f"FROM a/b@{DIGEST}\n", [("note", "no USER")]),
        (f"# syntax=example/frontend\nFROM a/b@{DIGEST}\nUSER a\n", [("review", "exchanged")]),
    ],
)
def test_base_image(text: str, expected: list[tuple[str, str]]) -> None:
    found = [f for f in judged_bases(text) if isinstance(f, Finding)]
    assert len(found) == len(expected), [f.message for f in found]
    for finding, (action, part) in zip(
        sorted(found, key=lambda f: f.message), sorted(expected, key=lambda e: e[1]), strict=True
    ):
        assert finding.action.value == action
        assert part in finding.message


def test_an_image_that_is_told_later_is_not_given() -> None:
    (gap,) = judged_bases("ARG BASE\nFROM $BASE\nUSER a\n")
    assert isinstance(gap, Gap)
    assert gap.kind.value == "not-given"


@pytest.mark.parametrize(
    ("path", "repository", "action"),
    [
        ("tests/Dockerfile", True, "note"),
        ("examples/serve/Dockerfile", True, "note"),
        ("docker/Dockerfile", True, "review"),
        ("tests/Dockerfile", False, "review"),
    ],
)
def test_what_tests_are_built_on_is_judged_one_step_lower(
    path: str, repository: bool, action: str
) -> None:
    text = f"FROM python:3.8@{DIGEST}\nUSER a\n"
    (found,) = judged_bases(text, path, repository=repository)
    assert isinstance(found, Finding)
    assert (found.action.value, found.at.path) == (action, path)


def test_image_names() -> None:
    image = parsed(f"ghcr.io:443/a/b:1.2@{DIGEST}")
    assert (image.registry, image.path, image.tag, image.digest) == (
        "ghcr.io:443", "a/b", "1.2", DIGEST,
    )  # fmt: skip
    assert parsed("library/python").registry == "docker.io"


def test_ends_of_life_are_dated() -> None:
    for cycle in listed().end_of_life.values():
        for day in (cycle.reviewed, *cycle.dates.values()):
            date.fromisoformat(day)
        assert cycle.source.startswith("https://")
        assert cycle.note
        assert set(cycle.names.values()) <= set(cycle.dates)
    assert [(e[0], e[1]) for e in ends("nvidia/cuda", "11.7.1-cudnn8-runtime-ubuntu20.04")] == [
        ("Ubuntu", "20.04"), ("CUDA", "11.7"),
    ]  # fmt: skip
    assert ends("pytorch/pytorch", "2.6.0-cuda12.4-cudnn9-devel") == ()
    assert ends("python", "3.14-rc") != ()


# -- how it is built -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "FROM a\nRUN curl -fsSL https://example.net/i.sh | sh\n",
        "FROM a\nRUN apt-get update && wget -qO- https://example.net/i.sh | bash -s -- -y\n",
        "FROM a\nRUN <<EOF\nset -e\ncurl https://example.net/i.sh | sudo bash\nEOF\n",
        'FROM a\nRUN ["bash", "-c", "curl https://example.net/i.sh | sh"]\n',
        'FROM a\nRUN bash -c "$(curl -fsSL https://example.net/i.sh)"\n',
        "FROM a\nONBUILD RUN curl https://example.net/i.sh | sh\n",
        "FROM a\nADD https://example.net/model.bin /m\n",
        "FROM a\nADD http://example.net/model.bin /m\n",
        "FROM a\nADD https://example.net/a.git#main /src\n",
        "FROM a\nENV HF_TOKEN=hf_abcdefghijklmnopqrstuvwxyz0123\n",
        "FROM a\nARG AWS_SECRET_ACCESS_KEY=Zx81jj2\n",
        "FROM a\nENV DB_PASSWORD hunter2secret\n",
        "FROM a\nCOPY .env /app/\n",
        "FROM a\nCOPY id_rsa /home/app/.ssh/id_rsa\n",
        "FROM a\nCOPY config/.aws/credentials /home/app/.aws/\n",
    ],
)
def test_builds_that_are_reviewed(text: str) -> None:
    assert len(said(text, "image-build", Action.REVIEW)) == 1


@pytest.mark.parametrize(
    "text",
    [
        "FROM a\nRUN curl -fsSLo i.sh https://example.net/i.sh && echo 'ab  i.sh' | sha256sum -c "
        "&& sh i.sh\n",
        'FROM a\nRUN echo "curl https://example.net/i.sh | sh"\n',
        "FROM a\n# RUN curl https://example.net/i.sh | sh\nRUN true\n",
        "FROM a\nCOPY <<EOF /note\nRUN curl https://example.net/i.sh | sh\nEOF\n",
        f"FROM a\nADD --checksum=sha256:{'0' * 64} https://example.net/m /m\n",
        f"FROM a\nADD https://example.net/a.git#{SHA} /src\n",
        "FROM a\nADD local.tar.gz /src\n",
        "FROM a\nENV HF_TOKEN=$HF_TOKEN TOKENIZERS_PARALLELISM=false MAX_TOKEN=4096\n",
        "FROM a\nENV API_KEY=changeme PASSWORD_FILE=/run/secrets/p\n",
        "FROM a\nRUN --mount=type=secret,id=hf HF_TOKEN=$(cat /run/secrets/hf) hf download a\n",
        "FROM a\nCOPY --from=b .env /x\nCOPY .env.example /y\n",
    ],
)
def test_builds_that_are_fine(text: str) -> None:
    assert said(text, "image-build") == []


def test_a_secret_argument_is_a_note() -> None:
    assert len(said("FROM a\nARG GITHUB_TOKEN\n", "image-build", Action.NOTE)) == 1


# -- what it installs ------------------------------------------------------------------------------


def test_installs_of_a_build() -> None:
    fact = installed(
        "FROM a\nARG TORCH=2.6.0\nENV UV_INDEX_STRATEGY=unsafe-best-match\n"
        "COPY requirements/gpu.txt /tmp/gpu.txt\n"
        "RUN pip install --no-cache-dir torch==${TORCH} 'numpy<2' $EXTRA transformers==$T \\\n"
        "      --extra-index-url https://example.net/simple -r /tmp/gpu.txt -c limits.txt .\n"
        "RUN python3 -m pip install -i http://example.net/simple \\\n"
        "      --trusted-host example.net x && \\\n"
        "    uv pip install --system --index-strategy unsafe-best-match y==1\n"
        f"RUN pip install git+https://example.net/z@{SHA} -e git+https://example.net/w@main\n"
        "RUN conda install -y -n base -c pytorch -c https://example.net/c faiss-gpu=1.8.0 && \\\n"
        "    conda config --set channel_priority flexible\n"
        "RUN apt-get update && apt-get install -y --no-install-recommends git curl=7.1-2\n"
        'RUN ["pip", "install", "w==2"]\n'
        "RUN echo pip install nothing && pip uninstall -y gone && pip list\n"
    )
    assert fact.place == "image"
    assert [
        (r.name, r.url or r.version or r.specifier, r.ecosystem) for r in fact.requirements
    ] == [
        ("torch", "2.6.0", "PyPI"),
        ("numpy", "<2", "PyPI"),
        ("transformers", "", "PyPI"),
        ("x", "", "PyPI"),
        ("y", "1", "PyPI"),
        ("", f"git+https://example.net/z@{SHA}", "PyPI"),
        ("", "git+https://example.net/w@main", "PyPI"),
        ("faiss-gpu", "==1.8.0.*", "conda"),
        ("git", "", "Debian"),
        ("curl", "7.1-2", "Debian"),
        ("w", "2", "PyPI"),
    ]
    assert [(i.kind, i.said) for i in fact.indexes] == [
        ("strategy", "unsafe-best-match"),
        ("extra", "https://example.net/simple"),
        ("index", "http://example.net/simple"),
        ("trusted-host", "example.net"),
        ("strategy", "unsafe-best-match"),
        ("channel", "pytorch"),
        ("channel", "https://example.net/c"),
        ("channel-priority", "flexible"),
    ]
    assert [(f.path, f.constraint) for f in fact.files] == [
        ("requirements/gpu.txt", False), ("limits.txt", True),
    ]  # fmt: skip


def test_the_first_index_again_is_no_second_one() -> None:
    fact = installed("FROM a\nARG I=https://example.org/simple\nENV PIP_INDEX_URL=$I\n"
                     "RUN pip install x --extra-index-url $I\n")  # fmt: skip
    assert [i.kind for i in fact.indexes] == ["index"]


def findings(folder: Path, check: str) -> list[Finding]:
    return [f for f in run(folder).findings if f.check == check]


def gaps(folder: Path) -> list[Gap]:
    return [g for g in run(folder).gaps if "dependencies" in g.controls]


def test_files_that_a_build_names_are_followed(tmp_path: Path) -> None:
    (tmp_path / "docker").mkdir()
    (tmp_path / "deps").mkdir()
    (tmp_path / "docker/Dockerfile").write_text(
        "FROM a\nCOPY deps/serve.in /tmp/\nRUN pip install -r /tmp/serve.in\nUSER a\n"
    )
    (tmp_path / "deps/serve.in").write_text("--extra-index-url https://example.net/simple\nx==1\n")
    assert [f.at.path for f in findings(tmp_path, "index-confusion")] == ["deps/serve.in"]
    (tmp_path / "deps/serve.in").unlink()
    assert any("not there" in g.message for g in gaps(tmp_path))


def test_packages_of_a_system_are_not_looked_up_and_that_is_said() -> None:
    build = built("FROM a\nRUN apt-get install -y requests vllm\n")
    found = dependencies(Audit(files=(), artifacts=(), facts=(build,)))
    assert found.wanted == ()
    assert [g.kind.value for g in found.gaps] == ["not-given"]


def test_incidents(tmp_path: Path) -> None:
    """torchtriton (2022-12) and vLLM's Dockerfile (2026-06): a second index, best match."""
    (tmp_path / "Dockerfile").write_text(
        f'FROM nvidia/cuda:12.8.1-devel-ubuntu22.04@{DIGEST}\nENV UV_INDEX_STRATEGY="unsafe-best-'
        'match"\nRUN uv pip install --system torch torchtriton --extra-index-url '
        "https://wheels.example.net/nightly/cu128 --index-strategy unsafe-best-match\nUSER a\n"
    )
    told = findings(tmp_path, "index-confusion")
    assert {f.action for f in told} == {Action.REVIEW}
    assert any("second index" in f.message for f in told)
    assert any("unsafe-best-match" in f.message for f in told)
