"""Credentials in text, told by their structure: a checksum, a fixed marker, a decoded key.

A secret that has no form of its own (a password, forty hexadecimal digits) is not looked for:
guesses by entropy accuse vocabularies and digests.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import zlib
from collections.abc import Callable, Iterator
from typing import Final

from msgspec import Struct

from weighbridge.core.regex import regex
from weighbridge.core.tree import Blob

CHUNK: Final = 1 << 20
OVERLAP: Final = 16 << 10
"""The longest secret that is found across two chunks: a private key of 16,384 bits."""
SCANNED: Final = 256 << 20
KEPT: Final = 100
SHOWN: Final = 4
"""How many characters behind the fixed beginning of a token are shown."""


class Secret(Struct, frozen=True):
    """One secret: its kind, where it stands (bytes from the start, lines from 1), how it reads
    with its content removed, and a name for it that stays when it moves."""

    kind: str
    offset: int
    line: int
    redacted: str
    name: str


class Form(Struct, frozen=True):
    """A kind of credential. `mark` is a text that each of its kind contains: a quick look for it
    decides whether the pattern is tried. Group 1 of the pattern is the random part."""

    kind: str
    mark: bytes
    pattern: re.Pattern[bytes]
    holds: Callable[[re.Match[bytes]], bool]


_BASE62: Final = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_PLACEHOLDER: Final = regex(
    rb"example|(.)\1{4}|your|test_?key|fake|dummy|placeholder|redacted|abcdefg|1234567|7654321",
    re.IGNORECASE | re.DOTALL,
)


def is_placeholder(text: str) -> bool:
    """Whether a text reads like something that stands for a credential."""
    return _PLACEHOLDER.search(text.encode("utf-8", "replace")) is not None


def _random(found: re.Match[bytes]) -> bool:
    """Whether the part that should be random can be: no word of a manual, no few characters."""
    part = found[1]
    return len(set(part)) >= min(10, len(part) // 2) and not _PLACEHOLDER.search(part)


def _checked(found: re.Match[bytes]) -> bool:
    """GitHub and npm: the last six characters are the CRC-32 of those before them, in base 62."""
    body, stated = found[1][:-6], found[1][-6:]
    value, digits = zlib.crc32(body), b""
    while value:
        value, digit = divmod(value, 62)
        digits = _BASE62[digit : digit + 1] + digits
    return digits.rjust(6, b"0") == stated


def _mixed(found: re.Match[bytes]) -> bool:
    """As many capitals as chance brings, which no name in a program has."""
    text = found[1].decode()
    capitals, small = (sum(map(test, text)) for test in (str.isupper, str.islower))
    return _random(found) and min(capitals, small) * 5 > len(text)


def _mixed_any(found: re.Match[bytes]) -> bool:
    """Letters of both sizes and digits throughout, as an application's secret of Entra ID has."""
    text = found[1].decode()
    kinds = (str.isupper, str.islower, str.isdigit)
    return _random(found) and all(sum(map(kind, text)) > 3 for kind in kinds)


def _account_key(found: re.Match[bytes]) -> bool:
    return _random(found) and len(base64.b64decode(found[1])) == 64


def _aws(found: re.Match[bytes]) -> bool:
    """A secret access key stands within a few lines of the key id."""
    start, stop = max(0, found.start() - 400), found.end() + 400
    return _random(found) and any(
        len(set(near[0])) > 15 and not near[0].isalpha() and near[0].lower() != near[0]
        and near[0].upper() != near[0]
        for near in _AWS_SECRET.finditer(found.string[start:stop])
    ) and not found[1].endswith(b"EXAMPLE")  # fmt: skip


_AWS_SECRET: Final = regex(rb"(?<![A-Za-z0-9/+])[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+=])")
_NOT_KEY: Final = regex(rb"\\[nrt]|[^A-Za-z0-9+/=]")


