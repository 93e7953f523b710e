"""What the user decides: which failures block, which gaps are accepted, which findings are waived.

A policy is a TOML file of whoever runs the audit, never of what is audited:

    [policy]
    review_fails = true          # exit with 1 on review, too
    block = ["file-format"]      # a failure here blocks
    demand = ["integrity"]       # unknown here makes the audit incomplete
    known_publishers = ["acme"]  # names that others would imitate
    rules = "yara"               # run the YARA rules of this folder, relative to this file

    [[waiver]]
    check = "pickle-unknown-name"
    path = "tokenizer/*.pkl"
    reason = "our own class, reviewed in issue 12"
    owner = "ml-platform@example.org"
    expires = 2027-01-31

    [[accept_gap]]
    path = "notes.7z"
    kind = "encrypted"
    reason = "not deployed"
    owner = "ml-platform@example.org"
    expires = 2027-01-31

    [[publisher]]                # whose signatures count, for which repositories
    repository = "example/*"
    key = "keys/example.pub"     # a path beside this file, or the PEM itself
    required = true              # without a signature by one of its publishers: block

    [[publisher]]
    repository = "example/*"
    identity = "https://github.com/example/models/.github/workflows/release.yml@refs/tags/*"
    issuer = "https://token.actions.githubusercontent.com"
    trust_root = "trusted_root.json"  # of a Sigstore instance of your own

    [[publisher]]
    repository = "example/*"
    root = "keys/root.pem"
    subject = "CN=Example model signing,O=Example"
"""

from __future__ import annotations

import json
import tomllib
from collections import Counter
from datetime import date
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

import msgspec

from weighbridge.core.finding import Finding, Gap, GapKind
from weighbridge.core.trust import Publisher
from weighbridge.policy.controls import BY_ID

OWN_FILE: Final = "weighbridge.toml"
SHARED_FILE: Final = "pyproject.toml"
_PEM: Final = "-----BEGIN"
LARGEST: Final = 1 << 20
"""How many bytes a policy file may have."""


class PolicyError(Exception):
    """The policy cannot be used; the message names the file and the key."""


