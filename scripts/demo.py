"""Build a clean model and a hostile one, audit both, and show both verdicts.

    python scripts/demo.py FOLDER

The hostile one would print or echo a word if anybody loaded it; nobody does, Weighbridge least of
all. Exits with 0 if the clean model came out as pass or review and the hostile one as block.
"""

from __future__ import annotations

import array
import base64
import builtins
import gzip
import json
import os
import pickle
import random
import struct
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

WIDTH, WORDS = 16, ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "bridge", "model", "weighs")
EXPECTED = {"clean": (0,), "hostile": (1,)}


class Payload:
    """Pickled, it is a call that loading makes."""

    def __init__(self, function: Callable[..., Any], *arguments: str) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str, ...]]:
        return self.call


def clean(folder: Path) -> None:
    """A tiny embedding model as its publisher should hand it over."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {
        "embeddings.weight": (len(WORDS), WIDTH),
        "encoder.dense.weight": (WIDTH, WIDTH),
        "encoder.dense.bias": (WIDTH,),
    }
    (folder / "model.safetensors").write_bytes(safetensors(tensors))
    config = {"model_type": "demo", "hidden_size": WIDTH, "vocab_size": len(WORDS)}
    vocabulary = {word: number for number, word in enumerate(WORDS)}
    tokenizer = {
        "version": "1.0",
        "added_tokens": [],
        "pre_tokenizer": {"type": "Whitespace"},
        "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "[UNK]"},
    }
    special = {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "[PAD]"}
    for name, content in (
        ("config.json", config),
        ("tokenizer.json", tokenizer),
        ("tokenizer_config.json", special),
    ):
        (folder / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    card = "---\nlicense: apache-2.0\n---\n# A demonstration\n\nIt holds random numbers.\n"
    (folder / "README.md").write_text(card, encoding="utf-8")


def hostile(folder: Path) -> None:
    """The same model, with harmless calls where real attacks put theirs."""
    clean(folder)
    state = {"epoch": 3, "hook": Payload(os.system, "echo this model ran a command")}
    torch_zip(folder / "pytorch_model.bin", pickle.dumps(state, protocol=2))
    inner = pickle.dumps(Payload(builtins.print, "this model ran code"), protocol=4)
    outer = {"step": 100, "schedule": base64.b64encode(zlib.compress(inner))}
    hidden = {"optimizer": pickle.dumps({**outer, "next": Payload(os.system, "echo hidden")})}
    (folder / "optimizer.dat").write_bytes(gzip.compress(pickle.dumps(hidden), mtime=0))


def safetensors(tensors: dict[str, tuple[int, ...]]) -> bytes:
    """A safetensors file of 32-bit floats, always the same random ones."""
    source = random.Random(14)  # numbers for weights, not for secrets
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    data = b""
    for name, shape in tensors.items():
        count = shape[0] * (shape[1] if len(shape) > 1 else 1)
        numbers = array.array("f", (source.gauss(0, 0.02) for _ in range(count)))
        if sys.byteorder == "big":
            numbers.byteswap()
        start, data = len(data), data + numbers.tobytes()
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [start, len(data)]}
    head = json.dumps(header, separators=(",", ":")).encode()
    head += b" " * (-len(head) % 8)
    return struct.pack("<Q", len(head)) + head + data


def torch_zip(file: Path, data_pkl: bytes) -> None:
    """An archive as `torch.save` writes it: stored members, storage beside the pickle."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, content in (
            ("data.pkl", data_pkl),
            ("byteorder", b"little"),
            ("data/0", bytes(4 * WIDTH)),
            ("version", b"3\n"),
        ):
            member = zipfile.ZipInfo(f"pytorch_model/{name}", (1980, 1, 1, 0, 0, 0))
            archive.writestr(member, content)


def main(folder: Path) -> int:
    """Build, audit and compare with what should come out."""
    wrong = []
    for name, build in (("clean", clean), ("hostile", hostile)):
        model, report = folder / "demo" / name, folder / f"demo-{name}.html"
        build(model)
        command = [sys.executable, "-m", "weighbridge.apps.cli.main", "audit", str(model)]
        command += ["--format", "terminal", "--format", f"html={report}"]
        code = subprocess.run(command, check=False).returncode
        sys.stderr.write(f"The whole report: {report}\n\n")
        if code not in EXPECTED[name]:
            wrong.append(f"the {name} model exits with {code}")
    if wrong:
        sys.stderr.write(f"Not as it should be: {'; '.join(wrong)}\n")
        return 1
    sys.stderr.write("As it should be: the clean model may enter, the hostile one is blocked.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
