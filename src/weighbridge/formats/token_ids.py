"""What configurations and tokenizers say of special tokens, for the files of a folder to be
compared: the number that a model's configuration gives, the text that the tokenizer's gives, and
the tokens with their numbers.

Sources: `PreTrainedConfig`, `GenerationConfig` and `PreTrainedTokenizerBase` of transformers, and
`added_tokens` of the `tokenizers` library.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

NAMES: Final = ("bos", "eos", "pad", "unk")
ADDED_KEPT: Final = 20_000


def statements(value: Any) -> Iterator[tuple[str, str]]:
    """What a JSON value says: a subject and a value as text.

    `eos id`: a number by configuration; `eos text`: the token by the tokenizer; `token`: a number,
    a blank and the text of a token beside the vocabulary; `vocabulary`: how many entries it has.
    """
    if not isinstance(value, dict):
        return
    inner = value.get("text_config")
    for place in (value, inner if isinstance(inner, dict) else {}):
        for name in NAMES:
            yield from ((f"{name} id", str(i)) for i in _numbers(place.get(f"{name}_token_id")))
    for name in NAMES:
        token = value.get(f"{name}_token")
        text = token.get("content") if isinstance(token, dict) else token
        if isinstance(text, str):
            yield f"{name} text", text
    for count, (number, text) in enumerate(_added(value)):
        if count == ADDED_KEPT:
            return  # without the size of the vocabulary nothing counts as an ordinary entry
        yield "token", f"{number} {text}"
    model = value.get("model")
    vocabulary = model.get("vocab") if isinstance(model, dict) else None
    if isinstance(vocabulary, dict | list):
        yield "vocabulary", str(len(vocabulary))


def _numbers(value: Any) -> Iterator[int]:
    for number in value if isinstance(value, list) else [value]:
        if isinstance(number, int) and not isinstance(number, bool):
            yield number


def _added(value: dict[str, Any]) -> Iterator[tuple[int, str]]:
    listed, numbered = value.get("added_tokens"), value.get("added_tokens_decoder")
    for item in listed if isinstance(listed, list) else ():
        if isinstance(item, dict):
            number, text = item.get("id"), item.get("content")
            if isinstance(number, int) and isinstance(text, str):
                yield number, text
    for key, item in numbered.items() if isinstance(numbered, dict) else ():
        if isinstance(item, dict) and key.isdecimal() and len(key) < 12:
            text = item.get("content")
            if isinstance(text, str):
                yield int(key), text
