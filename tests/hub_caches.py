"""Caches as the Hub's client lays them out (huggingface_hub 2.4), built by code.

`tests/sources/test_hub_cache.py` says which calls of the client made the layout that this copies.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from hub_server import git_name

LARGE = 64
"""From so many bytes on a file is kept under its sha256, as the Hub does with large ones."""
TAG = (
    "Signature: 8a477f597d28d172789f06886806bc55\n"
    "# This file is a cache directory tag created by huggingface_hub.\n"
)


def etag(data: bytes) -> str:
    """The name of a blob."""
    return hashlib.sha256(data).hexdigest() if len(data) >= LARGE else git_name(data)


def repository(
    cache: Path,
    name: str,
    revisions: dict[str, dict[str, bytes]],
    *,
    refs: dict[str, str] | None = None,
    trees: bool = True,
) -> Path:
    """`models--org--name` with these revisions."""
    place = cache / f"models--{name.replace('/', '--')}"
    (place / "blobs").mkdir(parents=True)
    (cache / ".locks" / place.name).mkdir(parents=True)
    (cache / "CACHEDIR.TAG").write_text(TAG)
    for commit, files in revisions.items():
        listing = {}
        for path, data in files.items():
            blob = place / "blobs" / etag(data)
            blob.write_bytes(data)
            (cache / ".locks" / place.name / f"{blob.name}.lock").touch()
            link = place / "snapshots" / commit / path
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(os.path.relpath(blob, link.parent))
            listing[path] = listed(data)
        if trees:
            tree(place / "trees" / f"{commit}.json", listing)
    for ref, commit in (refs if refs is not None else {"main": min(revisions)}).items():
        (place / "refs" / ref).parent.mkdir(parents=True, exist_ok=True)
        (place / "refs" / ref).write_text(commit)
    return place


def listed(data: bytes) -> dict[str, object]:
    """What a listing says of a file."""
    facts: dict[str, object] = {"size": len(data), "blob_id": git_name(data)}
    if len(data) >= LARGE:
        facts |= {"lfs_sha256": hashlib.sha256(data).hexdigest(), "lfs_size": len(data)}
    return facts


def tree(place: Path, files: object) -> None:
    """The listing of a commit."""
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(json.dumps({"format_version": 1, "files": files}))


def share(cache: Path, place: Path, data: bytes, xet: str = "ab" * 32) -> None:
    """Move a blob into the store that the repositories of the cache share."""
    store = cache / "blobs"
    (store / xet[:2]).mkdir(parents=True, exist_ok=True)
    (store / ".huggingface-shared-blobs").write_text("1\n")
    (store / xet[:2] / xet).write_bytes(data)
    blob = place / "blobs" / etag(data)
    blob.unlink(missing_ok=True)
    blob.symlink_to(os.path.relpath(store / xet[:2] / xet, blob.parent))
    with (store / xet[:2] / f"{xet}.refs").open("a") as refs:
        refs.write(f"{place.name}/blobs/{blob.name}\n")
    (store / xet[:2] / f"{xet}.lock").touch()


def download(folder: Path, commit: str, files: dict[str, bytes], *, trees: bool = True) -> None:
    """A folder that a repository was downloaded into."""
    records = folder / ".cache" / "huggingface"
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
        record = records / "download" / f"{path}.metadata"
        record.parent.mkdir(parents=True, exist_ok=True)
        record.write_text(f"{commit}\n{etag(data)}\n1795645850.33\n")
        record.with_suffix(".lock").touch()
    (records / ".gitignore").write_text("*")
    (records / "CACHEDIR.TAG").write_text(TAG)
    if trees:
        tree(records / "trees" / f"{commit}.json", {p: listed(d) for p, d in files.items()})
