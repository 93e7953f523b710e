"""What a resolver chose: the locks of poetry, uv, pdm and Pipenv, and pylock.toml (PEP 751)."""

from __future__ import annotations

import re
from typing import Any, Final

from weighbridge.core.fact import Firmness, Installs, Requirement
from weighbridge.core.location import Location
from weighbridge.formats.project import Gathered, items, pipenv_sources, table

_HEADER: Final = re.compile(r"^\[\[packages?\]\]", re.MULTILINE)
_DEFAULT: Final = "https://pypi.org/simple"


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
    found: Gathered, line: int, entry: dict[str, Any], hashed: bool, url: str, source: str = "",
    group: str = "", firm_url: bool = False,
) -> None:  # fmt: skip
    name, version = _text(entry.get("name")), _text(entry.get("version"))
    if not name:
        found.unread.append(f"line {line:,}: an entry without a name")
        return
    firm = Firmness.HASH if hashed or firm_url else Firmness.EXACT
    if url and not (hashed or firm_url):
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
            source="" if source.rstrip("/") == _DEFAULT else source[:500],
            group=group,
        )
    )


def _hashed(*lists: Any) -> bool:
    """Whether every file that is listed has a digest."""
    files = [f for listed in lists for f in items(listed)]
    return bool(files) and all(
        isinstance(f, dict) and (f.get("hash") or f.get("hashes")) for f in files
    )


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
        hashed = _hashed(entry.get("files")) or _hashed(apart.get(_text(entry.get("name"))))
        _chosen(found, line, entry, hashed, url, _text(source.get("url")) if not url else "",
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
        _chosen(found, line, entry, _hashed(sdist, entry.get("wheels")), url,
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
        _chosen(found, line, entry, _hashed(entry.get("files")), url, firm_url=len(commit) >= 40)
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
        hashed = _hashed(sdist, entry.get("wheels"), [archive] if archive else [])
        _chosen(found, line, entry, hashed, url, _text(entry.get("index")),
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
            _chosen(found, line, given, bool(items(entry.get("hashes"))), url,
                    group="" if group == "default" else "dev", firm_url=len(ref) >= 40)  # fmt: skip
    return found.made()
