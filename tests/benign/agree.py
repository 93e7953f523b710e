"""Has the configurations of a repository name the special tokens by the tokenizer's numbers.

Configurations made from a library's defaults number the tokens of the large vocabulary that the
real models have; a small tokenizer numbers its own.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

NAMES = ("bos", "eos", "pad", "unk", "sep", "cls", "decoder_start")


def numbers_of(folder: Path) -> dict[str, int]:
    """The numbers of the tokens that the tokenizer names, by what they are for."""
    whole, said = folder / "tokenizer.json", folder / "tokenizer_config.json"
    if not (whole.is_file() and said.is_file()):
        return {}
    known = {t["content"]: t["id"] for t in json.loads(whole.read_text()).get("added_tokens", [])}
    found: dict[str, int] = {}
    values = json.loads(said.read_text())
    for name in NAMES:
        token = values.get(f"{name}_token")
        text = token.get("content") if isinstance(token, dict) else token
        if text in known:
            found[name] = known[text]
    return found


def agree(folder: Path) -> None:
    """Rewrite the configurations of one folder, and of those in it."""
    for inner in (folder, *(p for p in folder.rglob("*") if p.is_dir())):
        numbers = numbers_of(inner)
        for path in (inner / "config.json", inner / "generation_config.json"):
            if numbers and path.is_file():
                values = json.loads(path.read_text())
                outer, inner_too = _set(values, numbers), _set(values.get("text_config"), numbers)
                if outer or inner_too:
                    path.write_text(json.dumps(values, indent=2, sort_keys=True) + "\n")


def _set(values: Any, numbers: dict[str, int]) -> bool:
    changed = False
    for name, number in numbers.items() if isinstance(values, dict) else ():
        key = f"{name}_token_id"
        if values.get(key) is not None and values[key] != number:
            values[key] = number
            changed = True
    if changed and "decoder_start_token_id" in values and "pad" in numbers:
        values["decoder_start_token_id"] = numbers["pad"]
    return changed


if __name__ == "__main__":
    for place in sys.argv[1:]:
        agree(Path(place))
