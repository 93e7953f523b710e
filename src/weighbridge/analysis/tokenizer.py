"""What a tokenizer does to text, read from its JSON: tokens, and the steps that rewrite.

Sources: the serialization of the `tokenizers` library (`tokenizer.json`), the files that
transformers keeps beside it, sentencepiece's precompiled character map.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from msgspec import Struct

from weighbridge.core.regex import regex
from weighbridge.formats.text import Json

STEPS: Final = 10_000
"""How many steps of a pipeline are read."""


class Token(Struct, frozen=True):
    """A token. `added` beside the vocabulary; `special` ones are left out of shown text."""

    text: str
    id: int | None
    added: bool
    special: bool = False


class Rewrite(Struct, frozen=True):
    """A step that turns text into other text: where it stands, what it replaces, by what."""

    step: str
    old: str
    new: str


_ADDRESS: Final = regex(
    r"(?i)(?:https?|ftps?|wss?|file)://(?:[\w-]+\.)+[a-z]{2,}|(?:https?|ftp)://\d{1,3}(?:\.\d{1,3}){3}"
    r"|\bwww\.[\w-]+\.[a-z]{2,}|\b[\w-]+\.(?:com|net|org|io|top|xyz|ru|cn|sh|onion)/\w"
)
_COMMAND: Final = regex(
    r"\brm\s+-[rf]{1,2}\s|\b(?:curl|wget)\s+(?:-\w+\s+)*\S*[/.]\S|\|\s*(?:ba|z|da)?sh\b"
    r"|/bin/(?:ba|z|da)?sh\b|/dev/tcp/|\bchmod\s+[+0-7]\S*\s|\bsudo\s+\w+\s|\bnc\s+-\w*e\b"
    r"|\bpowershell(?:\.exe)?\s+-|\bcmd(?:\.exe)?\s+/c\b|\b__import__\s*\(|\bos\.system\s*\("
    r"|\bsubprocess\.\w+\s*\(|\b(?:eval|exec)\s*\(\s*\w|<script[\s>]\S|javascript:\w"
    r"|\bdrop\s+table\b",
    re.IGNORECASE,
)
_SPACES: Final = str.maketrans({"Ġ": " ", "▁": " ", "Ċ": "\n", "ĉ": "\t"})
_TAGS: Final = regex(
    r"<[^<>\s]{1,60}>|\[[A-Z_]{1,40}\]|\\[pP]\{[^{}]*\}|\[:\^?\w+:\]|\\u[0-9a-fA-F]{4}"
    r"|\\x[0-9a-fA-F]{2}|\\[a-zA-Z]|\(\?[a-zA-Z]*|\[[^\[\]]*\]"
)
_LETTERS: Final = regex(r"[^\W\d_]{3,}")
_WORD: Final = regex(r"[^\W\d_]{3,}")
_LONG_ASCII: Final = regex(r"[A-Za-z]{6,}|://")
_NAMES: Final = frozenset({
    "pad", "unk", "mask", "eos", "bos", "sep", "cls", "eot", "eod", "eop", "sot", "start", "end",
    "stop", "user", "assistant", "system", "human", "tool", "function", "model", "null", "none",
    "unknown", "padding", "blank", "space", "noise", "silence", "newline",
})  # fmt: skip
"""Words that name what a special token is for."""


def is_address(text: str) -> bool:
    """Whether a token is an address with a host."""
    return bool(_ADDRESS.search(text.translate(_SPACES)))


def is_command(text: str) -> bool:
    """Whether a token is a command that a shell, an interpreter or a browser would run."""
    return bool(_COMMAND.search(text.translate(_SPACES)))


def vocabulary(document: Json) -> Mapping[str, Any]:
    """Each token of the vocabulary and its number; empty where the file holds none."""
    value = document.value
    if not isinstance(value, dict):
        return {}
    model = value.get("model")
    vocab = model.get("vocab") if isinstance(model, dict) else None
    if isinstance(vocab, dict):
        return vocab
    if isinstance(vocab, list):
        return {v[0]: n for n, v in enumerate(vocab) if isinstance(v, list) and v and _text(v[0])}
    name = document.where.path.rpartition("/")[2].lower()
    plain = "vocab" in name or "encoder" in name
    if plain and all(isinstance(v, int) for v in value.values()):
        return value
    return {}


def added(document: Json) -> list[Token]:
    """The tokens that stand beside the vocabulary."""
    value = document.value
    if not isinstance(value, dict):
        return []
    found: list[Token] = []
    listed = value.get("added_tokens")
    if isinstance(listed, list):
        for item in listed:
            if isinstance(item, dict) and _text(item.get("content")):
                found.append(_token(item, item.get("id")))
    numbered = value.get("added_tokens_decoder")
    if isinstance(numbered, dict):
        for key, item in numbered.items():
            if isinstance(item, dict) and _text(item.get("content")):
                found.append(_token(item, int(key) if key.isdecimal() and len(key) < 12 else None))
    for key, item in value.items():
        if key.endswith("_token") or key in ("additional_special_tokens", "extra_special_tokens"):
            inner = item if isinstance(item, list) else [item]
            inner = (
                list(item.values()) if isinstance(item, dict) and "content" not in item else inner
            )
            for one in inner:
                text = one.get("content") if isinstance(one, dict) else one
                if isinstance(text, str):
                    found.append(Token(text, None, added=True, special=True))
    name = document.where.path.rpartition("/")[2]
    if name.startswith("added_tokens"):
        found += [Token(k, v, added=True) for k, v in value.items() if isinstance(v, int)]
    return found


def _token(item: dict[str, Any], number: Any) -> Token:
    number = number if isinstance(number, int) else None
    return Token(item["content"], number, added=True, special=item.get("special") is True)


def _text(value: Any) -> bool:
    return isinstance(value, str)


def merged(document: Json) -> frozenset[str] | None:
    """What the merges of a BPE vocabulary make; None where there are none to tell from."""
    value = document.value
    model = value.get("model") if isinstance(value, dict) else None
    merges = model.get("merges") if isinstance(model, dict) else None
    if not isinstance(merges, list) or not merges:
        return None
    made: set[str] = set()
    for merge in merges:
        if isinstance(merge, str):
            made.add(merge.replace(" ", ""))
        elif isinstance(merge, list) and all(map(_text, merge)):
            made.add("".join(merge))
    return frozenset(made)


def shadowing(tokens: list[Token], vocab: Mapping[str, Any]) -> Iterator[Token]:
    """Added tokens that take an ordinary word of the vocabulary away from it."""
    for token in tokens:
        word = token.text.translate(_SPACES).strip()
        if not _WORD.fullmatch(word) or word.lower() in _NAMES:
            continue
        known = [v for v in (word, f"Ġ{word}", f"▁{word}") if v in vocab]
        if known and (token.special or all(vocab[k] != token.id for k in known)):
            yield token


def rewrites(document: Json) -> Iterator[Rewrite]:
    """The steps of a tokenizer that put other words in place of words."""
    value = document.value
    if not isinstance(value, dict) or not isinstance(value.get("model"), dict):
        return
    stack = [
        (name, value[name])
        for name in ("decoder", "post_processor", "pre_tokenizer", "normalizer")
        if isinstance(value.get(name), dict)
    ]
    for _ in range(STEPS):
        if not stack:
            return
        name, step = stack.pop()
        for key in ("normalizers", "pretokenizers", "decoders", "processors"):
            inner = step.get(key)
            if isinstance(inner, list):
                stack += [(name, s) for s in reversed(inner) if isinstance(s, dict)]
        yield from _rewritten(name, step)


def _rewritten(name: str, step: dict[str, Any]) -> Iterator[Rewrite]:
    kind = step.get("type")
    label = f"{name}: {kind}"
    match kind:
        case "Replace":
            pattern = step.get("pattern")
            old = next((str(v) for v in pattern.values()), "") if isinstance(pattern, dict) else ""
            new = str(step.get("content", ""))
            if says(old) or says(new):
                yield Rewrite(label, old, new)
        case "Prepend":
            if says(new := str(step.get("prepend", ""))):
                yield Rewrite(label, "", new)
        case "Split":
            pattern = step.get("pattern")
            old = next((str(v) for v in pattern.values()), "") if isinstance(pattern, dict) else ""
            if step.get("behavior") == "Removed" and step.get("invert") is not True and says(old):
                yield Rewrite(label, old, "")
        case "Strip" | "BPEDecoder" | "WordPiece" | "CTC" | "Metaspace":
            for key in ("content", "suffix", "prefix", "word_delimiter_token", "replacement"):
                text = step.get(key)
                if isinstance(text, str) and says(text):
                    yield Rewrite(label, text, "")
        case "Precompiled":
            for text in _charsmap(step.get("precompiled_charsmap")):
                yield Rewrite(label, "(a character)", text)
        case _:
            return


def says(text: str) -> bool:
    """Whether a pattern or a replacement spells a word or an address, beside tags and classes."""
    return bool(_LETTERS.search(_TAGS.sub(" ", text))) or is_address(text)


def _charsmap(encoded: Any) -> list[str]:
    """The words of a character map that is written in base64."""
    if not isinstance(encoded, str):
        return []
    try:
        return charsmap_words(base64.b64decode(encoded))
    except (binascii.Error, ValueError):
        return []


def charsmap_words(data: bytes) -> list[str]:
    """The words that a sentencepiece character map puts out. Characters never become such."""
    pool = data[4 + int.from_bytes(data[:4], "little") :]
    found = _LONG_ASCII.finditer(pool.decode("utf-8", "replace"))
    return [m[0][:60] for _, m in zip(range(20), found, strict=False)]


def inserted(document: Json) -> Iterator[tuple[str, str]]:
    """What post-processing puts around every text and is no marker, or is not what it says."""
    value = document.value
    if not isinstance(value, dict) or not isinstance(value.get("post_processor"), dict):
        return
    vocab = vocabulary(document)
    by_number = {t.id: t.text for t in added(document)}
    known = set(by_number.values())
    wanted: set[int] = set()
    named: list[tuple[str, int]] = []
    stack = [value["post_processor"]]
    for _ in range(STEPS):
        if not stack:
            break
        step = stack.pop()
        inner = step.get("processors")
        stack += [s for s in inner if isinstance(s, dict)] if isinstance(inner, list) else []
        table = step.get("special_tokens")
        for item in table.values() if isinstance(table, dict) else ():
            if isinstance(item, dict):
                ids, tokens = item.get("ids"), item.get("tokens")
                if isinstance(ids, list) and isinstance(tokens, list):
                    named += [(t, i) for t, i in zip(tokens, ids, strict=False)
                              if isinstance(t, str) and isinstance(i, int)]  # fmt: skip
        for key in ("cls", "sep"):
            pair = step.get(key)
            if isinstance(pair, list) and len(pair) == 2 and isinstance(pair[1], int):
                named.append((str(pair[0]), pair[1]))
    wanted = {i for _, i in named} - by_number.keys()
    if wanted:
        by_number |= {i: t for t, i in vocab.items() if isinstance(i, int) and i in wanted}
    for name, number in named[:STEPS]:
        real = by_number.get(number, name)
        if real != name:
            yield name, real
        elif name not in known and _LETTERS.search(_TAGS.sub(" ", name)):
            yield name, name
