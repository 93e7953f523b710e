"""Credentials that a build keeps in an image, told by the names of variables and files."""

from __future__ import annotations

import re
from typing import Final

from weighbridge.core.regex import regex

_SECRET: Final = regex(
    r"(?:.*_)?(?:API_?KEY|ACCESS_KEY|SECRET(?:_KEY|_ACCESS_KEY)?|(?<!PUBLIC_)TOKEN|AUTH_?TOKEN"
    r"|PASSWORD|PASSWD|PRIVATE_KEY|CREDENTIALS)",
    re.IGNORECASE,
)
_NO_SECRET: Final = regex(
    r"|\$.*|.*\$\{?\w+\}?|none|null|true|false|\d{1,4}|changeme|dummy|empty|xxx+|[<{\[].*|/.*"
    r"|your.*|placeholder|example.*|test|fake.*",
    re.IGNORECASE | re.DOTALL,
)
_SECRET_FILE: Final = regex(
    r"(?:.*/)?(?:id_(?:rsa|dsa|ecdsa|ed25519)|\.netrc|_netrc|\.git-credentials|\.pypirc"
    r"|\.aws/credentials|\.aws|\.ssh|\.kube/config|\.docker/config\.json|\.env(?:\.(?:prod|local"
    r"|production))?|\.huggingface/token|service[-_]account[\w-]*\.json)/?"
)


def names_secret(name: str) -> bool:
    """Whether a variable of this name is meant to hold a credential."""
    return _SECRET.fullmatch(name) is not None


def is_secret(name: str, value: str) -> bool:
    """Whether a variable holds a credential: by its name, and a value that stands for none."""
    return names_secret(name) and _NO_SECRET.fullmatch(value) is None


def is_secret_file(path: str) -> bool:
    """Whether a file of this path holds credentials."""
    return _SECRET_FILE.fullmatch(path) is not None
