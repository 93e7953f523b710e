"""What is known of the names that a configuration can ask a framework to import and call.

Hydra's `_target_`, HyperPyYAML's `!new:`, NeMo's and latent diffusion's `target` import a dotted
name and call it with the values beside it. A class of a library that builds models is what they
are for; the effect of a name that acts is in the lists that pickles are judged by.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final

from weighbridge.core.regex import regex
from weighbridge.core.report import Intel
from weighbridge.intel.names import REACHES_OUT, Standing, classify

REVIEWED: Final = "2026-11-23"

PACKAGES: Final = frozenset({
    "accelerate", "albumentations", "apex", "asteroid", "audiocraft", "audiomentations",
    "bitsandbytes", "cldm", "clip", "datasets", "deepspeed", "descript", "detectron2",
    "diffusers", "einops", "encodec", "espnet", "espnet2", "fairseq", "fairseq2", "flair",
    "functorch", "gluonts", "hydra", "hyperpyyaml", "keras", "kornia", "ldm", "lightning",
    "lightning_fabric", "lightning_utilities", "megatron", "mmcls", "mmcv", "mmdet", "mmengine",
    "mmpretrain", "mmseg", "monai", "nemo", "nemo_text_processing", "omegaconf", "open_clip",
    "optimum", "peft", "pyannote", "pytorch_forecasting", "pytorch_lightning",
    "pytorch_metric_learning", "sam2", "segment_anything", "sentence_transformers",
    "sentencepiece", "sgm", "sklearn", "speechbrain", "stable_audio_tools", "taming",
    "tensorboard", "tensorflow", "timm", "tokenizers", "torch", "torch_geometric",
    "torch_optimizer", "torchaudio", "torchdata", "torchmetrics", "torchtext", "torchtune",
    "torchvision", "transformer_engine", "transformers", "trl", "ultralytics", "webdataset",
    "xformers",
})  # fmt: skip
"""Top-level packages that build models, and whose classes configurations name."""

PLAIN: Final = frozenset({
    "builtins.bool", "builtins.dict", "builtins.float", "builtins.int", "builtins.len",
    "builtins.list", "builtins.max", "builtins.min", "builtins.range", "builtins.round",
    "builtins.set", "builtins.slice", "builtins.str", "builtins.sum", "builtins.tuple",
    "collections.OrderedDict", "collections.defaultdict", "datetime.timedelta",
    "logging.getLogger", "math.ceil", "math.floor", "math.log", "math.prod", "math.sqrt",
    "numpy.arange", "numpy.array", "numpy.linspace", "numpy.random.seed", "os.path.basename",
    "os.path.join", "pathlib.Path", "random.randint", "random.seed", "random.uniform",
    "torch.compile", "torch.manual_seed",
})  # fmt: skip
"""Names outside these packages that only compute."""

LOOKUPS: Final = frozenset(
    {
        "hydra.utils.call",
        "hydra.utils.get_class",
        "hydra.utils.get_method",
        "hydra.utils.get_object",
        "hydra.utils.get_static_method",
        "hydra.utils.instantiate",
    }
)
"""Names that import what another value (`path`, `_target_`) names, which is judged in its turn."""

_RISKY: Final = regex(
    r"(?:.*_)?(?:call|compile|download|eval|exec|execute|getattr|import|invoke|load|open|read"
    r"|restore|run|script|setattr|shell|spawn|system|unpickle|write)(?:_.*)?",
    re.IGNORECASE,
)


class Trust(StrEnum):
    """What a configuration's use of a name means."""

    PLAIN = "plain"
    UNREVIEWED = "unreviewed"
    ACTING = "acting"


def judge(dotted: str) -> tuple[Trust, str]:
    """A dotted name's standing, and its effect where it acts (`execute`, `connect` …)."""
    parts = dotted.split(".")
    if REACHES_OUT.intersection(parts) - {"__init__"}:
        return Trust.ACTING, "execute"
    if dotted in PLAIN or dotted in LOOKUPS:
        return Trust.PLAIN, ""
    if parts[-1] == "from_pretrained" and parts[0] in PACKAGES:
        return Trust.PLAIN, ""
    splits = [(".".join(parts[:i]), ".".join(parts[i:])) for i in range(len(parts) - 1, 0, -1)]
    found = [classify(*split) for split in splits or [("builtins", dotted)]]
    for name in found:
        if name.standing is Standing.ACTING:
            return Trust.ACTING, name.why
    if any(name.standing is Standing.NEEDED for name in found):
        return Trust.PLAIN, ""
    if any(name.standing is Standing.JUDGED for name in found):
        return Trust.UNREVIEWED, ""
    known = parts[0] in PACKAGES and (parts[-1][:1].isupper() or not _RISKY.fullmatch(parts[-1]))
    return (Trust.PLAIN if known else Trust.UNREVIEWED), ""


def load() -> Intel:
    """The date of the list."""
    return Intel(name="packages that configurations name", date=REVIEWED)
