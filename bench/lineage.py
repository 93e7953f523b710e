"""Measures what the lineage checks say of models whose descent is known.

Small language models are trained from different starts on the same text, trained on, merged and
quantised with ggml's own quantisers; single rows of quantised files are then altered. Prints the
tables of docs/lineage.md.

pip install torch==2.13.0 numpy==2.4.6 gguf==0.19.0 libggml-python==0.20.2.post1 and Weighbridge
python bench/lineage.py [models]
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
import time
from collections import Counter
from itertools import combinations
from pathlib import Path
from typing import Any

import conversions
import numpy as np
import torch

from weighbridge.analysis.conversion import convert
from weighbridge.analysis.counterparts import pair
from weighbridge.analysis.lineage_weights import likeness
from weighbridge.analysis.stored_tensors import Model, models
from weighbridge.core.check import Audit
from weighbridge.core.format import Limits
from weighbridge.core.tree import Held
from weighbridge.engine.examine import examine
from weighbridge.engine.ruleset import load

PAIRS = 10_000
VOCABULARY = 96
torch.set_num_threads(1)


class Network(torch.nn.Module):  # type: ignore[misc]
    """A decoder of two layers with the names of a llama; attention without rotation."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        layers = []
        for _ in range(2):
            attention = {
                f"{n}_proj": torch.nn.Linear(width, width, bias=False) for n in ("q", "k", "v", "o")
            }
            inner = {
                "gate_proj": torch.nn.Linear(width, 2 * width, bias=False),
                "up_proj": torch.nn.Linear(width, 2 * width, bias=False),
                "down_proj": torch.nn.Linear(2 * width, width, bias=False),
            }
            layers.append(
                torch.nn.ModuleDict({
                    "self_attn": torch.nn.ModuleDict(attention),
                    "mlp": torch.nn.ModuleDict(inner),
                    "input_layernorm": torch.nn.RMSNorm(width),
                    "post_attention_layernorm": torch.nn.RMSNorm(width),
                })
            )  # fmt: skip
        self.model = torch.nn.ModuleDict({
            "embed_tokens": torch.nn.Embedding(VOCABULARY, width),
            "layers": torch.nn.ModuleList(layers), "norm": torch.nn.RMSNorm(width),
        })  # fmt: skip
        self.lm_head = torch.nn.Linear(width, VOCABULARY, bias=False)

    def forward(self, tokens: Any) -> Any:
        """Logits of the next token."""
        x = self.model["embed_tokens"](tokens)
        batch, length, width = x.shape
        for layer in self.model["layers"]:
            h, a = layer["input_layernorm"](x), layer["self_attn"]
            q, k, v = (
                a[f"{n}_proj"](h).view(batch, length, self.heads, -1).transpose(1, 2) for n in "qkv"
            )
            mixed = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + a["o_proj"](mixed.transpose(1, 2).reshape(batch, length, width))
            h, m = layer["post_attention_layernorm"](x), layer["mlp"]
            x = x + m["down_proj"](torch.nn.functional.silu(m["gate_proj"](h)) * m["up_proj"](h))
        return self.lm_head(self.model["norm"](x))


def text(seed: int) -> Any:
    """Tokens of a source in which each depends on the two before it."""
    source = np.random.default_rng(seed)
    table = source.dirichlet(np.full(VOCABULARY, 0.05), (VOCABULARY, 4))
    chain = table.cumsum(axis=-1)
    tokens = [0, 1]
    for draw in source.random(30_000):
        row = chain[tokens[-1], tokens[-2] % 4]
        tokens.append(min(int(np.searchsorted(row, draw)), VOCABULARY - 1))
    return torch.tensor(tokens)


def train(network: Network, tokens: Any, steps: int, rate: float, seed: int) -> float:
    """Train in place; returns the last loss."""
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.AdamW(network.parameters(), rate, weight_decay=0.05)
    loss = torch.zeros(())
    for _ in range(steps):
        starts = torch.randint(0, len(tokens) - 33, (16,), generator=generator)
        batch = torch.stack([tokens[s : s + 33] for s in starts])
        logits = network(batch[:, :-1])
        loss = torch.nn.functional.cross_entropy(
            logits.reshape(-1, VOCABULARY), batch[:, 1:].reshape(-1)
        )
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return float(loss.detach())


