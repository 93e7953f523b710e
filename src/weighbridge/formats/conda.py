"""What conda is to install: environment files, explicit lists, conda-lock, and `.condarc`.

Sources: https://docs.conda.io/projects/conda/en/stable/user-guide/tasks/manage-environments.html
and …/concepts/pkg-specs.html (match specifications); conda-lock's own schema.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from msgspec.structs import replace

from weighbridge.core.fact import Firmness, Installs, Requirement
from weighbridge.core.format import Format, Limits, Loading
from weighbridge.core.location import Location
from weighbridge.core.regex import regex
from weighbridge.core.tree import Blob
from weighbridge.formats.conda_installed import ECOSYSTEM
from weighbridge.formats.project import Gathered, items
from weighbridge.formats.requirements import installs, read_lines
from weighbridge.formats.text import Written, file_name, read_text, text_kind

SIZE_LIMIT: Final = 4 << 20
LINES_LIMIT: Final = 100_000
_SPEC: Final = regex(
    r"(?:([^\s:]+)::)?([A-Za-z0-9_][\w.-]*)\s*(?:\[[^\]]*\])?\s*"
    r"(?:([=<>!~].*?|\d[\w.*|,<>=!~]*|\*)(?:\s+([\w.*]+))?)?"
)
_ARCHIVE: Final = regex(r"(.+)-([^-]+)-([^-]+)(?:\.tar\.bz2|\.conda)")
_CLAUSE: Final = regex(r"(==|!=|>=|<=|~=|>|<|=|)\s*([\w.!+*-]+)")


def environment(documents: tuple[Any, ...], text: str, where: Location) -> Iterator[Installs]:
    """What the YAML documents of a file say, where they are conda's."""
    name = file_name(where.path)
    for value in documents:
        if not isinstance(value, dict):
            continue
        if isinstance(value.get("package"), list) and "metadata" in value:
            yield _lock(value, text, where)
        elif name == ".condarc":
            yield _settings(value, text, where)
        elif isinstance(value.get("dependencies"), list) and (
            "channels" in value or name.startswith(("environment", "conda"))
        ):
            yield _environment(value, text, where)


def _environment(value: dict[str, Any], text: str, where: Location) -> Installs:
    found = Gathered(where, "conda", text)
    for channel in items(value.get("channels")):
        found.index("channel", channel)
    for said in items(value["dependencies"]):
        if isinstance(said, str):
            found_in = read_spec(said, found.line(f"- {said}", f'- "{said}"', f"- '{said}'", said))
            if found_in is None:
                found.unread.append(f"no package of conda: {said[:80]}")
            elif found_in.name != "python":
                found.add(found_in)
        elif isinstance(said, dict):
            for line in items(said.get("pip")):
                if isinstance(line, str):
                    _pip(found, line)
    return found.made()


def _pip(found: Gathered, said: str) -> None:
    """A line for pip inside an environment file."""
    at = found.line(f"- {said}", f'- "{said}"', f"- '{said}'", said)
    read = installs(found.where, "conda", tuple(read_lines(said)))
    found.requirements += [replace(r, line=at) for r in read.requirements]
    found.indexes += [replace(i, line=at) for i in read.indexes]
    found.files += [replace(f, line=at) for f in read.files]
    found.unread += read.unread


def _settings(value: dict[str, Any], text: str, where: Location) -> Installs:
    found = Gathered(where, "conda", text)
    for key in ("channels", "default_channels"):
        for channel in items(value.get(key)):
            found.index("channel", channel)
    found.index("channel-priority", value.get("channel_priority"))
    if str(value.get("ssl_verify")).lower() in ("false", "no", "off"):
        found.index("trusted-host", "ssl_verify: false")
    return found.made()