class Waiver(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Findings that somebody answers for until a day.

    Every matcher that is given must match; `check` or `fingerprint` has to be. `path` is a glob
    over the path of the file, in which `*` matches `/` too. `expires` is the last day it holds.
    """

    reason: str
    owner: str
    expires: date
    id: str = ""
    check: str | None = None
    path: str | None = None
    symbol: str | None = None
    fingerprint: str | None = None

    def covers(self, finding: Finding) -> bool:
        """Whether it matches the finding, whatever the date."""
        return (
            self.check in (None, finding.check)
            and (self.path is None or fnmatchcase(finding.at.path, self.path))
            and self.symbol in (None, finding.symbol)
            and self.fingerprint in (None, finding.fingerprint)
        )


class GapAcceptance(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Gaps that may stay open until a day. Every matcher that is given must match; one has to be.

    With `control`, the gap is accepted for that control only.
    """

    reason: str
    owner: str
    expires: date
    id: str = ""
    path: str | None = None
    kind: GapKind | None = None
    control: str | None = None

    def covers(self, gap: Gap, control: str) -> bool:
        """Whether it matches the gap, as one of this control, whatever the date."""
        return (
            (self.path is None or fnmatchcase(gap.at.path, self.path))
            and self.kind in (None, gap.kind)
            and self.control in (None, control)
        )


class Rules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The table `[policy]`. `review_fails`: a review exits with 1, too. `block`: controls whose
    failure blocks whatever the table of controls says. `demand`: controls that must be answered.
    `known_publishers`: owners of repositories that others would imitate. `rules`: a folder of YARA
    rules; `read` makes it relative to the working folder."""

    review_fails: bool = False
    block: tuple[str, ...] = ()
    demand: tuple[str, ...] = ()
    known_publishers: tuple[str, ...] = ()
    rules: str | None = None


class Policy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All that a policy file may say. The ids of waivers and acceptances are unique."""

    rules: Rules = msgspec.field(default=Rules(), name="policy")
    waivers: tuple[Waiver, ...] = msgspec.field(default=(), name="waiver")
    accepted_gaps: tuple[GapAcceptance, ...] = msgspec.field(default=(), name="accept_gap")
    publishers: tuple[Publisher, ...] = msgspec.field(default=(), name="publisher")


def locate(folder: Path, target: Path) -> tuple[Path | None, str | None]:
    """The policy file of a working folder, and a notice where there is one that must not be used.

    A file that belongs to the target would let the target pardon itself. Where the target is a
    single file, what lies in its folder came with it.
    """
    audited = target.resolve()
    if not audited.is_dir():
        audited = audited.parent
    for path in (folder / OWN_FILE, folder / SHARED_FILE):
        if not path.is_file() or (path.name == SHARED_FILE and not _names_us(path)):
            continue
        # Decided before it is parsed: a broken file of the target must not end the audit.
        places = (path.resolve(), path.parent.resolve() / path.name)
        if any(place.is_relative_to(audited) for place in places):
            return None, (
                f"{path.name} belongs to what is audited and is not used as a policy; "
                "if it is yours, say so with --policy"
            )
        if path.name == OWN_FILE or _own_table(path) is not None:
            return path, None
    return None, None


def read(path: Path) -> Policy:
    """Read a policy file; of a `pyproject.toml`, its table `[tool.weighbridge]`.

    Raises `PolicyError` for whatever is wrong with it.
    """
    table = _own_table(path) if path.name == SHARED_FILE else _table(path)
    if table is None:
        raise PolicyError(f"{path}: it has no table [tool.weighbridge]")
    try:
        policy = _placed(msgspec.convert(table, Policy), path)
    except msgspec.ValidationError as error:
        raise PolicyError(f"{path}: {str(error).replace('`$.', '`')}") from error
    try:
        return _with_keys(_checked(policy), path.parent)
    except ValueError as error:
        raise PolicyError(f"{path}: {error}") from error


def _placed(policy: Policy, path: Path) -> Policy:
    """The policy with its folder of rules found from where the policy stands."""
    if policy.rules.rules is None:
        return policy
    folder = str(path.parent / policy.rules.rules)
    return msgspec.structs.replace(
        policy, rules=msgspec.structs.replace(policy.rules, rules=folder)
    )


def _bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except OSError as error:
        raise PolicyError(f"{path}: {error.strerror}") from error
    if len(data) > LARGEST:
        raise PolicyError(f"{path}: it is larger than {LARGEST:,} bytes")
    return data


def _names_us(path: Path) -> bool:
    """Whether a shared file may have a table for us: most have none, however they are written."""
    with path.open("rb") as file:
        return b"weighbridge" in file.read(LARGEST)


def _table(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(_bytes(path).decode())
    except (ValueError, RecursionError) as error:
        raise PolicyError(f"{path}: it is no TOML: {error}") from error


def _own_table(path: Path) -> Any | None:
    tool = _table(path).get("tool")
    return tool.get("weighbridge") if isinstance(tool, dict) else None


def _checked(policy: Policy) -> Policy:
    """What types cannot say; waivers without an id are numbered. Raises `ValueError`."""
    for key, ids in (("block", policy.rules.block), ("demand", policy.rules.demand)):
        for id in ids:
            _known(id, f"policy.{key}")
    waivers = []
    for number, waiver in enumerate(policy.waivers, 1):
        key = f"waiver[{number - 1}]"
        _answered_for(waiver, key)
        if waiver.check is None and waiver.fingerprint is None:
            raise ValueError(f"`{key}`: `check` or `fingerprint` must say what is waived")
        waivers.append(msgspec.structs.replace(waiver, id=waiver.id or f"waiver-{number}"))
    accepted = []
    for number, gap in enumerate(policy.accepted_gaps, 1):
        key = f"accept_gap[{number - 1}]"
        _answered_for(gap, key)
        if gap.path is None and gap.kind is None and gap.control is None:
            raise ValueError(f"`{key}`: `path`, `kind` or `control` must say what is accepted")
        if gap.control is not None:
            _known(gap.control, f"{key}.control")
        accepted.append(msgspec.structs.replace(gap, id=gap.id or f"accept-gap-{number}"))
    named = Counter([*(waiver.id for waiver in waivers), *(gap.id for gap in accepted)])
    for id, times in named.items():
        if times > 1:
            raise ValueError(f"two waivers or acceptances have the `id` {id!r}")
    return msgspec.structs.replace(policy, waivers=tuple(waivers), accepted_gaps=tuple(accepted))


def _with_keys(policy: Policy, folder: Path) -> Policy:
    """The publishers with the keys and roots that their paths lead to, from the folder of the
    policy file. Raises `ValueError`, `PolicyError`."""
    publishers = []
    for number, publisher in enumerate(policy.publishers):
        key = f"publisher[{number}]"
        ways = [
            publisher.key is not None,
            publisher.identity is not None or publisher.issuer is not None,
            publisher.root is not None or publisher.subject is not None,
        ]
        if sum(ways) != 1:
            raise ValueError(
                f"`{key}`: one of `key`, `identity` with `issuer`, and `root` with `subject` "
                "must say whose signature counts"
            )
        for one, other in (("identity", "issuer"), ("root", "subject")):
            if (getattr(publisher, one) is None) != (getattr(publisher, other) is None):
                raise ValueError(f"`{key}`: `{one}` and `{other}` go together")
        if publisher.trust_root is not None and publisher.identity is None:
            raise ValueError(f"`{key}.trust_root` goes with `identity`")
        if not publisher.repository:
            raise ValueError(f"`{key}.repository` is empty")
        read_in = {
            name: _material(getattr(publisher, name), folder, marker, f"{key}.{name}")
            for name, marker in (("key", _PEM), ("root", _PEM), ("trust_root", "{"))
            if getattr(publisher, name) is not None
        }
        publishers.append(msgspec.structs.replace(publisher, **read_in))
    return msgspec.structs.replace(policy, publishers=tuple(publishers))


def _material(said: str, folder: Path, marker: str, key: str) -> str:
    """What a policy says itself, or the text of the file that it names."""
    text = said
    if not said.lstrip().startswith(marker):
        try:
            text = _bytes(folder / said).decode("ascii" if marker == _PEM else "utf-8")
        except UnicodeDecodeError:
            raise ValueError(f"`{key}`: {said} is no text") from None
    if marker == "{":
        try:
            json.loads(text)
        except (ValueError, RecursionError):
            raise ValueError(f"`{key}`: it is no JSON") from None
    wanted = "PUBLIC KEY" if key.endswith(".key") else "CERTIFICATE"
    if marker == _PEM and f"-----BEGIN {wanted}-----" not in text:
        raise ValueError(f"`{key}`: it is no {wanted.lower()} in PEM")
    return text


def _known(id: str, key: str) -> None:
    if id not in BY_ID:
        raise ValueError(f"`{key}`: no control is called {id!r}; there are {', '.join(BY_ID)}")


def _answered_for(entry: Waiver | GapAcceptance, key: str) -> None:
    for name in ("reason", "owner"):
        if not getattr(entry, name).strip():
            raise ValueError(f"`{key}.{name}` is empty")
