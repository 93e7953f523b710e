"""What a Python project asks for: pyproject.toml, Pipfile, uv.toml, setup.cfg, pip.conf, setup.py.

Sources: PEP 621, 735 and 508; the pages of Poetry, PDM, uv and Pipenv on dependencies and sources;
https://setuptools.pypa.io/en/latest/userguide/declarative_config.html.
"""

from __future__ import annotations

import ast
import configparser
import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

from msgspec.structs import replace

from weighbridge.core.fact import Firmness, IncludedFile, Installs, PackageIndex, Requirement
from weighbridge.core.location import Location
from weighbridge.core.regex import regex
from weighbridge.formats.requirements import as_fact, read_line, read_lines

TEXT_KEPT: Final = 2_000
SOUGHT_TEXT: Final = 1 << 20
SOUGHT: Final = 2_000
"""Up to how many characters of a file entries are looked up in for their lines, and how many."""
_FULL: Final = regex(r"[0-9a-f]{40}|[0-9a-f]{64}")
_POETRY: Final = regex(r"\s*(\^|~(?!=)|)\s*(\d[\w.!+-]*(?:\.\*)?|\*)\s*")


class Gathered:
    """What has been found in one file so far; `text` is what its lines are looked up in."""

    def __init__(self, where: Location, place: str, text: str) -> None:
        self.where, self.place, self.text, self.sought = where, place, text, 0
        self.requirements: list[Requirement] = []
        self.indexes: list[PackageIndex] = []
        self.files: list[IncludedFile] = []
        self.unread: list[str] = []

    def line(self, *needles: str) -> int:
        """The line (from 1) of the first of these texts that is there; 0 for none."""
        self.sought += 1
        if self.sought > SOUGHT or len(self.text) > SOUGHT_TEXT:
            return 0
        for needle in needles:
            at = self.text.find(needle) if needle else -1
            if at >= 0:
                return self.text.count("\n", 0, at) + 1
        return 0

    def entry(self, said: Any, group: str = "", sources: dict[str, Any] | None = None) -> None:
        """One requirement in the form of PEP 508, with where another table says that it is from."""
        if not isinstance(said, str):
            self.unread.append(f"a requirement that is no text: {str(said)[:80]}")
            return
        line = self.line(f'"{said}"', f"'{said}'", said)
        made = as_fact(read_line(said[:TEXT_KEPT].strip(), line), group)
        if made is None:
            self.unread.append(f"no requirement: {said[:80]}")
            return
        source = _named(sources or {}, made.name)
        self.add(replaced(made, source) if source is not None else made)

    def add(self, requirement: Requirement) -> None:
        """A requirement that has been read."""
        self.requirements.append(requirement)

    def index(self, kind: str, said: Any) -> None:
        """A place that packages are taken from."""
        if isinstance(said, str) and said:
            self.indexes.append(PackageIndex(kind=kind, said=said[:500], line=self.line(said)))

    def file(self, path: Any) -> None:
        """Another file that says more."""
        if isinstance(path, str):
            self.files.append(IncludedFile(path=path[:500], line=self.line(path)))

    def made(self) -> Installs:
        """The fact."""
        return Installs(
            at=self.where,
            place=self.place,
            requirements=tuple(self.requirements),
            indexes=tuple(dict.fromkeys(self.indexes)),
            files=tuple(self.files),
            unread=tuple(self.unread[:20]),
        )


