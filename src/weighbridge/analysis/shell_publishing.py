"""What a command writes where others take it from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from weighbridge.analysis.shell_kinds import Act, Kind
from weighbridge.analysis.shell_runs import Run

_PUBLISHERS: Final[tuple[tuple[tuple[str, ...], str], ...]] = (
    (("hf", "upload"), "model"),
    (("hf", "upload-large-folder"), "model"),
    (("huggingface-cli", "upload"), "model"),
    (("huggingface-cli", "upload-large-folder"), "model"),
    (("ollama", "push"), "model"),
    (("twine", "upload"), "package"),
    (("uv", "publish"), "package"),
    (("poetry", "publish"), "package"),
    (("flit", "publish"), "package"),
    (("hatch", "publish"), "package"),
    (("pdm", "publish"), "package"),
    (("maturin", "publish"), "package"),
    (("maturin", "upload"), "package"),
    (("npm", "publish"), "package"),
    (("pnpm", "publish"), "package"),
    (("yarn", "publish"), "package"),
    (("cargo", "publish"), "package"),
    (("anaconda", "upload"), "package"),
    (("conda", "upload"), "package"),
    (("gem", "push"), "package"),
    (("docker", "push"), "image"),
    (("docker", "image", "push"), "image"),
    (("docker", "manifest", "push"), "image"),
    (("docker", "buildx", "imagetools", "create"), "image"),
    (("podman", "push"), "image"),
    (("buildah", "push"), "image"),
    (("crane", "push"), "image"),
    (("crane", "copy"), "image"),
    (("skopeo", "copy"), "image"),
    (("oras", "push"), "image"),
    (("helm", "push"), "image"),
    (("gh", "release", "create"), "release"),
    (("gh", "release", "upload"), "release"),
    (("git", "push"), "commit"),
)


def published(run: Run, program: str, arguments: tuple[str, ...]) -> Iterator[Act]:
    """What of it is published; `detail` of each says what sort of thing."""
    yield from _attested(run, program, arguments)
    plain = (program, *(a for a in arguments if not a.startswith("-")))
    for pattern, what in _PUBLISHERS:
        if plain[: len(pattern)] == pattern:
            if program == "git" and "--dry-run" in arguments:
                return
            yield run.act(Kind.PUBLISH, detail=what)
            return
    if program == "docker" and "build" in plain[1:3] and "--push" in arguments:
        yield run.act(Kind.PUBLISH, detail="image")
    elif program == "aws" and plain[1:3] in (("s3", "cp"), ("s3", "sync"), ("s3", "mv")):
        if plain[-1].startswith("s3://"):
            yield run.act(Kind.PUBLISH, detail="files")
    elif program in ("gsutil", "gcloud") and plain[-1].startswith("gs://") and "cp" in plain:
        yield run.act(Kind.PUBLISH, detail="files")
    elif program in ("setup.py",) or (plain[1:3] == ("setup.py", "upload")):
        yield run.act(Kind.PUBLISH, detail="package")


_SIGNS: Final = {
    "cosign": ("sign", "sign-blob", "attest", "attest-blob"),
    "model_signing": ("sign",),
    "model-signing": ("sign",),
    "sigstore": ("sign",),
    "pypi-attestations": ("sign",),
    "minisign": ("-S",),
    "gpg": ("--detach-sign", "--detach-sig", "-b", "--armor-detach", "-ab"),
    "gpg2": ("--detach-sign", "--detach-sig", "-b", "-ab"),
}

_PROVES: Final = {"npm": "--provenance", "twine": "--attestations"}
"""Options by which a program that publishes states the provenance."""


def _attested(run: Run, program: str, arguments: tuple[str, ...]) -> Iterator[Act]:
    """Signatures and statements of provenance that a command makes."""
    if program.startswith("-m "):
        program = program[3:]
    if any(a in _SIGNS.get(program, ()) for a in arguments[:4]):
        yield run.act(Kind.ATTEST, detail="a signature")
    elif program in _PROVES and _PROVES[program] in arguments:
        yield run.act(Kind.ATTEST, detail="provenance")
