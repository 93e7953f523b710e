"""Small models as files, and what the checks across files see of them."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from weighbridge.core.check import Audit, Check
from weighbridge.core.finding import Finding, Gap
from weighbridge.core.format import Limits
from weighbridge.core.tree import Held
from weighbridge.engine.audit import _artifacts
from weighbridge.engine.examine import examine
from weighbridge.engine.ruleset import load

CONVERSIONS = Path(__file__).parent / "benign" / "files" / "conversions"
GGML = {"F32": (0, 1, 4), "F16": (1, 1, 2), "Q8_0": (8, 32, 34), "Q4_0": (2, 32, 18)}


def safetensors(tensors: Mapping[str, Any], dtype: str = "F32") -> bytes:
    header, data = {}, b""
    for name, values in tensors.items():
        raw = np.asarray(values, {"F32": "<f4", "F16": "<f2"}[dtype]).tobytes()
        header[name] = {"dtype": dtype, "shape": list(np.shape(values)),
                        "data_offsets": [len(data), len(data) + len(raw)]}  # fmt: skip
        data += raw
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def _text(value: str) -> bytes:
    return struct.pack("<Q", len(value.encode())) + value.encode()


def packed(values: Any, kind: str) -> bytes:
    """As the specification of the type says, without any search for a better scale."""
    values = np.asarray(values, np.float32)
    if kind in ("F32", "F16"):
        return bytes(values.astype({"F32": "<f4", "F16": "<f2"}[kind]).tobytes())
    blocks = values.reshape(-1, 32)
    if kind == "Q8_0":
        scale = np.abs(blocks).max(axis=1, keepdims=True) / 127
        code = np.round(blocks / np.where(scale, scale, 1)).astype(np.int8).view(np.uint8)
    else:
        most = np.take_along_axis(blocks, np.abs(blocks).argmax(axis=1)[:, None], 1)
        scale = most / -8
        code = np.clip(np.floor(blocks / np.where(scale, scale, 1) + 8.5), 0, 15).astype(np.uint8)
        code = code[:, :16] | (code[:, 16:] << 4)
    return bytes(np.concatenate((scale.astype("<f2").view(np.uint8), code), axis=1).tobytes())


def gguf(
    tensors: Mapping[str, tuple[Any, str]], architecture: str = "llama", **keys: int | str
) -> bytes:
    body, data = b"", b""
    pairs = {"general.architecture": architecture, **keys}
    for key, value in pairs.items():
        body += _text(key)
        if isinstance(value, str):
            body += struct.pack("<I", 8) + _text(value)
        else:
            body += struct.pack("<II", 4, value)
    for name, (values, kind) in tensors.items():
        shape = np.shape(values)[::-1]
        body += _text(name) + struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
        body += struct.pack("<IQ", GGML[kind][0], len(data))
        raw = packed(values, kind)
        data += raw + bytes(-len(raw) % 32)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(pairs)) + body
    return head + bytes(-len(head) % 32) + data


def audited(files: Mapping[str, bytes], base: Mapping[str, bytes] | None = None) -> Audit:
    """What is examined of files in memory."""
    rules = load()
    held = [Held(path, data) for path, data in sorted(files.items())]
    examined = [examine(blob, rules, Limits()) for blob in held]
    return Audit(
        files=tuple(e.record for e in examined),
        artifacts=tuple(_artifacts(examined, rules)),
        facts=tuple(f for e in examined for f in e.facts),
        blobs={blob.path: blob for blob in held},
        parts={"base": audited(base)} if base is not None else {},
    )


def said(check: Check, audit: Audit) -> list[str]:
    """The action (or the kind of gap) and the message of each result."""
    told = []
    for result in check.run(audit):
        assert isinstance(result, Finding | Gap)
        mark = result.action if isinstance(result, Finding) else result.kind
        told.append(f"{mark.value}: {result.message}")
    return told
