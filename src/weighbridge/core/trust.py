"""What whoever runs the audit already trusts: publishers by their keys, and an earlier audit.

It comes from the policy and the lock, never from the target.
"""

from __future__ import annotations

from msgspec import Struct

LOCK_SCHEMA = "weighbridge/lock/1"


class Publisher(Struct, frozen=True, kw_only=True):
    """Whose signature counts for the repositories that the glob `repository` matches.

    One of three: `key`, a public key (PEM); `identity` and `issuer`, the account that a Sigstore
    certificate was issued for (a glob) and by whom; `root` and `subject`, the certificates (PEM)
    that a chain must end in and the name that the signer's certificate bears. `trust_root` is the
    trust root of a Sigstore instance (JSON), None for the public one. With `required`, files that
    no publisher of their repository has signed are blocked.
    """

    repository: str
    key: str | None = None
    identity: str | None = None
    issuer: str | None = None
    root: str | None = None
    subject: str | None = None
    trust_root: str | None = None
    required: bool = False

    @property
    def name(self) -> str:
        """How a reader knows it."""
        if self.identity is not None:
            return f"{self.identity} (by {self.issuer})"
        return self.subject if self.subject is not None else f"the key of {self.repository}"


class LockedFile(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A file as it was audited: size in bytes, and its digests as in `FileRecord`; `declared` was
    named by the source and not computed."""

    path: str
    size: int
    sha256: str | None = None
    git: str | None = None
    declared: str | None = None


class Lock(Struct, frozen=True, kw_only=True):
    """What was audited and let in: the repository's identity, every file, and the verdict.

    `target` is what was asked for; `id`, `key`, `created` and `commit` are those of `Origin`, and
    null for a folder. `ruleset` is the digest of the rules that gave the verdict.
    """

    schema: str
    target: str
    kind: str
    where: str | None
    id: str | None
    key: str | None
    created: str | None
    commit: str | None
    verdict: str
    ruleset: str
    files: tuple[LockedFile, ...]


class Trust(Struct, frozen=True, kw_only=True):
    """All of it. A lock that was only found lying there counts where it is of the same target; one
    that was named (`lock_named`) always counts. `known_names` are owners of repositories that
    others would imitate."""

    publishers: tuple[Publisher, ...] = ()
    lock: Lock | None = None
    lock_named: bool = False
    known_names: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The owners that the user knows: those that are listed, and those of the publishers."""
        owners = (p.repository.partition("/")[0] for p in self.publishers)
        return (*self.known_names, *(o for o in owners if o and not set(o) & set("*?[")))