def _lock(value: dict[str, Any], text: str, where: Location) -> Installs:
    """conda-lock's file; it lists a package once for each platform."""
    found = Gathered(where, "lock", text)
    seen = set()
    for entry in items(value["package"]):
        if not isinstance(entry, dict):
            continue
        name, version = entry.get("name"), entry.get("version")
        manager = entry.get("manager")
        if not isinstance(name, str) or not isinstance(version, str):
            found.unread.append("an entry without a name or version")
            continue
        if (name, version, manager) in seen or name == "python":
            continue
        seen.add((name, version, manager))
        hashed = isinstance(entry.get("hash"), dict) and bool(entry["hash"])
        found.add(
            Requirement(
                name=name,
                line=found.line(f"name: {name}\n"),
                ecosystem="PyPI" if manager == "pip" else ECOSYSTEM,
                specifier=f"=={version}",
                version=version,
                firm=Firmness.HASH if hashed else Firmness.EXACT,
            )
        )
    return found.made()


def read_spec(said: str, line: int) -> Requirement | None:
    """A match specification of conda, its clauses in the form of PEP 440."""
    read = _SPEC.fullmatch(said.partition(" #")[0].strip())
    if read is None:
        return None
    channel, name, written, build = read.groups()
    written = (written or "").strip()
    if exact := re.fullmatch(r"==?([^=<>!~,]+)=([^=]+)", written):  # name=version=build
        written, build = f"=={exact[1]}", exact[2]
    specifier, version = _clauses(written, bool(build))
    firm = Firmness.EXACT if version else Firmness.RANGE if specifier else Firmness.NONE
    return Requirement(
        name=name, line=line, ecosystem=ECOSYSTEM, specifier=specifier, version=version, firm=firm,
        source=channel or "",
    )  # fmt: skip


def _clauses(written: str, built: bool) -> tuple[str, str | None]:
    """The clauses, and the one version that satisfies them. Of alternatives nothing is left."""
    if not written or written == "*" or "|" in written:
        return "", None
    made, only = [], None
    for part in written.split(","):
        read = _CLAUSE.fullmatch(part.strip())
        if read is None:
            return "", None
        sign, version = read.groups()
        if sign in ("", "=", "==") and (sign != "=" or built) and "*" not in version:
            only = version
            made.append(f"=={version}")
        elif sign in ("", "=", "=="):
            made.append(f"=={version.rstrip('.*')}.*")
        else:
            made.append(f"{sign}{version.removesuffix('.*')}")
    return ",".join(made), only


class ExplicitList(Written, frozen=True, kw_only=True, eq=False):
    """An explicit list of conda: one address of an archive in each line."""

    text: str

    def facts(self) -> Iterator[Installs]:
        """The packages, by the names of their archives."""
        found = Gathered(self.where, "lock", "")
        for number, line in enumerate(self.text.splitlines(), 1):
            line = line.strip()
            if not line or line.startswith(("#", "@")):
                continue
            url, _, digest = line.partition("#")
            read = _ARCHIVE.fullmatch(url.rpartition("/")[2])
            if read is None:
                found.unread.append(f"line {number:,} is no archive of conda: {line[:80]}")
                continue
            channel = re.sub(r"/[^/]+/[^/]+$", "", url)
            if read[1] == "python":
                continue
            found.add(
                Requirement(
                    name=read[1],
                    line=number,
                    ecosystem=ECOSYSTEM,
                    specifier=f"=={read[2]}",
                    version=read[2],
                    firm=Firmness.HASH if len(digest) >= 32 else Firmness.EXACT,
                    source=channel[:300],
                )
            )
        yield found.made()


def _parse(blob: Blob, where: Location, limits: Limits) -> Written:
    text = read_text(blob, where, limits)
    if blob.size > SIZE_LIMIT:
        return text
    return ExplicitList(
        where=where,
        size=blob.size,
        seen=text.seen,
        gaps=text.gaps,
        blob=blob,
        text=blob.read(0, blob.size).decode("utf-8-sig", "replace"),
    )


CONDA_EXPLICIT = Format(
    name="conda-explicit",
    title="Explicit list of conda",
    loading=Loading.DATA,
    sniff=lambda sample: text_kind(sample) == "conda-explicit",
    parse=_parse,
    document=ExplicitList,
    limits="Up to 4 MiB.",
)
