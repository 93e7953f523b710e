"""Special tokens that the configuration and the tokenizer of a folder number differently."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from weighbridge.engine.audit import run
from weighbridge.formats.token_ids import statements

ADDED = [{"id": 0, "content": "<pad>", "special": True}, {"id": 2, "content": "</s>"}]
TOKENIZER = {"model": {"type": "BPE", "vocab": {f"w{i}": i for i in range(50)}, "merges": []},
             "added_tokens": ADDED}  # fmt: skip
SLOW = {"eos_token": {"content": "</s>"}, "pad_token": "<pad>",
        "added_tokens_decoder": {"0": {"content": "<pad>"}, "2": {"content": "</s>"}}}  # fmt: skip


@pytest.mark.parametrize(
    ("config", "tokenizer", "slow", "expected"),
    [
        ({"eos_token_id": 2, "pad_token_id": 0}, TOKENIZER, SLOW, set()),
        ({"eos_token_id": [2, 0]}, TOKENIZER, SLOW, set()),
        ({"eos_token_id": None, "pad_token_id": -1}, TOKENIZER, {}, set()),
        ({"eos_token_id": 999}, TOKENIZER, {}, set()),
        ({"eos_token_id": 7}, TOKENIZER, {}, {("review", "eos_token_id")}),
        ({"eos_token_id": [2, 7]}, TOKENIZER, SLOW, {("review", "eos_token_id")}),
        ({"text_config": {"eos_token_id": 7}}, TOKENIZER, {}, {("review", "eos_token_id")}),
        ({"eos_token_id": 0}, TOKENIZER, SLOW, {("note", "eos_token_id")}),
        ({"eos_token_id": 2, "pad_token_id": 5}, TOKENIZER, SLOW, {("note", "pad_token_id")}),
        ({"eos_token_id": 7}, {"model": {"vocab": {"a": 0}}}, {}, set()),
        ({"eos_token_id": True}, TOKENIZER, SLOW, set()),
    ],
)
def test_what_the_files_of_a_folder_say(
    tmp_path: Path, config: Any, tokenizer: Any, slow: Any, expected: set[tuple[str, str]]
) -> None:
    for name, value in (("config", config), ("tokenizer", tokenizer), ("tokenizer_config", slow)):
        (tmp_path / f"{name}.json").write_text(json.dumps(value))
    found = [f for f in run(tmp_path).findings if f.check == "special-token-contradiction"]
    assert {(f.action.value, f.symbol) for f in found} == expected
    assert {f.at.path for f in found} <= {"config.json"}


def test_folders_are_not_compared_with_each_other(tmp_path: Path) -> None:
    for path, value in (("a/config.json", {"eos_token_id": 7}), ("b/tokenizer.json", TOKENIZER)):
        (tmp_path / path).parent.mkdir()
        (tmp_path / path).write_text(json.dumps(value))
    assert run(tmp_path).findings == ()


@pytest.mark.parametrize(
    "value",
    [
        [], "x", {"eos_token_id": {}}, {"added_tokens": 5}, {"added_tokens": [5, {"id": "x"}]},
        {"added_tokens_decoder": {"x": {"content": "a"}, "1": 5, "9" * 40: {"content": "a"}}},
        {"model": {"vocab": 5}}, {"text_config": [1]}, {"eos_token": {"content": 5}},
    ],
)  # fmt: skip
def test_other_values_say_nothing(value: Any) -> None:
    assert list(statements(value)) == []
