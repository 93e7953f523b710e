"""Bills of materials in JSON (CycloneDX, SPDX), and the records of a system's own packages.

Sources: https://cyclonedx.org/docs/1.6/json/, https://spdx.github.io/spdx-spec/v2.3/ and
https://github.com/package-url/purl-spec. Components are taken by their package URLs; what has none
has no ecosystem and cannot be looked up.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import parse_qs, unquote

from weighbridge.core.fact import Firmness, Installs, Requirement
from weighbridge.core.location import Location
from weighbridge.core.regex import regex

COMPONENTS: Final = 50_000
DEPTH: Final = 16
_PURL: Final = regex(
    r"pkg:([A-Za-z][\w.+-]*)/(?:([^?#@]+)/)?([^/?#@]+)(?:@([^?#]+))?(?:\?([^#]+))?"
)
_ECOSYSTEMS: Final = {"pypi": "PyPI", "conda": "conda", "deb": "Debian", "apk": "Alpine",
                      "rpm": "rpm", "npm": "npm", "golang": "Go", "cargo": "crates.io"}  # fmt: skip


def bill_of_materials(value: Any, where: Location) -> Installs | None:
    """What a bill of materials lists, or None where the value is none."""
    if not isinstance(value, dict):
        return None
    if value.get("bomFormat") == "CycloneDX":
        said = [(c.get("name"), c.get("purl"), c.get("type")) for c in _components(value)]
    elif isinstance(value.get("spdxVersion"), str) and isinstance(value.get("packages"), list):
        subjects = _described(value)
        packages = [p for p in value["packages"] if isinstance(p, dict)]
        said = [(p.get("name"), _locator(p), p.get("SPDXID") in subjects or None)
                for p in packages]  # fmt: skip
    else:
        return None
    made: list[Requirement] = []
    nameless = 0
    for name, purl, kind in said[:COMPONENTS]:
        read = _PURL.match(purl) if isinstance(purl, str) else None
        if read is not None:
            made.append(_requirement(read))
        elif isinstance(name, str) and kind in ("library", "framework", None):
            nameless += 1
    unread = []
    if nameless:
        unread.append(f"{nameless:,} components have no package URL: they cannot be looked up")
    if len(said) > COMPONENTS:
        unread.append(f"more than {COMPONENTS:,} components")
    return Installs(
        at=where,
        place="inventory",
        requirements=tuple(dict.fromkeys(made)),
        unread=tuple(unread),
    )


def _components(value: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The components, those within others among them."""
    waiting = [(value, 0)]
    count = 0
    while waiting:
        holder, depth = waiting.pop()
        listed = holder.get("components")
        if not isinstance(listed, list) or depth > DEPTH:
            continue
        for one in listed:
            if isinstance(one, dict):
                count += 1
                if count > COMPONENTS + 1:
                    return
                yield one
                waiting.append((one, depth + 1))


def _described(value: dict[str, Any]) -> tuple[Any, ...]:
    """The subjects of a document of SPDX: what it is about needs no package URL."""
    listed = value.get("documentDescribes")
    related = value.get("relationships")
    return (
        *(listed if isinstance(listed, list) else ()),
        *(r.get("relatedSpdxElement") for r in (related if isinstance(related, list) else ())
          if isinstance(r, dict) and r.get("relationshipType") == "DESCRIBES"),
    )  # fmt: skip


def _locator(package: dict[str, Any]) -> str | None:
    """The package URL of a package of SPDX."""
    listed = package.get("externalRefs")
    for reference in listed if isinstance(listed, list) else ():
        if isinstance(reference, dict) and reference.get("referenceType") == "purl":
            found = reference.get("referenceLocator")
            return found if isinstance(found, str) else None
    return None


def _requirement(read: re.Match[str]) -> Requirement:
    kind, space, name, version = read[1].lower(), read[2], unquote(read[3]), read[4]
    version = unquote(version)[:100] if version else None
    full = f"{unquote(space)}/{name}" if space and kind in ("npm", "golang") else name
    source, built_from = "", ("", "")
    if kind in ("deb", "apk", "rpm"):
        # https://github.com/package-url/purl-spec/blob/main/types-doc/deb-definition.md
        said = parse_qs((read[5] or "")[:1_000])
        release = said.get("distro", [""])[0].lower()[:60]
        system = (space or "").lower()[:30]
        source = f"{system}-{release}" if release and "-" not in release else release
        origin, _, its_version = said.get("upstream", [""])[0].partition("@")
        built_from = origin[:200], its_version[:100]
    return Requirement(
        source=source,
        built_from=built_from,
        name=full[:200],
        ecosystem=_ECOSYSTEMS.get(kind, kind[:40]),
        specifier=f"=={version}" if version else "",
        version=version,
        firm=Firmness.INSTALLED if version else Firmness.NONE,
    )


_SKOPS: Final = regex(r"([A-Za-z0-9][\w.-]*)\s*(?:(={1,3}|[<>~!]=?)\s*([\w.!+*-]+))?")


def skops_environment(value: Any, where: Location) -> Installs | None:
    """What a model of scikit-learn asks for in the `config.json` that skops writes (its
    hub_utils, `sklearn.environment`), with `=` as conda has it."""
    said = value.get("sklearn") if isinstance(value, dict) else None
    listed = said.get("environment") if isinstance(said, dict) else None
    if not isinstance(listed, list):
        return None
    made, unread = [], []
    for one in listed[:COMPONENTS]:
        found = _SKOPS.fullmatch(one.strip()) if isinstance(one, str) else None
        if found is None:
            unread.append(f"no requirement: {str(one)[:80]}")
            continue
        sign, version = found[2] or "", found[3] or ""
        exact = sign.strip("=") == "" and bool(version) and not version.endswith("*")
        made.append(
            Requirement(
                name=found[1],
                specifier=f"=={version}" if exact else f"{sign}{version}",
                version=version if exact else None,
                firm=Firmness.EXACT if exact else Firmness.RANGE if sign else Firmness.NONE,
            )
        )
    return Installs(
        at=where, place="requirements", requirements=tuple(made), unread=tuple(unread[:20])
    )
