"""The packages of a system that was unpacked (dpkg's status file, apk's list), and which system.

Sources: deb-control(5), dpkg(1) and os-release(5); https://wiki.alpinelinux.org/wiki/Apk_spec.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from weighbridge.core.document import Document, Malformed
from weighbridge.core.fact import Firmness, Installs, OperatingSystem, Requirement
from weighbridge.core.format import Format, Limits, Loading
from weighbridge.core.location import Location
from weighbridge.core.regex import regex
from weighbridge.core.tree import Blob
from weighbridge.formats.text import Written, read_text, text_kind

SIZE_LIMIT: Final = 64 << 20
PACKAGES: Final = 50_000
RELEASE_LIMIT: Final = 64 << 10
_SOURCE: Final = regex(r"(\S+)(?:\s+\((\S+)\))?")
_SETTING: Final = regex(r"([A-Z][A-Z0-9_]*)=(?:\"([^\"\n]*)\"|'([^'\n]*)'|([^\s\"']*))\s*")


class Package(Struct, frozen=True):
    """An installed package, the line that names it, and the source package and version that it was
    built from (empty where those are its own)."""

    name: str
    version: str
    line: int
    built_from: tuple[str, str]


class SystemPackages(Written, frozen=True, kw_only=True, eq=False):
    """What is installed; `ecosystem` is `Debian` (and what is made from it) or `Alpine`."""

    ecosystem: str
    packages: tuple[Package, ...]

    def facts(self) -> Iterator[Installs]:
        """The packages with the lines that name them."""
        yield Installs(
            at=self.where,
            place="installed",
            requirements=tuple(
                Requirement(name=p.name, line=p.line, ecosystem=self.ecosystem,
                            version=p.version, specifier=f"=={p.version}",
                            firm=Firmness.INSTALLED, built_from=p.built_from)
                for p in self.packages[:PACKAGES]
            ),
            unread=(f"more than {PACKAGES:,} packages",) if len(self.packages) > PACKAGES else (),
        )  # fmt: skip


def _stanzas(text: str, keys: tuple[str, str, str, str]) -> Iterator[Package]:
    """Each stanza whose state does not say that it is gone."""
    name_key, version_key, state_key, source_key = keys
    known: dict[str, str] = {}
    at = 0
    for number, line in enumerate([*text.split("\n"), ""], 1):
        if not line.strip():
            gone = state_key in known and not known[state_key].endswith(" installed")
            if name_key in known and version_key in known and not gone:
                source = _SOURCE.fullmatch(known.get(source_key, ""))
                yield Package(
                    known[name_key][:200],
                    known[version_key][:100],
                    at,
                    (source[1][:200], (source[2] or "")[:100]) if source else ("", ""),
                )
            known = {}
        elif line[:1] not in " \t":
            key, _, value = line.partition(":")
            if key in keys and key not in known:
                known[key] = value.strip()
                at = number if key == name_key else at


def _parse(blob: Blob, where: Location, limits: Limits) -> Document:
    text = read_text(blob, where, limits)
    if blob.size > SIZE_LIMIT:
        raise Malformed(f"a list of packages of more than {SIZE_LIMIT:,} bytes")
    written = blob.read(0, blob.size).decode("utf-8", "replace")
    debian = "dpkg/status" in (where.inside or (where.path,))[-1]
    keys = ("Package", "Version", "Status", "Source") if debian else ("P", "V", "", "o")
    return SystemPackages(
        where=where,
        size=blob.size,
        seen=text.seen,
        gaps=text.gaps,
        blob=blob,
        ecosystem="Debian" if debian else "Alpine",
        packages=tuple(_stanzas(written, keys)),
    )


SYSTEM_PACKAGES = Format(
    name="system-packages",
    title="Packages of a system (dpkg, apk)",
    loading=Loading.DATA,
    sniff=lambda sample: text_kind(sample) == "system-packages",
    parse=_parse,
    document=SystemPackages,
    limits="Told by their places (`var/lib/dpkg/status`, `status.d` of images without a "
    "shell, `lib/apk/db/installed`). rpm's database is not read.",
)


class OsRelease(Written, frozen=True, kw_only=True, eq=False):
    """The settings of an `os-release`."""

    settings: dict[str, str]

    def facts(self) -> Iterator[OperatingSystem]:
        """The system that it names."""
        said = self.settings
        if said.get("ID"):
            name = said.get("PRETTY_NAME") or said.get("NAME") or said["ID"]
            yield OperatingSystem(
                at=self.where,
                id=said["ID"].lower()[:60],
                version=said.get("VERSION_ID", "")[:60],
                name=name[:120],
            )


def _release(blob: Blob, where: Location, limits: Limits) -> Document:
    text = read_text(blob, where, limits)
    written = blob.read(0, min(blob.size, RELEASE_LIMIT)).decode("utf-8", "replace")
    read = [_SETTING.fullmatch(line) for line in written.splitlines()]
    settings = {m[1]: m[2] or m[3] or m[4] or "" for m in read if m is not None}
    return OsRelease(
        where=where, size=blob.size, seen=text.seen, gaps=text.gaps, blob=blob, settings=settings
    )


OS_RELEASE = Format(
    name="os-release",
    title="Name and version of a system",
    loading=Loading.DATA,
    sniff=lambda sample: text_kind(sample) == "os-release",
    parse=_release,
    document=OsRelease,
    limits="Told by its place (`etc/os-release`, `usr/lib/os-release`).",
)
