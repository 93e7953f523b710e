"""What an audit of a repository on a Hub costs: bytes and requests for 107 GB of weights.

    .venv/bin/python bench/hub.py

A Hub on loopback serves a repository of sparse files whose headers are as in real ones: eight
shards of safetensors, a torch zip and a GGUF. Bytes and requests are counted by the server.
"""

from __future__ import annotations

import io
import json
import struct
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]

import hub_server  # noqa: E402
from hub_server import Hub, Repository, Sparse, serve  # noqa: E402
from weighbridge.engine import audit  # noqa: E402
from weighbridge.engine.supervisor import Settings  # noqa: E402
from weighbridge.sources.target import Access  # noqa: E402

GIB = 1 << 30
LAYERS, WIDTH = 80, 8192
PARTS = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
         "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj")  # fmt: skip


def shard(number: int, of: int) -> Sparse:
    """A shard with its share of a transformer's layers, in bfloat16."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    place = 0
    for layer in range(number * LAYERS // of, (number + 1) * LAYERS // of):
        for part in PARTS:
            size = 2 * WIDTH * WIDTH
            name = f"model.layers.{layer}.{part}.weight"
            place_end = place + size
            header[name] = {"dtype": "BF16", "shape": [WIDTH, WIDTH],
                            "data_offsets": [place, place_end]}  # fmt: skip
            place = place_end
    text = json.dumps(header).encode()
    head = struct.pack("<Q", len(text)) + text
    return Sparse(len(head) + place, {0: head})


def torch_zip(size: int) -> Sparse:
    """A checkpoint of one storage, whose bytes are left out."""
    pickled = (
        b"\x80\x02}q\x00X\x01\x00\x00\x00wq\x01ctorch._utils\n_rebuild_tensor_v2\nq\x02((X\x07\x00"
        b"\x00\x00storageq\x03ctorch\nFloatStorage\nq\x04X\x01\x00\x00\x000q\x05X\x03\x00\x00\x00"
        b"cpuq\x06J\x00\x00\x00\x40tq\x07QK\x00J\x00\x00\x00\x40\x85q\x08K\x01\x85q\t\x89ccollect"
        b"ions\nOrderedDict\nq\n)Rq\x0btq\x0cRq\rs."
    )
    small = io.BytesIO()
    with zipfile.ZipFile(small, "w") as archive:
        archive.writestr("archive/data.pkl", pickled)
        archive.writestr("archive/version", "3\n")
    begin = small.getvalue()
    directory = begin.index(b"PK\1\2")
    records, end = begin[directory : begin.index(b"PK\5\6")], begin[begin.index(b"PK\5\6") :]
    name = b"archive/data/0"
    local = struct.pack("<4s5H3I2H", b"PK\3\4", 45, 0, 0, 0, 0, 0, 0xFFFFFFFF, 0xFFFFFFFF,
                        len(name), 20) + name + struct.pack("<2H2Q", 1, 16, size, size)  # fmt: skip
    at = directory
    central = struct.pack("<4s6H3I5H2I", b"PK\1\2", 45, 45, 0, 0, 0, 0, 0, 0xFFFFFFFF, 0xFFFFFFFF,
                          len(name), 20, 0, 0, 0, 0, at) + name \
        + struct.pack("<2H2Q", 1, 16, size, size)  # fmt: skip
    place = at + len(local) + size
    whole = records + central
    end64 = struct.pack("<4sQ2H2I4Q", b"PK\6\6", 44, 45, 45, 0, 0, 3, 3, len(whole), place)
    locator = struct.pack("<4sIQI", b"PK\6\7", 0, place + len(whole), 1)
    tail = whole + end64 + locator + struct.pack("<4s4H2IH", end[:4], 0, 0, 3, 3, len(whole),
                                                 0xFFFFFFFF, 0)  # fmt: skip
    return Sparse(place + len(tail), {0: begin[:directory] + local, place: tail})


def gguf(size: int) -> Sparse:
    """A GGUF with a vocabulary of 128,000 tokens and one tensor of the size that is asked for."""

    def text(value: str) -> bytes:
        data = value.encode()
        return struct.pack("<Q", len(data)) + data

    tokens = b"".join(text(f"token{n}") for n in range(128_000))
    pairs = [
        text("general.architecture") + struct.pack("<I", 8) + text("llama"),
        text("tokenizer.ggml.tokens") + struct.pack("<IIQ", 9, 8, 128_000) + tokens,
    ]
    columns = 1 << 20
    tensor = text("w") + struct.pack("<I2QIQ", 2, columns, size // columns // 2, 1, 0)
    head = b"GGUF" + struct.pack("<IQQ", 3, 1, len(pairs)) + b"".join(pairs) + tensor
    head += bytes(-len(head) % 32)
    return Sparse(len(head) + size, {0: head})


def repository() -> Repository:
    """107 GB, as a large model is published."""
    files: dict[str, Any] = {
        f"model-{n + 1:05}-of-00008.safetensors": shard(n, 8) for n in range(8)
    }
    names: dict[str, str] = {}
    for path, content in files.items():
        head = content.parts[0]
        length = struct.unpack("<Q", head[:8])[0]
        names |= dict.fromkeys(json.loads(head[8 : 8 + length]).keys() - {"__metadata__"}, path)
    files |= {
        "pytorch_model.bin": torch_zip(9 * GIB),
        "model-f16.gguf": gguf(21 * GIB),
        "config.json": json.dumps({"model_type": "llama", "architectures": ["X"]}).encode(),
        "README.md": b"---\nlicense: apache-2.0\n---\n# A large model\n",
        "model.safetensors.index.json": json.dumps({"weight_map": names}).encode(),
    }
    return Repository(files)


def main() -> None:
    """Print one row."""
    hub_server.LARGE = 10 << 20  # as the Hub does it
    hub = Hub({"org/large": repository()}, owners={"org": {"name": "org", "isVerified": True}})
    size = sum(len(content) for content in hub.repositories["org/large"].files.values())
    with serve(hub) as endpoint:
        started = time.perf_counter()
        audited = audit.run("org/large", Settings(), None, Access(endpoint=endpoint))
        seconds = time.perf_counter() - started
    gaps = [g for g in audited.gaps if g.kind.value != "not-given"]
    print(f"{size / 1e9:.0f} GB: {hub.sent / 1e6:.2f} MB in {len(hub.seen)} requests, ", end="")
    print(f"{seconds:.2f} s, {len(gaps)} gaps")
    for gap in gaps:
        print(gap.at.path, gap.message)


if __name__ == "__main__":
    main()