def _private_key(found: re.Match[bytes]) -> bool:
    """The text between the lines is a key: one DER sequence of exactly that length, or OpenSSH's
    or PGP's own beginning. A key under a passphrase counts as well."""
    body = found[2]
    if b"ENCRYPTED" in body[:80] and b"DEK-Info" in body[:200]:
        body = body[body.find(b"DEK-Info") :].replace(b"\\n", b"\n").partition(b"\n")[2]
        return len(_decoded(body)) >= 64
    if b"PGP" in found[1]:
        body = re.split(rb"(?:\r?\n|\\n){2}", body, maxsplit=1)[-1]
        return _decoded(body)[:1] in (b"\x94", b"\x95", b"\x96", b"\x97", b"\xc5")
    key = _decoded(body)
    if key.startswith(b"openssh-key-v1\0"):
        return len(key) > 100
    if len(key) < 32 or key[0] != 0x30:
        return False
    width = key[1] - 0x80
    if width <= 0:
        return key[1] == len(key) - 2
    return width <= 4 and int.from_bytes(key[2 : 2 + width], "big") == len(key) - 2 - width


def _decoded(text: bytes) -> bytes:
    plain = _NOT_KEY.sub(b"", text).rstrip(b"=")
    try:
        return base64.b64decode(plain[: len(plain) - (len(plain) % 4 == 1)] + b"==")
    except binascii.Error:
        return b""


def _form(
    kind: str, mark: str, pattern: str, holds: Callable[[re.Match[bytes]], bool] = _random
) -> Form:
    return Form(kind, mark.encode(), regex(rf"{pattern}(?![A-Za-z0-9_-])".encode()), holds)


_SLACK: Final = r"-(\d{10,13}-\d{10,13}(?:-\d{10,13})?-[A-Za-z0-9]{24,34})"
_PYPI: Final = r"pypi-Ag(?:EIcHlwaS5vcmc|ENdGVzdC5weXBpLm9yZw)([\w-]{50,300})"
_OPENAI: Final = r"sk-(?:proj|svcacct|admin)-([\w-]{20,100}T3BlbkFJ[\w-]{20,100})"
_WEBHOOK: Final = r"(T[A-Z0-9]{8,12}/B[A-Z0-9]{8,12}/[A-Za-z0-9]{24})"
_KEY: Final = (
    r"-----BEGIN ((?:[A-Z0-9]{1,20} ){0,2}PRIVATE KEY(?: BLOCK)?)-----"
    r"((?:[^-]|-(?!----)){40,16000})-----END \1-----"
)

