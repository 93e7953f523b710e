"""What a command writes where others take it from."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Final

from weighbridge.analysis.shell_kinds import Act, Kind
from weighbridge.analysis.shell_runs import Run

HUB: Final = {"dataset": "data set", "space": "space"}
"""What a repository of the Hub holds, by its type; others hold a model."""
_PACKAGES: Final[dict[tuple[str, ...], str]] = {
    ("twine", "upload"): "pypi",
    ("uv", "publish"): "pypi",
    ("poetry", "publish"): "pypi",
    ("flit", "publish"): "pypi",
    ("hatch", "publish"): "pypi",
    ("pdm", "publish"): "pypi",
    ("maturin", "publish"): "pypi",
    ("maturin", "upload"): "pypi",
    ("npm", "publish"): "npm",
    ("pnpm", "publish"): "npm",
    ("yarn", "publish"): "npm",
    ("cargo", "publish"): "crates",
    ("gem", "push"): "gems",
    ("anaconda", "upload"): "conda",
    ("conda", "upload"): "conda",
}
"""What publishes a package, and in which registry."""
_PUBLISHERS: Final[tuple[tuple[tuple[str, ...], str], ...]] = (
    (("hf", "upload"), "model"),
    (("hf", "upload-large-folder"), "model"),
    (("huggingface-cli", "upload"), "model"),
    (("huggingface-cli", "upload-large-folder"), "model"),
    (("ollama", "push"), "model"),
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
    """What of it is published; `detail` of each says what sort of thing, `target` of a package the
    registry."""
    yield from _attested(run, program, arguments)
    if "--dry-run" in arguments:
        return
    plain = (program, *(a for a in arguments if not a.startswith("-")))
    if registry := _PACKAGES.get(plain[:2]):
        yield run.act(Kind.PUBLISH, detail="package", target=registry)
        return
    for pattern, what in _PUBLISHERS:
        if plain[: len(pattern)] == pattern:
            yield run.act(Kind.PUBLISH, detail=_exactly(what, arguments))
            return
    if program == "docker" and "build" in plain[1:3] and "--push" in arguments:
        yield run.act(Kind.PUBLISH, detail="image")
    elif program == "aws" and plain[1:3] in (("s3", "cp"), ("s3", "sync"), ("s3", "mv")):
        if plain[-1].startswith("s3://"):
            yield run.act(Kind.PUBLISH, detail="files")
    elif (
        (program == "hf" and plain[1:2] == ("buckets",) and plain[-1].startswith("hf://"))
        or (program in ("gsutil", "gcloud") and plain[-1].startswith("gs://") and "cp" in plain)
    ):  # fmt: skip
        yield run.act(Kind.PUBLISH, detail="files")
    elif program in ("setup.py",) or (plain[1:3] == ("setup.py", "upload")):
        yield run.act(Kind.PUBLISH, detail="package", target="pypi")


_RELEASE_VALUES: Final = frozenset(("-t", "--title", "-n", "--notes", "-F", "--notes-file",
                                    "--target", "-R", "--repo", "--discussion-category",
                                    "--notes-start-tag"))  # fmt: skip


def _exactly(what: str, arguments: tuple[str, ...]) -> str:
    """What it is by the arguments: a data set or a space of the Hub, a release without files."""
    if what == "model":
        named = [a.partition("=")[2] for a in arguments if a.startswith("--repo-type=")]
        named += [b for a, b in pairwise(arguments) if a == "--repo-type"]
        return HUB.get(named[0], what) if named else what
    if what == "release" and arguments[1:2] == ("create",):
        given = [
            text
            for before, text in pairwise(arguments[1:])
            if not text.startswith("-") and before not in _RELEASE_VALUES
        ]
        return what if len(given) > 1 else "notes"  # the first is the tag
    return what


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
