"""Makes a small model in several formats, and blocks of every quantised type with what ggml reads
from them.

pip install torch==2.13.0 numpy==2.4.6 gguf==0.19.0 libggml-python==0.20.2.post1
python tests/benign/make_conversions.py tests/benign/files/conversions
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))
import conversions


def blocks(path: Path) -> None:
    """For each type rows of three kinds, quantised without and with weights of importance."""
    random = np.random.default_rng(7)
    matrix = random.standard_normal((6, 512)).astype(np.float32) * 0.02
    matrix[2:4] *= np.exp(random.standard_normal(512)).astype(np.float32)
    matrix[4:] = random.standard_t(2, (2, 512)).astype(np.float32)
    matrix = conversions.bfloat16(matrix)
    held = {"original": (matrix.view(np.uint32) >> 16).astype(np.uint16)}
    for kind in conversions.BLOCKS:
        if kind in ("F16", "BF16"):
            continue
        plain = conversions.quantise(kind, matrix)
        weights = np.exp(random.standard_normal(512))
        held[f"{kind} plain"] = plain
        held[f"{kind} weighed"] = conversions.quantise(kind, matrix, weights)
        held[f"{kind} read"] = conversions.dequantise(kind, plain)
    np.savez_compressed(path, **held)


def main() -> None:
    """Write the files."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    blocks(folder / "blocks.npz")
    random = np.random.default_rng(3)
    tensors, config = conversions.llama(
        random, hidden=256, inner=32, vocab=40, layers=1, heads=2, heads_kv=1
    )
    for name in list(tensors):  # narrow heads, so that the files stay small
        if "self_attn" in name:
            heads = 1 if ".k_proj" in name or ".v_proj" in name else 2
            full = tensors[name]
            tensors[name] = full[:, :32] if "o_proj" in name else full[: heads * 16]
    tensors = {n: conversions.bfloat16(v) for n, v in tensors.items()}
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    conversions.to_safetensors(folder / "model.safetensors", tensors, "BF16")
    state = {n: torch.from_numpy(v.copy()).to(torch.bfloat16) for n, v in tensors.items()}
    torch.save(state, folder / "pytorch_model.bin")
    for scheme in ("Q4_0", "Q4_K_M", "Q6_K", "Q8_0"):
        conversions.to_gguf(folder / f"tiny.{scheme}.gguf", tensors, config, scheme)
    conversions.to_gguf(folder / "tiny.imatrix.Q4_0.gguf", tensors, config, "Q4_0", random)


if __name__ == "__main__":
    main()
