"""What a resolver chose: the locks of poetry, uv, pdm and Pipenv, and pylock.toml (PEP 751)."""

from __future__ import annotations

import re
from typing import Any, Final

from weighbridge.core.fact import Firmness, Installs, Requirement
from weighbridge.core.location import Location
from weighbridge.core.regex import regex
from weighbridge.formats.default_index import is_default_index
from weighbridge.formats.project import Gathered, items, pipenv_sources, table
from weighbridge.formats.requirements import HASHES

_HEADER: Final = regex(r"^\[\[packages?\]\]", re.MULTILINE)


def _packages(found: Gathered, value: dict[str, Any], key: str) -> list[tuple[int, dict[str, Any]]]:
    """The entries with the lines of their headers."""
    lines, at, line = [], 0, 1
    for header in _HEADER.finditer(found.text):
        line += found.text.count("\n", at, header.start())
        at = header.start()
        lines.append(line)
    entries = items(value.get(key))
    lines += [0] * (len(entries) - len(lines))
    return [(n, e) for n, e in zip(lines, entries, strict=False) if isinstance(e, dict)]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _chosen(
    found: Gathered, line: int, entry: dict[str, Any], hashes: tuple[str, ...], url: str,
    source: str = "", group: str = "", firm_url: bool = False,
) -> None:  # fmt: skip
    name, version = _text(entry.get("name")), _text(entry.get("version"))
    if not name:
        found.unread.append(f"line {line:,}: an entry without a name")
        return
    firm = Firmness.HASH if hashes or firm_url else Firmness.EXACT
    if url and not (hashes or firm_url):
        firm = Firmness.NONE
    found.add(
        Requirement(
            name=name,
            line=line,
            specifier=f"=={version}" if version else "",
            version=version or None,
            firm=firm,
            marker=_text(entry.get("marker") or entry.get("markers"))[:500],
            url=url[:500],
            source="" if is_default_index(source) else source[:500],
            group=group,
            hashes=hashes,
        )
    )


def _digests(*lists: Any) -> tuple[str, ...]:
    """The digests of the files that are listed, if every one of them has one."""
    files = [f for listed in lists for f in items(listed)]
    found: dict[str, None] = {}
    for file in files:
        said = _digests_of(file) if isinstance(file, dict) else ()
        if not said:
            return ()
        found.update(dict.fromkeys(said))
    return tuple(found)[:HASHES]


def _digests_of(file: dict[str, Any]) -> tuple[str, ...]:
    several = file.get("hashes")
    if isinstance(several, dict):
        return tuple(f"{a}:{v}" for a, v in several.items() if isinstance(v, str) and v)
    said = [file.get("hash"), *items(several)]
    return tuple(v for v in said if isinstance(v, str) and v)


def poetry(value: dict[str, Any], text: str, where: Location) -> Installs:
    """`poetry.lock`; digests of older ones stand in a table of their own."""
    found = Gathered(where, "lock", text)
    apart = table(value, "metadata", "files")
    for line, entry in _packages(found, value, "package"):
        source = table(entry, "source")
        kind = _text(source.get("type"))
        commit = _text(source.get("resolved_reference"))
        url = _text(source.get("url")) if kind in ("git", "url", "file", "directory") else ""
        if kind == "git":
            url = f"git+{url}@{commit}"
        hashes = _digests(entry.get("files")) or _digests(apart.get(_text(entry.get("name"))))
        _chosen(found, line, entry, hashes, url, _text(source.get("url")) if not url else "",
                firm_url=len(commit) >= 40)  # fmt: skip
    return found.made()


def uv(value: dict[str, Any], text: str, where: Location) -> Installs:
    """`uv.lock`. The project itself and its members are no requirements."""
    found = Gathered(where, "lock", text)
    for line, entry in _packages(found, value, "package"):
        source = table(entry, "source")
        if not {"editable", "virtual", "directory"}.isdisjoint(source):
            continue
        git, url = _text(source.get("git")), _text(source.get("url") or source.get("path"))
        commit = git.rpartition("#")[2] if "#" in git else ""
        if git:
            url = f"git+{git.partition('?')[0].partition('#')[0]}@{commit}"
        sdist = [entry["sdist"]] if isinstance(entry.get("sdist"), dict) else []
        _chosen(found, line, entry, _digests(sdist, entry.get("wheels")), url,
                _text(source.get("registry")), firm_url=len(commit) >= 40)  # fmt: skip
    return found.made()


def pdm(value: dict[str, Any], text: str, where: Location) -> Installs:
    """`pdm.lock`."""
    found = Gathered(where, "lock", text)
    for line, entry in _packages(found, value, "package"):
        git, commit = _text(entry.get("git")), _text(entry.get("revision"))
        url = f"git+{git}@{commit}" if git else _text(entry.get("url") or entry.get("path"))
        if url and entry.get("editable") is True:
            continue
        _chosen(found, line, entry, _digests(entry.get("files")), url, firm_url=len(commit) >= 40)
    return found.made()


def pylock(value: dict[str, Any], text: str, where: Location) -> Installs:
    """`pylock.toml` (PEP 751)."""
    found = Gathered(where, "lock", text)
    for line, entry in _packages(found, value, "packages"):
        vcs, archive = table(entry, "vcs"), table(entry, "archive")
        if table(entry, "directory"):
            continue
        commit = _text(vcs.get("commit-id"))
        url = _text(archive.get("url") or archive.get("path"))
        if vcs:
            url = f"{_text(vcs.get('type'))}+{_text(vcs.get('url') or vcs.get('path'))}@{commit}"
        sdist = [entry["sdist"]] if isinstance(entry.get("sdist"), dict) else []
        hashes = _digests(sdist, entry.get("wheels"), [archive] if archive else [])
        _chosen(found, line, entry, hashes, url, _text(entry.get("index")),
                firm_url=len(commit) >= 40)  # fmt: skip
    return found.made()


def pipenv(value: dict[str, Any], text: str, where: Location) -> Installs:
    """`Pipfile.lock`."""
    found = Gathered(where, "lock", text)
    pipenv_sources(found, items(table(value, "_meta").get("sources")))
    for group in ("default", "develop"):
        for name, entry in table(value, group).items():
            if not isinstance(entry, dict):
                found.unread.append(f"an entry that is no table: {name[:80]}")
                continue
            line, ref = found.line(f'"{name}": {{'), _text(entry.get("ref"))
            git, url = _text(entry.get("git")), _text(entry.get("file") or entry.get("path"))
            if git:
                url = f"git+{git}@{ref}"
            version = _text(entry.get("version")).removeprefix("==")
            given = {**entry, "name": name, "version": version}
            _chosen(found, line, given, _digests_of(entry)[:HASHES], url,
                    group="" if group == "default" else "dev", firm_url=len(ref) >= 40)  # fmt: skip
    return found.made()
