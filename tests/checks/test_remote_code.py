"""Code that a model has its loader import: what names it, and which files are there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from weighbridge.core.evidence import Table
from weighbridge.core.finding import Finding
from weighbridge.core.format import Limits
from weighbridge.core.tree import Held
from weighbridge.engine.audit import Audited, run
from weighbridge.engine.examine import examine
from weighbridge.engine.ruleset import load


def findings(path: str, text: str) -> list[Finding]:
    return list(examine(Held(path, text.encode()), load(), Limits()).findings)


def said(path: str, value: Any) -> set[tuple[str, str, str]]:
    text = value if isinstance(value, str) else json.dumps(value)
    return {(f.check, f.action.value, f.symbol) for f in findings(path, text)}


OWN = ("remote-code", "review", "auto_map")
SENTENCES = "sentence_transformers.models.Transformer"


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("config.json", {"text_config": [{"auto_map": {"AutoModel": "m.M"}}]}, {OWN}),
        ("config.yaml", "model:\n  auto_map:\n    AutoModel: m.M\n", {OWN}),
        ("config.json", {"auto_map": {"AutoModel": "o/r--m.M"}},
         {("remote-code", "block", "o/r--m.M")}),
        ("config.json", '{"auto_map": {"A": "o/r--m.M"}, "auto_map": {}}',
         {("remote-code", "block", "o/r--m.M")}),
        ("modules.json", [{"idx": 0, "path": "", "type": "custom_st.Transformer"}], {OWN}),
        ("modules.json", [{"idx": 0, "path": "", "type": "o/r--st.Transformer"}],
         {("remote-code", "block", "o/r--st.Transformer")}),
        ("modules.json", [{"idx": 0, "path": "", "type": SENTENCES}], set()),
        ("vocab.json", [{"path": "a", "type": "file"}, {"type": "a.b"}], set()),
        ("model_index.json", {"_class_name": ["mine", "P"], "_diffusers_version": "0"}, {OWN}),
        ("model_index.json", {"_class_name": "P", "_diffusers_version": "0",
                              "unet": ["diffusers", "U"], "safety_checker": [None, None],
                              "x": ["stable_diffusion", "S"]}, set()),
        ("config.json", {"auto_map": {"AutoModel": None, "B": 5, "C": ["", None]}}, set()),
    ],
)  # fmt: skip
def test_what_a_configuration_has_imported(
    path: str, value: Any, expected: set[tuple[str, str, str]]
) -> None:
    assert said(path, value) == expected


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("config.json", {"a": [{"trust_remote_code": True}]}, "review"),
        ("train.yaml", "model:\n  args: {trust_remote_code: yes}\n", "review"),
        ("serve.yaml", "trust-remote-code: true\n", "review"),
        ("config.json", {"trust_remote_code": False}, None),
        ("train.yaml", "trust_remote_code: false\n# trust_remote_code: true\n", None),
        ("config.json", {"note": "trust_remote_code: true"}, None),
        ("config.json", {"trust_remote_code": {"a": 1}}, None),
    ],
)
def test_remote_code_is_switched_on(path: str, value: Any, expected: str | None) -> None:
    wanted = {("remote-code-allowed", expected)} if expected else set()
    assert {(check, action) for check, action, _ in said(path, value)} == wanted


def test_the_switch_is_shown_with_its_line() -> None:
    (found,) = findings("a.yaml", "seed: 1\nmodel:\n  name: x\n  trust_remote_code: true\n")
    assert found.at.line == 3
    assert "trust_remote_code: true" in getattr(found.evidence[0], "text", "")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"_attn_implementation": "kernels-community/flash-attn"}, "review"),
        ({"_attn_implementation_internal": "o/k@main:f"}, "review"),
        ({"vision_config": {"attn_implementation": {"": "sdpa", "text": "o/k"}}}, "review"),
        ({"attn_implementation": "paged|o/k"}, "review"),
        ({"kernel_config": {"kernel_mapping": {"RMSNorm": "o/k:RMSNorm"}}}, "review"),
        ({"mm_vision_tower": "openai/clip-vit-large-patch14"}, "note"),
        ({"attn_implementation": "flash_attention_2"}, None),
        ({"_attn_implementation": None, "experts_implementation": "grouped_mm"}, None),
        ({"_name_or_path": "org/base", "base_model_name_or_path": "org/base"}, None),
        ({"vision_tower": "./clip", "backbone": "resnet50"}, None),
        ({"attn_implementation": [[[["/"]]]]}, None),
    ],
)
def test_another_repository_is_named(value: Any, expected: str | None) -> None:
    wanted = {("names-another-repository", expected)} if expected else set()
    assert {(check, action) for check, action, _ in said("config.json", value)} == wanted


def audited(folder: Path, files: dict[str, str]) -> Audited:
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return run(folder)


def listing(result: Audited) -> tuple[str, dict[str, str]]:
    """The action of the listing, and why each file would be imported."""
    (found,) = [f for f in result.findings if f.check == "remote-code-files"]
    (table,) = found.evidence
    assert isinstance(table, Table)
    return found.action.value, {row[0]: row[2] for row in table.rows}


CONFIG = json.dumps({"auto_map": {"AutoModel": "modeling_x.X", "AutoConfig": "gone.C"}})
INDEX = json.dumps({"_class_name": "P", "_diffusers_version": "0", "unet": ["net", "U"]})


def test_the_listing_says_what_would_be_imported(tmp_path: Path) -> None:
    result = audited(tmp_path, {
        "config.json": CONFIG,
        "modeling_x.py": "from .layers import L\nfrom . import ops, gone2\n\nX = L\n",
        "layers.py": "from .deep.er import E\n\nL = E\n",
        "deep/er.py": "from ..layers import L\n\nE = 1\n",
        "ops.py": "A = 1\n",
        "demo.py": "print(1)\n",
    })  # fmt: skip
    action, why = listing(result)
    assert action == "note"
    assert why == {
        "modeling_x.py": "config.json: AutoModel",
        "layers.py": "modeling_x.py: import",
        "deep/er.py": "layers.py: import",
        "ops.py": "modeling_x.py: import",
        "demo.py": "nothing here names it",
    }
    missing = [g for g in result.gaps if "would be imported" in g.message]
    assert [(g.kind.value, g.at.path, g.controls) for g in missing] == [
        ("not-given", "config.json", ("code-and-templates",))
    ]
    assert "'gone.py'" in missing[0].message


@pytest.mark.parametrize(
    ("files", "action"),
    [
        ({"custom_generate/generate.py": "def generate(model):\n    return model\n"}, "review"),
        ({"handler.py": "class EndpointHandler:\n    pass\n"}, "review"),
        ({"model_index.json": INDEX, "unet/net.py": "class U:\n    pass\n"}, "review"),
        ({"model_index.json": INDEX, "net.py": "class U:\n    pass\n"}, "note"),
        ({"tools/handler.py": "class H:\n    pass\n"}, "note"),
        ({"config.json": "{}", "train.py": "print(1)\n"}, "note"),
    ],
)
def test_files_that_are_found_by_their_place(
    tmp_path: Path, files: dict[str, str], action: str
) -> None:
    assert listing(audited(tmp_path, files))[0] == action


def test_relative_imports_cannot_leave_and_do_not_loop(tmp_path: Path) -> None:
    result = audited(tmp_path, {
        "config.json": json.dumps({"auto_map": {"A": "a.A"}}),
        "a.py": "from .b import *\nfrom ....etc import passwd\n",
        "b.py": "from .a import *\n",
    })  # fmt: skip
    assert set(listing(result)[1]) == {"a.py", "b.py"}
    assert any("etc.py" in g.message for g in result.gaps)


def test_a_folder_without_code_says_nothing(tmp_path: Path) -> None:
    result = audited(tmp_path, {"config.json": "{}"})
    assert [f for f in result.findings if f.check == "remote-code-files"] == []