FORMS: Final = (
    _form("Hugging Face token", "hf_", r"hf_([A-Za-z0-9]{34})", _mixed),
    _form("Hugging Face token", "api_org_", r"api_org_([A-Za-z0-9]{34})", _mixed),
    *(_form("GitHub token", f"gh{c}_", rf"gh{c}_([A-Za-z0-9]{{36}})", _checked) for c in "pousr"),
    _form("GitHub token", "github_pat_", r"github_pat_([A-Za-z0-9]{22}_[A-Za-z0-9]{59})"),
    _form("npm token", "npm_", r"npm_([A-Za-z0-9]{36})", _checked),
    _form("PyPI token", "pypi-Ag", _PYPI),
    _form("GitLab token", "glpat-", r"glpat-([\w-]{20}|[\w-]{27,300}\.[0-9a-z]{2}\.[0-9a-z]{9})"),
    _form("AWS access key", "AKIA", r"AKIA([A-Z2-7]{16})", _aws),
    _form("AWS access key", "ASIA", r"ASIA([A-Z2-7]{16})", _aws),
    _form("Google API key", "AIza", r"AIza([\w-]{35})"),
    _form("Google client secret", "GOCSPX-", r"GOCSPX-([\w-]{28})"),
    *(_form("Slack token", f"xox{c}-", f"xox{c}{_SLACK}") for c in "abpr"),
    _form("Slack token", "xapp-", r"xapp-\d-(A[A-Z0-9]{8,12}-\d{10,13}-[a-f0-9]{64})"),
    _form("Slack webhook", "hooks.slack.com/", rf"hooks\.slack\.com/services/{_WEBHOOK}"),
    _form("OpenAI key", "T3BlbkFJ", r"sk-([A-Za-z0-9]{20}T3BlbkFJ[A-Za-z0-9]{20})"),
    _form("OpenAI key", "T3BlbkFJ", _OPENAI),
    _form("Anthropic key", "sk-ant-", r"sk-ant-(?:api|admin|oat)\d\d-([\w-]{93}AA)"),
    _form("OpenRouter key", "sk-or-v1-", r"sk-or-v1-([a-f0-9]{64})"),
    _form("Groq key", "WGdyb3FY", r"gsk_([A-Za-z0-9]{20}WGdyb3FY[A-Za-z0-9]{24})"),
    _form("Replicate token", "r8_", r"r8_([A-Za-z0-9]{37})", _mixed),
    _form("NVIDIA key", "nvapi-", r"nvapi-([\w-]{64})"),
    _form("Stripe key", "sk_live_", r"sk_live_([A-Za-z0-9]{24,99})"),
    _form("SendGrid key", "SG.", r"SG\.([\w-]{22}\.[\w-]{43})"),
    _form("DigitalOcean token", "dop_v1_", r"dop_v1_([a-f0-9]{64})"),
    _form("Azure storage key", "AccountKey=", r"AccountKey=([A-Za-z0-9+/]{86}==)", _account_key),
    _form("Azure client secret", "Q~", r"([\w.~-]{3}\dQ~[\w.~-]{31,34})", _mixed_any),
    _form("private key", "PRIVATE KEY", _KEY, _private_key),
)


def secrets(blob: Blob) -> Iterator[Secret]:
    """The distinct secrets of a text, in order, at most `KEPT`. UTF-16 is read as its ASCII part.

    Raises what `blob.read` raises.
    """
    wide = blob.read(0, 2) in (b"\xff\xfe", b"\xfe\xff")
    seen: set[bytes] = set()
    lines = 1
    for offset in range(0, min(blob.size, SCANNED), CHUNK):
        data = blob.read(offset, CHUNK + OVERLAP)
        if wide:
            data = data.replace(b"\0", b"")
        found = [
            (match, form)
            for form in FORMS
            if form.mark in data
            for match in form.pattern.finditer(data)
            if match.start() < CHUNK and _alone(match) and form.holds(match)
        ]
        for match, form in sorted(found, key=lambda pair: pair[0].start()):
            if match[0] in seen:
                continue
            seen.add(match[0])
            line = lines + data.count(b"\n", 0, match.start())
            at = offset + match.start() * (2 if wide else 1)
            yield Secret(form.kind, at, line, _redacted(match), _named(form.kind, match[0]))
            if len(seen) >= KEPT:
                return
        lines += data.count(b"\n", 0, CHUNK // 2 if wide else CHUNK)


def _alone(found: re.Match[bytes]) -> bool:
    """Whether it is not the end of a longer word."""
    before = found.string[found.start() - 1 : found.start()] if found.start() else b""
    return not before.isalnum() and before != b"_"


def _redacted(found: re.Match[bytes]) -> str:
    whole = found[0].decode("ascii", "replace")
    if whole.startswith("-----BEGIN"):
        return f"-----BEGIN {found[1].decode()}-----… ({len(whole):,} characters)"
    fixed = found.start(1) - found.start()
    return f"{whole[: fixed + SHOWN]}… ({len(whole):,} characters)"


def _named(kind: str, whole: bytes) -> str:
    """A digest of a random token gives nothing away; it keeps two of one kind apart."""
    return f"{kind} {hashlib.sha256(whole).hexdigest()[:12]}"
