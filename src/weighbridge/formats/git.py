"""Git's own files in a folder: its configuration, and the hooks and pointers of Git LFS.

Syntax: git-config(1), section "Configuration file"; git-lfs, `docs/spec.md`, "The Pointer". A
repository that is handed over as a folder brings its configuration and hooks along, which a clone
does not.
"""

from __future__ import annotations

import re
from typing import Final

from msgspec import Struct

from weighbridge.core.document import Document, Malformed
from weighbridge.core.finding import Gap, GapKind
from weighbridge.core.format import Format, Limits, Loading, Sample
from weighbridge.core.location import Location
from weighbridge.core.regex import regex
from weighbridge.core.tree import Blob

CONFIG_LIMIT: Final = 4 << 20
_SECTION: Final = regex(r'\[\s*([A-Za-z0-9.-]+)(?:\s+"((?:[^"\\]|\\.)*)")?\s*\]')
_SETTING: Final = regex(r"([A-Za-z][A-Za-z0-9-]*)\s*(?:=\s*(.*))?$", re.DOTALL)
_OPENING: Final = regex(
    rb'(?:\s|[#;][^\n]*\n)*\[(?:core|filter|include|includeIf|submodule|remote)(?: +"[^"\n]*")?\]'
    rb"[ \t]*\r?\n[ \t]*[A-Za-z]\w*[ \t]*=",
    re.IGNORECASE,
)


class Setting(Struct, frozen=True):
    """`name` is `section.subsection.key`, section and key in small letters as git compares them."""

    name: str
    value: str
    line: int


class GitConfig(Document, frozen=True, kw_only=True, eq=False):
    """The settings in order; a later one of the same name wins."""

    settings: tuple[Setting, ...]


class LfsHook(Document, frozen=True, kw_only=True, eq=False):
    """A hook as `git lfs install` writes it, to the letter."""


class LfsPointer(Document, frozen=True, kw_only=True, eq=False):
    """A pointer in place of a file: its digest (hexadecimal) and size in bytes."""

    sha256: str
    size_there: int


def _is_config(sample: Sample) -> bool:
    return bool(_OPENING.match(sample.head))


def _config(blob: Blob, where: Location, limits: Limits) -> GitConfig:
    if blob.size > CONFIG_LIMIT:
        raise Malformed(f"a git configuration of more than {CONFIG_LIMIT:,} bytes", 0)
    section = ""
    settings: list[Setting] = []
    lines = enumerate(blob.read(0, blob.size).decode("utf-8", "replace").splitlines(), 1)
    for number, raw in lines:
        text = raw.strip()
        while found := _SECTION.match(text):
            section = found[1].lower() + (f".{found[2]}" if found[2] is not None else "")
            text = text[found.end() :].strip()
        if not text or text[0] in "#;":
            continue
        while text.endswith("\\") and (more := next(lines, None)) is not None:
            text = text[:-1] + more[1]
        setting = _SETTING.match(text)
        if setting is None or not section:
            raise Malformed(f"line {number:,} is no setting", None)
        value = "true" if setting[2] is None else _value(setting[2])
        settings.append(Setting(f"{section}.{setting[1].lower()}", value, number))
    return GitConfig(where=where, size=blob.size, seen=blob.size, settings=tuple(settings))


def _value(raw: str) -> str:
    """A value without its quotes, escapes and comment."""
    made, quoted, at = "", False, 0
    while at < len(raw):
        letter = raw[at]
        if letter == "\\" and at + 1 < len(raw):
            at += 1
            made += {"n": "\n", "t": "\t", "b": "\b"}.get(raw[at], raw[at])
        elif letter == '"':
            quoted = not quoted
        elif letter in "#;" and not quoted:
            break
        else:
            made += letter
        at += 1
    return made.strip()


_LFS_HOOK: Final = regex(
    rb"#!/bin/sh\r?\n"
    rb"command -v git-lfs >/dev/null 2>&1 \|\| \{ "
    rb"(?:echo|printf) >&2 \"[^\"`$|;&\n]*\"(?: \"\$[01]\")?; exit [02]; \}\r?\n"
    rb"git lfs (?:pre-push|post-checkout|post-commit|post-merge) \"\$@\"\r?\n?"
)


def is_lfs_hook(head: bytes) -> bool:
    """Whether a file is a hook of Git LFS and nothing more."""
    return len(head) < 1024 and _LFS_HOOK.fullmatch(head) is not None


def _hook(blob: Blob, where: Location, limits: Limits) -> LfsHook:
    if not is_lfs_hook(blob.read(0, 1024)):
        raise Malformed("no hook of Git LFS", 0)
    return LfsHook(where=where, size=blob.size, seen=blob.size)


_POINTER: Final = regex(
    rb"version https://git-lfs\.github\.com/spec/v1\r?\n"
    rb"(?:ext-\d-[\w.-]+ [\w:]+\r?\n)*"
    rb"oid sha256:([0-9a-f]{64})\r?\nsize (\d{1,18})\r?\n?"
)
_POINTER_LIMIT: Final = 1024
_POINTER_START: Final = b"version https://git-lfs.github.com/spec/v1"


def _pointer(blob: Blob, where: Location, limits: Limits) -> LfsPointer:
    found = _POINTER.fullmatch(blob.read(0, _POINTER_LIMIT + 1))
    if found is None:
        raise Malformed("it begins as a pointer of Git LFS and names no file", 0)
    digest, size = found[1].decode(), int(found[2])
    why = f"Git LFS pointer: the real file ({size:,} bytes, sha256 {digest}) was never downloaded"
    return LfsPointer(
        where=where,
        size=blob.size,
        seen=blob.size,
        gaps=(Gap(kind=GapKind.UNSUPPORTED, message=why, at=where),),
        sha256=digest,
        size_there=size,
    )


CONFIG = Format(
    name="git-config",
    title="Git configuration",
    loading=Loading.DATA,
    sniff=_is_config,
    parse=_config,
    document=GitConfig,
    limits="Files that it includes are not followed.",
)
LFS_POINTER = Format(
    name="git-lfs-pointer",
    title="Git LFS pointer",
    loading=Loading.DATA,
    sniff=lambda sample: sample.head.startswith(_POINTER_START),
    first=b"v",
    parse=_pointer,
    document=LfsPointer,
    limits="The file that it stands for is not here: always a gap, with its digest and size.",
)
LFS_HOOK = Format(
    name="git-lfs-hook",
    title="Hook of Git LFS",
    loading=Loading.DATA,
    sniff=lambda sample: is_lfs_hook(sample.head),
    first=b"#",
    parse=_hook,
    document=LfsHook,
    limits="Recognised to the letter; any other hook is a script.",
)
