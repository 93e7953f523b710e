"""All formats and checks there are, found by a walk of their folders."""

from __future__ import annotations

import hashlib
import importlib
import os
import pkgutil
from collections.abc import Iterator
from functools import cache, cached_property
from pathlib import Path
from types import ModuleType
from typing import TypeVar, get_args, get_type_hints

from msgspec import Struct
from msgspec.structs import replace

import weighbridge.checks
import weighbridge.formats
import weighbridge.intel
from weighbridge import __version__
from weighbridge.core.check import Artifact, Audit, Check, Domain, Observer
from weighbridge.core.document import Document
from weighbridge.core.fact import Fact
from weighbridge.core.format import Format
from weighbridge.core.report import Intel

JUDGING_ROOMS = ("analysis", "checks", "formats", "intel")


class Scope(Struct, frozen=True):
    """What an audit is confined to: only what answers these `controls` is asked, and the target is
    taken for something of that `domain`, whatever is in it. `hears` are the facts of documents
    that the checks across files need; what is packed into a file is not asked."""

    controls: frozenset[str]
    domain: Domain
    hears: frozenset[type[Fact]]


class Ruleset(Struct, dict=True, frozen=True):
    """What this Weighbridge can recognise, parse and judge, sorted by name.

    `digest` is the sha256 over every source and data file that takes part in a judgement: two
    reports with the same digest were made by the same rules. `intel` is what is known of the
    world, with dates. `domain` is what the files that they are for belong to. `content_controls`
    stay open when a file's content could not be read, `descends` whether members are looked at.
    """

    formats: tuple[Format, ...]
    checks: tuple[Check, ...]
    intel: tuple[Intel, ...]
    observers: tuple[Observer, ...] = ()
    domain: Domain = Domain.MODEL
    content_controls: tuple[str, ...] = ()
    descends: bool = True

    @property
    def digest(self) -> str:
        """See above. It is computed when it is first asked for."""
        return _digest()

    def within(self, scope: Scope) -> Ruleset:
        """The rules that answer these controls, with the formats that they read; the digest stays
        that of all rules."""
        asked = replace(
            self,
            checks=tuple(c for c in self.checks if c.control in scope.controls),
            observers=tuple(o for o in self.observers if o.control in scope.controls),
            descends=False,
        )
        own = asked.of(scope.domain)
        formats = (f for f in self.formats
                   if own.controls_of(f.document) or _says(f.document) & scope.hears)  # fmt: skip
        return replace(asked, formats=tuple(formats))

    def of(self, domain: Domain) -> Ruleset:
        """The rules for files that belong there."""
        return self if domain is self.domain else self._other

    @cached_property
    def _other(self) -> Ruleset:
        other = Domain.SOURCE if self.domain is Domain.MODEL else Domain.MODEL
        return replace(self, domain=other)

    def checks_of(self, document: type[Document]) -> tuple[Check, ...]:
        """The checks that read documents of this type, or of a base of it."""
        found = self._by_type.get(document)
        if found is None:
            found = tuple(
                c for c in self.checks if issubclass(document, c.reads) and self._concerns(c.domain)
            )
            self._by_type[document] = found
        return found

    def observers_of(self, document: type[Document]) -> tuple[Observer, ...]:
        """The observers that read documents of this type, or of a base of it."""
        return tuple(
            o for o in self.observers if issubclass(document, o.reads) and self._concerns(o.domain)
        )

    def controls_of(self, document: type[Document]) -> tuple[str, ...]:
        """The controls that documents of this type help to answer."""
        checks = {c.control for c in self.checks_of(document)}
        observers = (o for o in self.observers_of(document) if not o.tells_gaps)
        return tuple(sorted(checks | {o.control for o in observers}))

    def _concerns(self, domain: Domain | None) -> bool:
        return domain is None or domain is self.domain

    def candidates(self, head: bytes) -> tuple[Format, ...]:
        """The formats that a blob with this beginning can be of; their `sniff` decides."""
        return self._by_first[head[0]] if head else self.formats

    @cached_property
    def _by_first(self) -> tuple[tuple[Format, ...], ...]:
        return tuple(
            tuple(f for f in self.formats if not f.first or byte in f.first) for byte in range(256)
        )

    @cached_property
    def artifact_checks(self) -> tuple[Check, ...]:
        """The checks that read each thing that was identified."""
        return tuple(c for c in self.checks if c.reads is Artifact)

    @cached_property
    def audit_checks(self) -> tuple[Check, ...]:
        """The checks that read the whole audit."""
        return tuple(c for c in self.checks if c.reads is Audit)

    def lost_controls(self, domain: Domain) -> tuple[str, ...]:
        """The controls that stay open when a file that belongs there could not be examined: it may
        have been any of those that they read."""
        own = {o.control for o in self.observers if o.domain is domain}
        return tuple(sorted(own.union(self.content_controls)))

    @cached_property
    def across_controls(self) -> tuple[str, ...]:
        """The controls that are answered across files."""
        return tuple(sorted({c.control for c in self.audit_checks}))

    @cached_property
    def _by_type(self) -> dict[type[Document], tuple[Check, ...]]:
        return {}


Declared = TypeVar("Declared", Format, Check, Observer)


def _reads_content(check: Check) -> bool:
    return check.run.__module__.startswith("weighbridge.checks.model_files.")


def _says(document: type[Document]) -> frozenset[type[Fact]]:
    """The kinds of facts that documents of this type can say."""
    said = getattr(document, "facts", None)
    if said is None:
        return frozenset()
    (kinds,) = get_args(get_type_hints(said)["return"])
    return frozenset(get_args(kinds) or (kinds,))


def _modules(package: ModuleType) -> Iterator[ModuleType]:
    for info in sorted(
        pkgutil.walk_packages(package.__path__, package.__name__ + "."), key=lambda i: i.name
    ):
        yield importlib.import_module(info.name)


def _declared(package: ModuleType, kind: type[Declared]) -> dict[str, Declared]:
    found: dict[str, Declared] = {}
    for module in _modules(package):
        for value in vars(module).values():
            if isinstance(value, kind):
                key = value.name if isinstance(value, Format) else value.id
                if found.setdefault(key, value) is not value:
                    raise ValueError(f"two declarations are called {key!r}")
    return dict(sorted(found.items()))


@cache
def _digest() -> str:
    root = Path(__file__).parent.parent
    digest = hashlib.sha256(__version__.encode())
    for room in JUDGING_ROOMS:
        for path in sorted(_sources(f"{root}/{room}")):
            with open(path, "rb", buffering=0) as file:
                digest.update(path[len(f"{root}/") :].encode() + b"\0")
                digest.update(hashlib.sha256(file.readall()).digest())
    return digest.hexdigest()


def _sources(folder: str) -> Iterator[str]:
    """Every source and data file below a folder. (`pathlib` takes as long as the digest itself.)"""
    with os.scandir(folder) as scan:
        for entry in scan:
            if entry.is_dir():
                yield from _sources(entry.path)
            elif entry.name.endswith((".py", ".json")):
                yield entry.path


@cache
def load() -> Ruleset:
    """Import formats and checks and read the intel, once. `ValueError` if two share a name."""
    modules = _modules(weighbridge.intel)
    intel = tuple(module.load() for module in modules if hasattr(module, "load"))
    checks = tuple(_declared(weighbridge.checks, Check).values())
    return Ruleset(
        formats=tuple(_declared(weighbridge.formats, Format).values()),
        checks=checks,
        content_controls=tuple(sorted({c.control for c in checks if _reads_content(c)})),
        observers=tuple(_declared(weighbridge.checks, Observer).values()),
        intel=intel,
    )
