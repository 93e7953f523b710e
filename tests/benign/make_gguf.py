"""Makes the GGUF files of the benign corpus with the reference library.

pip install gguf==0.19.0 numpy==2.4.6
python tests/benign/make_gguf.py tests/benign/files/gguf
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy
from gguf import GGMLQuantizationType, GGUFWriter, quants

TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def model(path: Path, kind: GGMLQuantizationType | None) -> None:
    """A two-layer model; `kind` is the quantisation of its matrices."""
    writer = GGUFWriter(path, "llama")
    writer.add_name("tiny")
    writer.add_context_length(64)
    writer.add_embedding_length(256)
    writer.add_block_count(2)
    writer.add_tokenizer_model("gpt2")
    tokens = [f"token{i}" for i in range(120)]
    writer.add_token_list(tokens)
    writer.add_token_types([1] * len(tokens))
    writer.add_token_scores([0.5] * len(tokens))
    writer.add_chat_template(TEMPLATE)
    random = numpy.random.default_rng(0)
    for layer in range(2):
        matrix = random.standard_normal((4, 256), dtype=numpy.float32)
        if kind is None:
            writer.add_tensor(f"blk.{layer}.attn_q.weight", matrix)
        else:
            packed = quants.quantize(matrix, kind)
            writer.add_tensor(f"blk.{layer}.attn_q.weight", packed, raw_dtype=kind)
        writer.add_tensor(f"blk.{layer}.norm", random.standard_normal(7).astype(numpy.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main(folder: Path) -> None:
    """Make all of them."""
    folder.mkdir(parents=True, exist_ok=True)
    model(folder / "f32.gguf", None)
    for name in ("Q4_0", "Q5_1", "Q8_0", "BF16", "TQ1_0"):
        model(folder / f"{name.lower()}.gguf", GGMLQuantizationType[name])
    adapter = GGUFWriter(folder / "adapter.gguf", "llama")
    adapter.add_type("adapter")
    adapter.add_string("adapter.type", "lora")
    adapter.add_float32("adapter.lora.alpha", 16.0)
    adapter.add_tensor("blk.0.attn_q.weight.lora_a", numpy.ones((2, 8), dtype=numpy.float16))
    adapter.add_tensor("blk.0.attn_q.weight.lora_b", numpy.ones((8, 2), dtype=numpy.float16))
    adapter.write_header_to_file()
    adapter.write_kv_data_to_file()
    adapter.write_tensors_to_file()
    adapter.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
