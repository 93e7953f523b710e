"""Writes the names of src/weighbridge/intel/packages.json anew from a table of package names.

    python scripts/list_packages.py names.tsv

The table has a header and columns of tabs: a name first, its rank among the most downloaded in the
fourth (empty: it is not among them). `popular` are the first 2,000 and the names of `AI`;
`established` are names further down that look like one of those and are widely used themselves,
so that nobody is warned of them. What is set by hand (`conda`, and `doubtful`: names that stay
accused however often they are downloaded) is kept.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path

from weighbridge.analysis.look_alike import Names
from weighbridge.intel.advisories.osv import normalised

FILE = Path(__file__).parent.parent / "src" / "weighbridge" / "intel" / "packages.json"
POPULAR = 2_000
AI = [
    "accelerate", "auto-gptq", "autoawq", "bentoml", "bitsandbytes", "catboost", "coremltools",
    "ctransformers", "datasets", "deepspeed", "diffusers", "evaluate", "executorch",
    "exllamav2", "faiss-cpu", "fastchat", "flash-attn", "flax", "gguf", "gradio", "haystack-ai",
    "huggingface-hub", "jax", "jaxlib", "keras", "ktransformers", "langchain", "lightgbm",
    "lightning", "litellm", "llama-cpp-python", "llama-index", "lm-eval", "mlflow", "mxnet", "onnx",
    "onnxruntime", "onnxruntime-gpu", "open-clip-torch", "openvino", "optimum",
    "orbax-checkpoint", "paddlepaddle", "peft", "pytorch-lightning", "ray", "safetensors",
    "scikit-learn", "sentence-transformers", "sentencepiece", "sglang", "skops", "spacy",
    "tensorflow", "tensorrt", "text-generation", "tiktoken", "timm", "tokenizers", "torch",
    "torchaudio", "torchvision", "transformers", "triton", "trl", "ultralytics", "unsloth",
    "vllm", "xformers", "xgboost",
]  # fmt: skip


def write(table: Path) -> None:
    """Read the table, write the file."""
    ranked, every = [], set()
    with table.open(encoding="utf-8") as lines:
        next(lines)
        for line in lines:
            columns = line.rstrip("\n").split("\t")
            every.add(normalised(columns[0]))
            if len(columns) > 3 and columns[3].isdecimal():
                ranked.append((int(columns[3]), normalised(columns[0])))
    names = [name for _, name in sorted(ranked)]
    popular = names[:POPULAR] + [n for n in AI if n in every and n not in names[:POPULAR]]
    kept = json.loads(FILE.read_text())
    known = Names(tuple(popular))
    made = {
        "reviewed": datetime.now(UTC).date().isoformat(),
        "popular": popular,
        "established": sorted(
            n for n in names[POPULAR:] if known.like(n) and n not in kept["doubtful"]
        ),
        "doubtful": sorted(kept["doubtful"]),
        "conda": dict(sorted(kept["conda"].items())),
    }
    FILE.write_text(json.dumps(made, indent=1) + "\n")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