def table(value: Any, *keys: str) -> dict[str, Any]:
    """The mapping behind keys, empty where there is none."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def items(value: Any) -> list[Any]:
    """A list, empty where it is none."""
    return value if isinstance(value, list) else []


def _named(sources: dict[str, Any], name: str) -> dict[str, Any] | None:
    wanted = re.sub(r"[-_.]+", "-", name).lower()
    for key, source in sources.items():
        if re.sub(r"[-_.]+", "-", key).lower() == wanted:
            found = items(source)[:1] or [source]
            return found[0] if isinstance(found[0], dict) else None
    return None


def replaced(made: Requirement, source: dict[str, Any]) -> Requirement:
    """A requirement whose source is an address, working copy or path in place of an index."""
    git = source.get("git")
    if isinstance(git, str):
        ref = next(
            (r for k in ("rev", "ref", "tag", "branch") if isinstance(r := source.get(k), str)), ""
        )
        url = f"git+{git.removeprefix('git+')}" + (f"@{ref}" if ref else "")
        firm = Firmness.HASH if _FULL.fullmatch(ref) else Firmness.NONE
        return replace(made, url=url, firm=firm, version=None)
    for key in ("url", "file", "path"):
        if isinstance(source.get(key), str):
            read = as_fact(read_line(f"{made.name} @ {source[key]}", made.line), made.group)
            if key == "url" and read is not None:
                return read
            return replace(made, url=source[key], firm=Firmness.NONE, version=None,
                           editable=source.get("editable") is True)  # fmt: skip
    index = source.get("index") or source.get("source")
    return replace(made, source=index[:200]) if isinstance(index, str) else made


# -- TOML ------------------------------------------------------------------------------------------


def pyproject(value: dict[str, Any], text: str, where: Location) -> Installs | None:
    """What `pyproject.toml` asks for, by the standards and by the tools that came before them."""
    found = Gathered(where, "project", text)
    tool = table(value, "tool")
    sources = table(tool, "uv", "sources")
    project = table(value, "project")
    for said in items(project.get("dependencies")):
        found.entry(said, sources=sources)
    for group, listed in table(project, "optional-dependencies").items():
        for said in items(listed):
            found.entry(said, group, sources)
    for group, listed in table(value, "dependency-groups").items():
        for said in items(listed):
            if not (isinstance(said, dict) and "include-group" in said):
                found.entry(said, group, sources)
    for said in items(table(value, "build-system").get("requires")):
        found.entry(said, "build-system")
    for said in items(table(tool, "uv").get("dev-dependencies")):
        found.entry(said, "dev", sources)
    for group, listed in table(tool, "pdm", "dev-dependencies").items():
        for said in items(listed):
            found.entry(said, group)
    _dynamic(found, project, table(tool, "setuptools", "dynamic"))
    _poetry(found, table(tool, "poetry"))
    _uv_indexes(found, table(tool, "uv"))
    for source in items(table(tool, "pdm").get("source")):
        if isinstance(source, dict):
            limited = source.get("include_packages")
            default = source.get("name") == "pypi"
            kind = "index" if default else "pinned" if limited else "extra"
            found.index(kind, source.get("url"))
            if source.get("verify_ssl") is False:
                found.index("trusted-host", source.get("url"))
    asks = found.requirements or found.indexes or found.files or found.unread
    return found.made() if asks or project else None


def _dynamic(found: Gathered, project: dict[str, Any], dynamic: dict[str, Any]) -> None:
    """What setuptools takes from other files."""
    for key in items(project.get("dynamic")):
        if key not in ("dependencies", "optional-dependencies"):
            continue
        said = dynamic.get(key)
        tables = [said] if key == "dependencies" else list(table(dynamic, key).values())
        named = [t.get("file") for t in tables if isinstance(t, dict)]
        paths = [p for n in named for p in (items(n) or [n]) if isinstance(p, str)]
        for path in paths:
            found.file(path)
        if not paths:
            found.unread.append(f"{key} are computed when it is built")


def _poetry(found: Gathered, poetry: dict[str, Any]) -> None:
    asked = [("", poetry.get("dependencies")), ("dev", poetry.get("dev-dependencies"))]
    asked += [(g, t.get("dependencies")) for g, t in table(poetry, "group").items()
              if isinstance(t, dict)]  # fmt: skip
    for group, listed in asked:
        for name, said in (listed if isinstance(listed, dict) else {}).items():
            if name.lower() != "python":
                for one in items(said) or [said]:
                    found.add(_of_tool(found, name, one, group))
    for source in items(poetry.get("source")):
        if isinstance(source, dict):
            priority = str(source.get("priority", "")).lower()
            main = source.get("default") is True or priority in ("default", "primary", "")
            kind = "pinned" if priority == "explicit" else "index" if main else "extra"
            found.index(kind, source.get("url"))


def _of_tool(found: Gathered, name: str, said: Any, group: str) -> Requirement:
    """A requirement as Poetry and Pipenv write it: a name, and a version or a table."""
    options = said if isinstance(said, dict) else {"version": said}
    written = options.get("version", "*")
    specifier = clauses(written if isinstance(written, str) else "*")
    line = found.line(f"\n{name} =", f"\n{name}=", f'\n"{name}"')
    made = as_fact(read_line(f"{name}{specifier}", line + 1 if line else 0), group)
    if made is None:
        made = Requirement(name=name, line=line + 1 if line else 0, group=group)
    return replaced(made, options)


def clauses(written: str) -> str:
    """The clauses of PEP 440 that Poetry's and Pipenv's (`^1.2`, `~1.2`, `1.2`) come to. Of
    alternatives (`||`) nothing is left: any version may be meant."""
    if "|" in written:
        return ""
    made = []
    for part in written.split(","):
        short = _POETRY.fullmatch(part)
        if short is None:
            made.append(part.strip())
        elif short[2] != "*":
            made.append(_bounds(short[1], short[2]))
    return ",".join(m for m in made if m)


def _bounds(sign: str, version: str) -> str:
    if not sign:
        return f"=={version}"
    numbers = [int(n) if n.isdecimal() else 0 for n in re.split(r"[.]", version)[:3]]
    if sign == "~":
        kept = min(len(numbers), 2)
    else:
        kept = next((i + 1 for i, n in enumerate(numbers) if n), len(numbers))
    upper = [*numbers[: kept - 1], numbers[kept - 1] + 1]
    return f">={version},<{'.'.join(map(str, upper))}"


def uv_settings(value: dict[str, Any], text: str, where: Location) -> Installs | None:
    """The indexes of `uv.toml`."""
    found = Gathered(where, "project", text)
    _uv_indexes(found, value)
    return found.made() if found.indexes else None


def _uv_indexes(found: Gathered, settings: dict[str, Any]) -> None:
    for place in (settings, table(settings, "pip")):
        found.index("index", place.get("index-url"))
        for key in ("extra-index-url", "find-links"):
            for url in items(place.get(key)) or [place.get(key)]:
                found.index("extra" if key == "extra-index-url" else key, url)
        found.index("strategy", place.get("index-strategy"))
        for host in items(place.get("allow-insecure-host")):
            found.index("trusted-host", host)
    for index in items(settings.get("index")):
        if isinstance(index, dict):
            default, pinned = index.get("default") is True, index.get("explicit") is True
            kind = "pinned" if pinned else "index" if default else "extra"
            found.index(kind, index.get("url"))


def pipfile(value: dict[str, Any], text: str, where: Location) -> Installs:
    """What a Pipfile asks for."""
    found = Gathered(where, "project", text)
    for group in ("packages", "dev-packages"):
        for name, said in table(value, group).items():
            found.add(_of_tool(found, name, said, "" if group == "packages" else "dev"))
    pipenv_sources(found, items(value.get("source")))
    return found.made()


def pipenv_sources(found: Gathered, sources: Iterable[Any]) -> None:
    """The sources of a Pipfile or its lock: the first is the default one, and since 2022 the
    others serve only what names them."""
    for number, source in enumerate(sources):
        if isinstance(source, dict):
            found.index("pinned" if number else "index", source.get("url"))
            if source.get("verify_ssl") is False:
                found.index("trusted-host", source.get("url"))


# -- INI -------------------------------------------------------------------------------------------


def ini(text: str, name: str, where: Location) -> Installs | None:
    """What `setup.cfg` asks for, or the indexes of `pip.conf`."""
    found = Gathered(where, "project", text)
    parser = configparser.RawConfigParser(strict=False, allow_no_value=True)
    try:
        parser.read_string(text)
    except (configparser.Error, ValueError, AttributeError, TypeError) as error:
        found.unread.append(f"it cannot be read: {str(error)[:100]}")
        return found.made()
    if name != "setup.cfg":
        for section in parser.sections():
            _pip_settings(found, dict(parser.items(section)))
        return found.made() if found.indexes else None
    for key, group in (("install_requires", ""), ("setup_requires", "build-system"),
                       ("tests_require", "test")):  # fmt: skip
        _declared(found, parser.get("options", key, fallback="") or "", group)
    if parser.has_section("options.extras_require"):
        for group, said in parser.items("options.extras_require"):
            _declared(found, said or "", group)
    return found.made() if found.requirements or found.files or found.unread else None


def _declared(found: Gathered, said: str, group: str) -> None:
    said = said.strip()
    if said.startswith("file:"):
        for path in said.removeprefix("file:").split(","):
            found.file(path.strip())
        return
    for line in said.replace(";\n", "\n").splitlines():
        if line.strip() and not line.strip().startswith("#"):
            found.entry(line.strip(), group)


def _pip_settings(found: Gathered, settings: dict[str, str | None]) -> None:
    for key, kind in (("index-url", "index"), ("extra-index-url", "extra"),
                      ("find-links", "find-links"), ("trusted-host", "trusted-host")):  # fmt: skip
        said = settings.get(key) or settings.get(key.replace("-", "_")) or ""
        for one in said.split():
            found.index(kind, one)


# -- setup.py --------------------------------------------------------------------------------------

_GROUPS: Final = {"install_requires": "", "setup_requires": "build-system", "tests_require": "test"}
_LISTED: Final = regex(r"[\w./-]*requirements[\w./-]*\.(?:txt|in)")


def setup_script(tree: ast.Module, text: str, where: Location) -> Installs | None:
    """What `setup.py` hands to `setup()`, as far as it is written out; it is never run."""
    calls = [n for n in ast.walk(tree) if isinstance(n, ast.Call) and _called(n) == "setup"]
    if not calls:
        return None
    found = Gathered(where, "project", text)
    known = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    named = {
        n.value
        for n in ast.walk(tree)
        if isinstance(n, ast.Constant) and isinstance(n.value, str) and _LISTED.fullmatch(n.value)
    }
    for call in calls:
        for keyword in call.keywords:
            if keyword.arg is None:
                found.unread.append(f"line {call.lineno:,}: what setup() is given is computed")
            for group, value in _asked(keyword, known):
                _written(found, value, group, known, bool(named))
    for path in sorted(named):
        found.file(path)
    return found.made()


def _called(node: ast.Call) -> str:
    target = node.func
    return target.attr if isinstance(target, ast.Attribute) else getattr(target, "id", "")


def _asked(keyword: ast.keyword, known: dict[str, ast.expr]) -> Iterator[tuple[str, ast.expr]]:
    if keyword.arg in _GROUPS:
        yield _GROUPS[keyword.arg], keyword.value
    elif keyword.arg == "extras_require":
        value = keyword.value
        if isinstance(value, ast.Name):
            value = known.get(value.id, value)
        if not isinstance(value, ast.Dict):
            yield "extras", value
            return
        for key, listed in zip(value.keys, value.values, strict=True):
            name = key.value if isinstance(key, ast.Constant) else "extras"
            yield str(name), listed


def _written(
    found: Gathered, value: ast.expr, group: str, known: dict[str, ast.expr], elsewhere: bool
) -> None:
    """The texts of a list that is written out, also through names and sums of lists."""
    waiting, seen = [value], 0
    while waiting:
        node, seen = waiting.pop(), seen + 1
        if seen > 10_000:
            return
        if isinstance(node, ast.List | ast.Tuple):
            waiting += reversed(node.elts)
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            waiting += [node.right, node.left]
        elif isinstance(node, ast.Name) and node.id in known:
            waiting.append(known[node.id])
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            for read in read_lines(node.value):
                made = as_fact(read, group)
                if made is not None:
                    found.add(replace(made, line=node.lineno))
        elif not elsewhere:
            found.unread.append(f"line {node.lineno:,}: requirements are computed")