def tensors(network: Network) -> dict[str, Any]:
    """The network's tensors by name."""
    return {n: v.detach().numpy().copy() for n, v in network.state_dict().items()}


def fresh(seed: int, width: int, steps: int, tokens: Any) -> tuple[Network, float]:
    """A network that is trained from its own start."""
    torch.manual_seed(seed)
    network = Network(width, width // 16)
    return network, train(network, tokens, steps, 3e-3, seed)


def stored(data: bytes, name: str = "model.safetensors") -> Model:
    """A file of weights, as the checks see it."""
    blob = Held(name, data)
    examined = examine(blob, load(), Limits())
    (model,) = models(Audit((examined.record,), (), facts=examined.facts, blobs={name: blob}))
    return model


def held(values: dict[str, Any], kind: str = "F32") -> Model:
    """Tensors as a file of safetensors."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m"
        conversions.to_safetensors(path, values, kind)
        return stored(path.read_bytes())


def quantised(values: dict[str, Any], config: dict[str, Any], scheme: str, weighed: Any) -> bytes:
    """Tensors as a GGUF."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m"
        conversions.to_gguf(path, values, config, scheme, weighed)
        return path.read_bytes()


def verdict(made: Model, base: Model) -> tuple[str, float, float]:
    """What is said, and the least and the largest correlation."""
    found = likeness(pair(made, base), 12)
    all_of_them = [s.correlation for s in found.samples]
    return found.said.value, min(all_of_them), max(all_of_them)


def row(what: str, results: list[tuple[str, float, float]]) -> None:
    """A line of the table."""
    said = Counter(r[0] for r in results)
    told = ", ".join(f"{n:,} {s}" for s, n in sorted(said.items()))
    low, high = min(r[1] for r in results), max(r[2] for r in results)
    print(f"| {what} | {len(results):,} | {told} | {low:.3f} … {high:.3f} |", flush=True)


def changed(values: dict[str, Any], base: dict[str, Any]) -> float:
    """The size of the change of all matrices relative to theirs."""
    both = [(values[n], base[n]) for n in base if base[n].ndim > 1]
    change = sum(((a - b) ** 2).sum() for a, b in both)
    return float((change / sum((b**2).sum() for _, b in both)) ** 0.5)


def weights(count: int) -> None:
    """The first table: samples of weights."""
    tokens, other = text(1), text(2)
    print("| pairs | number | said | correlations |\n|---|---|---|---|", flush=True)
    made = [tensors(fresh(seed, 64, 120, tokens)[0]) for seed in range(count)]
    files = [held(m) for m in made]
    pairs = list(combinations(range(count), 2))[:PAIRS]
    row("unrelated, trained alike", [verdict(files[a], files[b]) for a, b in pairs])
    generator = np.random.default_rng(0)
    random_files = [
        held({n: generator.standard_normal(v.shape) for n, v in made[0].items()}) for _ in range(50)
    ]
    row("unrelated, untrained", [verdict(*p) for p in combinations(random_files, 2)])
    large = [fresh(1_000 + seed, 256, 60, tokens)[0] for seed in range(5)]
    bases = [tensors(n) for n in large]
    base_files = [held(b) for b in bases]
    for rate, steps in ((1e-4, 60), (1e-3, 60), (3e-3, 80)):
        results, sizes = [], []
        for n, (network, base, file) in enumerate(zip(large, bases, base_files, strict=True)):
            network.load_state_dict({k: torch.from_numpy(v.copy()) for k, v in base.items()})
            train(network, other, steps, rate, n)
            sizes.append(changed(tensors(network), base))
            results.append(verdict(held(tensors(network)), file))
        row(f"trained on, weights moved by {min(sizes):.0%} to {max(sizes):.0%}", results)
    for size in (0.01, 0.03, 0.1):
        noisy = [
            {n: v + size * v.std() * generator.standard_normal(v.shape) for n, v in b.items()}
            for b in bases
        ]
        found = [verdict(held(m), f) for m, f in zip(noisy, base_files, strict=True)]
        row(f"moved by {size:.0%} of noise", found)
    config = {"hidden_size": 256, "num_hidden_layers": 2, "num_attention_heads": 16,
              "num_key_value_heads": 16}  # fmt: skip
    row("bfloat16 copies", [verdict(held(b, "BF16"), f)
                            for b, f in zip(bases, base_files, strict=True)])  # fmt: skip
    for scheme in ("Q8_0", "Q5_K_M", "Q5_0", "Q4_K_M", "Q4_0"):
        found = [
            verdict(stored(quantised(b, config, scheme, None), "m.gguf"), f)
            for b, f in zip(bases, base_files, strict=True)
        ]
        row(f"{scheme} copies", found)
    merged = [
        ({n: (a[n] + b[n]) / 2 for n in a}, file)
        for (a, file), b in zip(zip(bases, base_files, strict=True), bases[::-1], strict=True)
        if a is not b
    ]
    row("merged half and half with an unrelated one", [verdict(held(m), f) for m, f in merged])


CHANGES = {
    "another row": lambda rows, n: rows[(n + 1) % len(rows)],
    "noise of a tenth": lambda rows, n: rows[n] + 0.1 * rows[n].std() * np.random.default_rng(
        n).standard_normal(len(rows[n])).astype(np.float32),
    "its sign": lambda rows, n: -rows[n],
    "half as large": lambda rows, n: rows[n] / 2,
    "nothing": lambda rows, n: rows[n] * 0,
}  # fmt: skip


def altered(data: bytes, seed: int, change: str) -> tuple[bytes, str]:
    """The file with one row of one quantised tensor exchanged for the changed row, quantised in the
    same type; and the tensor's name."""
    chance = random.Random(seed)
    model = stored(data, "m.gguf")
    name = chance.choice(sorted(n for n, t in model.tensors.items() if t.kind.coded))
    tensor = model.tensors[name]
    kind = tensor.kind.name
    at = chance.randrange(tensor.rows)
    raw = np.frombuffer(tensor.raw(0, tensor.rows), np.uint8)
    values = conversions.dequantise(kind, raw).reshape(tensor.rows, tensor.columns)
    new = conversions.quantise(kind, CHANGES[change](values, at)[None])
    start = tensor.entry.start + at * tensor.row_bytes
    return data[:start] + new.tobytes() + data[start + tensor.row_bytes :], name


def conversion() -> None:
    """The second table: honest conversions, and one altered row."""
    generator = np.random.default_rng(11)
    tokens = text(1)
    sources = []
    for n in range(5):
        network, _ = fresh(2_000 + n, 256, 40, tokens)
        config = {"hidden_size": 256, "num_hidden_layers": 2, "num_attention_heads": 16,
                  "num_key_value_heads": 16}  # fmt: skip
        sources.append((tensors(network), config))
    sources += [conversions.llama(generator, tail=0.3 * n) for n in range(5)]
    honest = false = 0
    files = []
    for n, (values, config) in enumerate(sources):
        exact = {k: conversions.bfloat16(v) for k, v in values.items()}
        origin = held(exact, "BF16")
        for scheme in ("Q4_0", "Q4_K_M", "Q6_K", "Q8_0"):
            data = quantised(exact, config, scheme, None)
            files.append((scheme, data, origin))
            weighed = quantised(exact, config, scheme, generator)
            for made in (data, weighed) if n % 2 else (data,):
                result = convert(pair(stored(made, "m.gguf"), origin))
                honest += 1
                false += bool(result.bad or result.coarse)
    print(f"\nhonest conversions: {honest}, accused: {false}\n")
    print("| one row of one tensor becomes | " + " | ".join(
        ("Q4_0", "Q4_K_M", "Q6_K", "Q8_0")) + " |\n|---|---|---|---|---|")  # fmt: skip
    for change in CHANGES:
        found: Counter[str] = Counter()
        tries: Counter[str] = Counter()
        for n, (scheme, data, origin) in enumerate(files):
            for again in range(2):
                made, name = altered(data, 1_000 * again + n, change)
                result = convert(pair(stored(made, "m.gguf"), origin))
                told = [o.name for o in result.bad + result.coarse]
                tries[scheme] += 1
                found[scheme] += told == [name]
        cells = " | ".join(f"{found[s]} of {tries[s]}" for s in tries)
        print(f"| {change} | {cells} |", flush=True)


def main() -> None:
    """Both tables."""
    began = time.time()
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 142
    weights(count)
    conversion()
    print(json.dumps({"seconds": round(time.time() - began), "models": count}))


if __name__ == "__main__":
    main()
