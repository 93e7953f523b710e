"""The packages of a system that was unpacked: dpkg's status file and apk's list.

Sources: deb-control(5) and dpkg(1); https://wiki.alpinelinux.org/wiki/Apk_spec.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from weighbridge.core.document import Document, Malformed
from weighbridge.core.fact import Firmness, Installs, Requirement
from weighbridge.core.format import Format, Limits, Loading
from weighbridge.core.location import Location
from weighbridge.core.tree import Blob
from weighbridge.formats.text import Written, read_text, text_kind

SIZE_LIMIT: Final = 64 << 20
PACKAGES: Final = 50_000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SystemPackages(Written):
    """Names and versions of what is installed; `ecosystem` is `Debian` or `Alpine`."""

    ecosystem: str
    packages: tuple[tuple[str, str, int], ...]

    def facts(self) -> Iterator[Installs]:
        """The packages with the lines that name them."""
        yield Installs(
            at=self.where,
            place="installed",
            requirements=tuple(
                Requirement(name=name, line=line, ecosystem=self.ecosystem, version=version,
                            specifier=f"=={version}", firm=Firmness.INSTALLED)
                for name, version, line in self.packages[:PACKAGES]
            ),
            unread=(f"more than {PACKAGES:,} packages",) if len(self.packages) > PACKAGES else (),
        )  # fmt: skip


def _stanzas(text: str, keys: tuple[str, str, str]) -> Iterator[tuple[str, str, int]]:
    """Name, version and line of each stanza, where its state does not say that it is gone."""
    name_key, version_key, state_key = keys
    known: dict[str, str] = {}
    at = 0
    for number, line in enumerate([*text.split("\n"), ""], 1):
        if not line.strip():
            gone = state_key in known and not known[state_key].endswith(" installed")
            if name_key in known and version_key in known and not gone:
                yield known[name_key][:200], known[version_key][:100], at
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
    keys = ("Package", "Version", "Status") if debian else ("P", "V", "")
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
    "shell, `lib/apk/db/installed`). No advisories of "
    "these are kept, which is a gap; rpm's database is not read.",
)
