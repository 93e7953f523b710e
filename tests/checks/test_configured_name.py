"""YAML, and the names that configurations ask a framework to import and call."""

from __future__ import annotations

import json

import pytest

from weighbridge.core.document import Malformed
from weighbridge.core.finding import Action
from weighbridge.core.format import Limits
from weighbridge.core.report import Examined
from weighbridge.core.tree import Held
from weighbridge.engine.examine import examine
from weighbridge.engine.ruleset import load
from weighbridge.formats.yaml import NODES_LIMIT, SIZE_LIMIT, Composer


def look(path: str, text: str) -> Examined:
    return examine(Held(path, text.encode()), load(), Limits())


def said(examined: Examined) -> list[tuple[Action, str]]:
    return [(f.action, f.symbol) for f in examined.findings if f.check == "configured-name"]


BLOCK, REVIEW = Action.BLOCK, Action.REVIEW
NEMO = """
target: nemo.collections.asr.models.rnnt_bpe_models.EncDecRNNTBPEModel
nemo_version: 1.18.0
preprocessor: {_target_: nemo.collections.asr.modules.AudioToMelSpectrogramPreprocessor, n: 80}
encoder:
  _target_: nemo.collections.asr.modules.ConformerEncoder
  feat_in: 80
optim: {name: adamw, sched: {name: NoamAnnealing}}
"""
SPEECHBRAIN = """
seed: 1234
__set_seed: !apply:torch.manual_seed [!ref <seed>]
compute_features: !new:speechbrain.lobes.features.Fbank
    n_mels: 80
pretrainer: !new:speechbrain.utils.parameter_transfer.Pretrainer
    loadables: {model: !ref <model>}
model: !name:torch.nn.ModuleList [[!ref <compute_features>]]
"""
DIFFUSION = """
model:
  target: ldm.models.diffusion.ddpm.LatentDiffusion
  params: {base_learning_rate: 1.0e-04, unet_config: {target: ldm.modules.x.UNetModel, params: {}}}
"""
TRAINING = """
model: {_target_: timm.create_model, model_name: resnet18}
optimizer: &o {_target_: torch.optim.AdamW, _partial_: true, lr: 1e-3}
dtype: {_target_: hydra.utils.get_method, path: torch.float16}
callbacks: [{_target_: lightning.pytorch.callbacks.ModelCheckpoint}, *o]
tokenizer: {_target_: transformers.AutoTokenizer.from_pretrained, name: x}
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("_target_: os.system\ncommand: 'true'\n", [(BLOCK, "os.system")]),
        ("a: [{b: {_target_: subprocess.Popen, args: ['true']}}]", [(BLOCK, "subprocess.Popen")]),
        ("a: {_target_: builtins.exec, _args_: ['1']}", [(BLOCK, "builtins.exec")]),
        ("a: {_target_: hydra.utils.get_method, path: os.system}", [(BLOCK, "os.system")]),
        ("a: {<<: *x, _target_: hydra.utils.get_method}".replace("*x", "{path: os.system}"),
         [(REVIEW, "unreviewed names")]),
        ("_target_: os.system\n_target_: torch.nn.Linear\n", [(BLOCK, "os.system")]),
        ("a: {_target_: torch.nn.Linear.__init__.__globals__}",
         [(BLOCK, "torch.nn.Linear.__init__.__globals__")]),
        ("a: {_target_: src.models.Net}\nb: {_target_: src.data.Set}",
         [(REVIEW, "unreviewed names")]),
        ("a: {_target_: operator.attrgetter}", [(REVIEW, "unreviewed names")]),
        ("a: {_target_: '${oc.env:X}'}", [(REVIEW, "unreviewed names")]),
        ("target: os.system\nnemo_version: '1'", [(BLOCK, "os.system")]),
        ("a: {target: pickle.loads, params: {}}", [(BLOCK, "pickle.loads")]),
        ("a: !!python/object/apply:os.system ['true']", [(BLOCK, "os.system")]),
        ("a: !!python/name:os.system", [(BLOCK, "os.system")]),
        ("a: !<tag:yaml.org,2002:python/object/new:subprocess.Popen> [[x]]",
         [(BLOCK, "subprocess.Popen")]),
        ("%TAG !p! tag:yaml.org,2002:python/object/apply:\n---\na: !p!os.system [x]",
         [(BLOCK, "os.system")]),
        ("a: !new:subprocess.Popen\n  args: [x]", [(BLOCK, "subprocess.Popen")]),
        ("a: 1\n---\nb: !apply:os.system [x]", [(BLOCK, "os.system")]),
        (NEMO, []), (SPEECHBRAIN, []), (DIFFUSION, []), (TRAINING, []),
        ("a: !!python/tuple [1, 2]\nb: !!set {x, y}\nc: !!binary aGk=", []),
        ("target: os.system\ndescription: words", []),
        ("on: push\njobs: {a: {runs-on: x}}", []),
    ],
)  # fmt: skip
def test_yaml(text: str, expected: list[tuple[Action, str]]) -> None:
    examined = look("config.yaml", text)
    assert said(examined) == expected
    assert examined.record.formats == ("yaml",)
    assert [f.check for f in examined.findings if f.check != "configured-name"] == []
    assert examined.gaps == ()


def test_json() -> None:
    hostile = {"model": [{"_target_": "subprocess.Popen", "args": ["true"]}]}
    assert said(look("config.json", json.dumps(hostile))) == [(BLOCK, "subprocess.Popen")]
    benign = {"model": {"_target_": "torch.nn.Linear"}, "target": "os.system"}
    assert said(look("config.json", json.dumps(benign))) == []


def test_without_its_name() -> None:
    assert said(look("config", "a:\n  _target_: os.system\n")) == [(BLOCK, "os.system")]
    prose = look("README.md", "Never load `!!python/object/apply:os.system`: it is *unsafe*.\n")
    assert prose.findings == ()
    assert prose.gaps == ()


@pytest.mark.parametrize(
    "data",
    [b"[" * 90_000, b"a: *b", b"&a [*a]", b"a: 'b", b"\tx: 1", b"{%- if x %}\na: 1", b"- " * 900,
     b"a: 1\n" + b"- x\n"],
)  # fmt: skip
def test_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        Composer().read(data)


def test_aliases_do_not_grow() -> None:
    text = "a0: &a0 [x, x]\n"
    text += "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 60))
    composer = Composer()
    composer.read(text.encode())
    assert composer.nodes < 1_000
    assert said(look("a.yaml", text)) == []


def test_limits() -> None:
    with pytest.raises(Malformed):
        Composer().read(b"[" + b"a," * NODES_LIMIT + b"]")
    gaps = look("a.yaml", "a: 1\n" * (SIZE_LIMIT // 5 + 1)).gaps
    assert [g.kind for g in gaps] == ["too-large"]
