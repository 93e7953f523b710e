r"""Make the benign corpus: small, ordinary files that no check may raise an alarm on.

Each file is written by the library that people write such files with, from seeded data, so that a
second run with the same versions and paths gives the same bytes (but for k-d trees, whose pickles
hold memory addresses, and the legacy file of a whole LSTM, whose strings are shared differently).
Only classes of the libraries themselves are pickled, none of this script's, and no file holds a
path of the machine that made it (the script checks plain files and what is inside compressed ones).

How to run it, in a fresh environment with Python 3.11 (torch first, alone, in its CPU build)::

    python3.11 -m venv /tmp/benign-venv
    /tmp/benign-venv/bin/pip install torch==2.13.0
    /tmp/benign-venv/bin/pip install transformers accelerate scikit-learn joblib numpy pandas \
        scipy lightgbm dill cloudpickle safetensors lz4
    /tmp/benign-venv/bin/pip install --no-deps xgboost
    /tmp/benign-venv/bin/python tests/benign/make.py

That rewrites ``files/`` (all but ``files/older/``), ``manifest.tsv`` and ``versions.txt``.  Models
in the wild were mostly saved by older releases, which name other modules (``numpy.core`` for
``numpy._core``), so a second environment writes ``files/older/``::

    python3.11 -m venv /tmp/benign-venv-older
    /tmp/benign-venv-older/bin/pip install numpy==1.24.4 scipy==1.10.1 pandas==1.5.3 \
        scikit-learn==1.2.2 joblib==1.2.0 lightgbm==3.3.5 dill==0.3.6 cloudpickle==2.2.1 \
        safetensors==0.3.1 lz4
    /tmp/benign-venv-older/bin/pip install --no-deps xgboost==1.7.6
    /tmp/benign-venv-older/bin/python tests/benign/make.py --older

The committed files were made with Python 3.11.7, torch 2.13.0 (CPU), transformers 5.23.0,
scikit-learn 1.9.1, joblib 1.6.0, numpy 2.4.6, pandas 3.1.1, scipy 1.17.1, xgboost 3.2.0,
lightgbm 4.7.0, dill 0.4.1, cloudpickle 3.1.2, safetensors 0.8.0, lz4 4.4.5; those under
``files/older/`` with the versions in the second list.  ``versions.txt`` has the full record.
"""

from __future__ import annotations

import argparse
import array
import base64
import bz2
import calendar
import collections
import datetime as dt
import decimal
import fractions
import functools
import gzip
import hashlib
import http
import importlib.metadata
import importlib.util
import inspect
import io
import ipaddress
import json
import lzma
import operator
import os
import pathlib
import pickle
import platform
import random
import re
import shutil
import socket
import string
import struct
import sys
import tarfile
import tempfile
import time
import tokenize
import traceback
import types
import urllib.parse
import uuid
import warnings
import zipfile
import zlib
import zoneinfo
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

HERE = Path(__file__).resolve().parent
FILES = HERE / "files"
SEED = 20_240_229
CLOCK = 1_700_000_000.0
PROTOCOLS = range(6)
PACK_BYTES = 36_000
LEGACY_DTYPES = [
    "bfloat16",
    "bool",
    "float16",
    "float32",
    "float64",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
]
MACHINE_PATHS = tuple(
    os.fsencode(path) for path in {tempfile.gettempdir(), Path.home(), Path.cwd(), "/home"}
)
LIBRARIES = (
    "torch",
    "transformers",
    "tokenizers",
    "accelerate",
    "scikit-learn",
    "joblib",
    "numpy",
    "pandas",
    "scipy",
    "xgboost",
    "lightgbm",
    "dill",
    "cloudpickle",
    "safetensors",
    "lz4",
)


class Corpus:
    """The files written in one run, with the manifest's rows and what could not be made."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.rows: list[tuple[str, str, str]] = []
        self.failed: list[str] = []
        self.absent: list[str] = []

    @contextmanager
    def file(self, name: str, library: str, what: str, *, may_fail: bool = False) -> Iterator[Path]:
        """Give the path to write; list it afterwards, or note why it could not be written."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield path
        except Exception as error:
            path.unlink(missing_ok=True)
            (self.absent if may_fail else self.failed).append(f"{name}: {error!r:.300}")
            if not may_fail:
                traceback.print_exc()
            return
        self.rows.append((path.relative_to(HERE).as_posix(), version_of(library), what))

    def pickle(
        self,
        name: str,
        library: str,
        what: str,
        value: object,
        protocol: int = 4,
        dump: Callable[..., bytes] = pickle.dumps,
    ) -> None:
        """Write one pickle."""
        with self.file(name, library, what) as path:
            path.write_bytes(dump(value, protocol=protocol))

    def write(self, name: str, library: str, what: str, data: bytes | str) -> None:
        """Write one plain file."""
        with self.file(name, library, what) as path:
            path.write_bytes(data.encode() if isinstance(data, str) else data)


def version_of(library: str) -> str:
    """Give a library's name and version as the manifest shows it."""
    if library in ("python", "text"):
        return f"python {platform.python_version()}"
    return f"{library} {importlib.metadata.version(library)}"


def have(*modules: str) -> bool:
    """Tell whether all these modules can be imported here."""
    return all(importlib.util.find_spec(module) for module in modules)


# --- the standard library -------------------------------------------------------------------------


def stdlib_samples() -> dict[str, tuple[str, Any]]:
    """Give groups of the standard library's commonly pickled types."""
    shared = ["shared", 1, 2.5]
    loop: list[Any] = [1, 2]
    loop.append(loop)
    ring: dict[str, Any] = {"name": "ring"}
    ring["self"] = ring
    version = sys.version_info
    utc, east = dt.UTC, dt.timezone(dt.timedelta(hours=5, minutes=30), "IST")
    when = dt.datetime(2024, 2, 29, 12, 30, 15, 123456)
    return {
        "scalars": (
            "None, booleans, integers of every size, floats, complex",
            [
                None,
                True,
                False,
                0,
                -1,
                255,
                256,
                65535,
                65536,
                -(2**31),
                2**31,
                2**63,
                -(2**64),
                2**2040,
                -(2**2100),
                3**500,
                0.0,
                -0.5,
                1e308,
                float("inf"),
                float("nan"),
                3 - 4j,
                Ellipsis,
                NotImplemented,
            ],
        ),
        "strings": (
            "text and bytes: empty, short, long, beyond the BMP, with newlines and quotes",
            {
                "empty": "",
                "long": "x" * 300,
                "unicode": "grüße 秤 ⚖️ \U0001f984",
                "escapes": "tab\tnewline\nquote'\"backslash\\ \\u0041 null\0",
                "surrogate": "\udc80",
                "bytes": [b"", b"abc", bytes(range(256)), b"y" * 300],
                "bytearray": bytearray(b"mutable \x00\xff"),
            },
        ),
        "containers": (
            "list, tuple, dict, set, frozenset and the collections module's types",
            {
                "tuples": [(), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)],
                "list": list(range(2_000)),
                "dict": {i: str(i) for i in range(1_100)},
                "set": {1, 2, 3, "a"},
                "frozenset": frozenset("abc"),
                "ordered": collections.OrderedDict(b=1, a=2),
                "default_int": collections.defaultdict(int, a=1),
                "default_list": collections.defaultdict(list, a=[1]),
                "default_none": collections.defaultdict(None, a=1),
                "counter": collections.Counter("abracadabra"),
                "deque": collections.deque([1, 2, 3], maxlen=5),
                "chain": collections.ChainMap({"a": 1}, {"b": 2}),
                "user_dict": collections.UserDict(a=1),
                "user_list": collections.UserList([1, 2]),
                "user_string": collections.UserString("text"),
                "ranges": [range(10), range(0, 10, 3), slice(1, None, 2)],
                "arrays": [array.array(code, [1, 2, 3]) for code in "bBhHiIlLqQfd"]
                + [array.array("u", "text")],
                "iterators": [
                    iter([1, 2]),
                    enumerate("ab"),
                    zip("ab", "cd", strict=False),
                    reversed([1, 2]),
                ],
            },
        ),
        "references": (
            "recursive lists and dicts, one object referred to often",
            {
                "loop": loop,
                "ring": ring,
                "shared": [shared, shared, {"again": shared}],
                "tuple_in_list": [(shared, loop), (shared, loop)],
                "deep": functools.reduce(lambda inner, _: [inner], range(60), []),
            },
        ),
        "times": (
            "dates, times, time zones",
            [
                when,
                when.date(),
                when.time(),
                dt.timedelta(days=1, seconds=3, microseconds=9),
                utc,
                east,
                when.replace(tzinfo=utc),
                when.replace(tzinfo=east, fold=1),
                when.time().replace(tzinfo=utc),
                zoneinfo.ZoneInfo("Europe/Paris"),
                when.replace(tzinfo=zoneinfo.ZoneInfo("America/New_York")),
                time.gmtime(0),
            ],
        ),
        "numbers": (
            "Decimal, Fraction, decimal contexts, UUID, IP addresses",
            [
                decimal.Decimal("3.14"),
                decimal.Decimal("NaN"),
                fractions.Fraction(22, 7),
                decimal.Context(prec=10, rounding=decimal.ROUND_HALF_UP),
                uuid.UUID(int=SEED),
                ipaddress.ip_address("192.0.2.1"),
                ipaddress.ip_address("::1"),
                ipaddress.ip_network("192.0.2.0/24"),
                ipaddress.ip_interface("2001:db8::1/64"),
            ],
        ),
        "names": (
            "namespaces, named tuples, relative paths, enums, parsed addresses",
            [
                types.SimpleNamespace(lr=0.1, layers=[4, 4]),
                argparse.Namespace(epochs=3, seed=0),
                pathlib.PurePosixPath("data/train.csv"),
                pathlib.PureWindowsPath("data\\train.csv"),
                pathlib.PosixPath("models/final.pt"),
                http.HTTPStatus.OK,
                http.HTTPMethod.GET,
                re.RegexFlag.IGNORECASE,
                re.I | re.M,
                uuid.SafeUUID.unknown,
                inspect.Parameter.KEYWORD_ONLY,
                urllib.parse.urlsplit("https://example.org/a?b=c#d"),
                tokenize.TokenInfo,
                inspect.FullArgSpec(["a"], None, None, None, [], None, {}),
                version[:3],
            ],
        ),
        "helpers": (
            "regular expressions, partial(int), itemgetter, Template, random.Random, types",
            [
                re.compile(r"[a-z]+\d*", re.I),
                re.compile(rb"\x00+"),
                functools.partial(int, base=2),
                operator.itemgetter(1),
                operator.itemgetter("a", 2),
                string.Template("$who said $what"),
                random.Random(SEED),
                calendar.Calendar(6),
                int,
                float,
                str,
                list,
                dict,
                collections.OrderedDict,
                len,
                max,
                operator.add,
                types.GenericAlias(list, (int,)),
                int | None,
                string.Formatter(),
            ],
        ),
        "exceptions": (
            "exceptions, as stored in cross-validation results and caches",
            [
                ValueError("bad value"),
                KeyError("missing"),
                IndexError(),
                TypeError("a", 1),
                FileNotFoundError(2, "No such file or directory", "data.csv"),
                StopIteration(3),
                UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
                MemoryError(),
                json.JSONDecodeError("Expecting value", "{", 1),
                RuntimeWarning("overflow"),
                ExceptionGroup("several", [ValueError(1), OSError(5, "io")]),
            ],
        ),
    }


def make_stdlib(corpus: Corpus) -> None:
    """Pickle the standard library's data types at every protocol."""
    for name, (what, value) in stdlib_samples().items():
        for protocol in PROTOCOLS:
            # Iterators and 2.x-style copies of some types exist at every protocol but differ in
            # form; groups are one file per protocol so that each form is in the corpus.
            corpus.pickle(
                f"stdlib/{name}-p{protocol}.pkl",
                "python",
                f"{what}; protocol {protocol}",
                value,
                protocol,
            )
    big = "weighbridge " * 5_500
    for protocol in (2, 4, 5):
        corpus.pickle(
            f"stdlib/string-over-64k-p{protocol}.pkl",
            "python",
            f"a string of more than 64 KiB; protocol {protocol}",
            {"text": big, "after": [1, 2]},
            protocol,
        )
    many = io.BytesIO()
    for step in range(4):
        pickle.dump({"step": step, "loss": 1 / (step + 1)}, many, protocol=4)
    corpus.write(
        "stdlib/several-in-one-file.pkl",
        "python",
        "four pickles one after another",
        many.getvalue(),
    )
    framed = pickle.dumps([bytes(1_000)] * 3 + [list(range(20_000))], protocol=4)
    corpus.write("stdlib/frames-p4.pkl", "python", "protocol 4 with several frames", framed)
    out_of_band: list[pickle.PickleBuffer] = []
    data = pickle.dumps(
        {"weights": pickle.PickleBuffer(bytearray(64))}, 5, buffer_callback=out_of_band.append
    )
    corpus.write("stdlib/out-of-band-p5.pkl", "python", "protocol 5, buffers out of band", data)
    corpus.pickle(
        "stdlib/in-band-buffer-p5.pkl",
        "python",
        "protocol 5, a buffer in band",
        {"weights": pickle.PickleBuffer(bytearray(b"\x01" * 64))},
        5,
    )
    for name, opener in (("gz", gzip.compress), ("bz2", bz2.compress), ("xz", lzma.compress)):
        corpus.write(
            f"stdlib/config.pkl.{name}",
            "python",
            f"a pickled dict, compressed as {name}",
            opener(pickle.dumps({"lr": 0.01, "layers": [64, 64]}, 4)),
        )


# --- data that looks hostile but is data ----------------------------------------------------------

DOCUMENTATION = {
    "os.system": "Execute the command (a string) in a subshell.",
    "eval": "Evaluate the given source in the context of globals and locals.",
    "example": (
        "import os\nimport subprocess\n\n\ndef clean(path):\n"
        "    subprocess.run(['rm', '-rf', path], check=True)\n"
        "    os.system('rm -rf /')\n    return eval('1 + 1')\n\n\nexec(open('setup.py').read())\n"
    ),
    "doctest": ">>> __import__('os').getcwd()\n'...'\n>>> exec('x = 1')\n",
    "shell": "curl -fsSL https://example.org/install.sh | sh",
    "jinja": "{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}"
    "{% endfor %}{{ ''.__class__.__name__ }}",
}
HTML = (
    "<!DOCTYPE html><html><head><title>t</title><script>eval('1+1');document.write('x')</script>"
    '</head><body onload="alert(\'hi\')"><a href="javascript:void(0)">link</a></body></html>\n'
)
CODE_WORDS = ("os.system('rm -rf /')", "eval", "exec", "subprocess", "__import__", "builtins")
MORE_CODE_WORDS = ("__reduce__", "posix", "system", "getattr", "pickle.loads", "socket", "cos\n")


def token_list(count: int) -> list[str]:
    """Make up a vocabulary of distinct tokens, code words among them."""
    rng = random.Random(SEED)
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *CODE_WORDS, *MORE_CODE_WORDS]
    tokens = dict.fromkeys(special)
    while len(tokens) < count:
        word = "".join(rng.choice(string.ascii_lowercase) for _ in range(rng.randint(2, 6)))
        tokens["##" + word if rng.random() < 0.3 else word] = None
    return list(tokens)


def tiny_png() -> bytes:
    """Make an 8x8 grey PNG."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    rows = b"".join(b"\0" + bytes((x * y * 4) % 256 for x in range(8)) for y in range(8))
    header = struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def make_lookalikes(corpus: Corpus) -> None:
    """Write data whose text reads like code, and texts that are no pickles."""
    tokens = token_list(5_000)
    rng = random.Random(SEED)
    plain = "It was the best of times, it was the worst of times. " * 8
    samples: dict[str, tuple[str, Any]] = {
        "vocab-list": ("a vocabulary with shell commands among its words", tokens[:400]),
        "documentation": ("documentation strings with Python source", DOCUMENTATION),
        "base64-png": ("a PNG in base64", {"icon": base64.b64encode(tiny_png()).decode()}),
        "base64-text": ("a text in base64", {"note": base64.b64encode(plain.encode()).decode()}),
        "base64-bytes": ("a text in base64, as bytes", base64.b64encode(plain.encode())),
        "words": (
            "a list of the words eval, exec, subprocess ...",
            [*CODE_WORDS, *MORE_CODE_WORDS],
        ),
        "keys": (
            "a dict whose keys are names of modules and functions",
            {word: i for i, word in enumerate((*MORE_CODE_WORDS, *CODE_WORDS))},
        ),
        "html": ("HTML with inline scripts", {"page": HTML}),
        "hex-digests": (
            "SHA-256 digests in hex",
            [hashlib.sha256(bytes([i])).hexdigest() for i in range(120)],
        ),
        "random-bytes": ("random bytes that begin like a pickle", b"\x80\x02" + rng.randbytes(500)),
        "pickle-in-bytes": (
            "a harmless pickle inside a bytes object",
            {"payload": pickle.dumps({"a": [1, 2, 3]}, 4)},
        ),
        "addresses": (
            "web addresses, e-mail addresses, host names",
            ["https://example.org/model.bin", "user@example.org", "192.0.2.7:8080"],
        ),
        "stack-trace": (
            "a logged stack trace",
            'Traceback (most recent call last):\n  File "train.py", line 3, in main\n'
            "    subprocess.check_call(['nvidia-smi'])\nOSError: not found\n",
        ),
        "globals-text": (
            "strings that spell pickle opcodes",
            ["cos\nsystem\n(S'ls'\ntR.", "c__builtin__\neval\n", "\x80\x04\x95."],
        ),
    }
    for name, (what, value) in samples.items():
        for protocol in (0, 2, 4):
            file = f"lookalikes/{name}-p{protocol}.pkl"
            corpus.pickle(file, "python", f"{what}; protocol {protocol}", value, protocol)
    corpus.pickle(
        "lookalikes/vocab-5000-p4.pkl",
        "python",
        "a tokenizer's vocabulary of 5,000 tokens, a dict",
        {token: i for i, token in enumerate(tokens)},
    )
    texts = {
        "cat-dog.txt": ("a word list that begins like opcodes", "cat\ndog\n(\nI1\n.\n"),
        "cos.txt": ("a word list that begins like a GLOBAL opcode", "cos\nsin\ntan\n(x)\n"),
        "labels.txt": ("class names", "cat\ndog\n(background)\n"),
        "vocab.txt": ("a BERT vocabulary", "\n".join(tokens[:1_500]) + "\n"),
        "merges.txt": ("BPE merges", "#version: 0.2\nt h\nth e\ne v\nev al\ns y\ni n\nĠ t\n"),
        "README.md": (
            "a model card",
            "---\nlicense: apache-2.0\ntags:\n- text-classification\n---\n# Tiny model\n\n"
            "```python\nimport torch\nmodel = torch.load('pytorch_model.bin')\n"
            "os.system('pip install transformers')\n```\n\n| metric | value |\n|---|---|\n"
            "| acc | 0.9 |\n",
        ),
        "config.json": (
            "a model's config",
            json.dumps(
                {"architectures": ["BertModel"], "hidden_size": 8, "dropout": 0.1}, indent=2
            ),
        ),
        "tokenizer_config.json": (
            "a tokenizer's config with a chat template",
            json.dumps(
                {"chat_template": DOCUMENTATION["jinja"], "model_max_length": 512}, indent=2
            ),
        ),
        "vocab.json": (
            "a vocabulary as JSON",
            json.dumps({t: i for i, t in enumerate(tokens[:800])}),
        ),
        "page.html": ("a web page", HTML),
        "metrics.csv": (
            "training metrics",
            "epoch,loss\n" + "".join(f"{i},{1 / i:.4f}\n" for i in range(1, 50)),
        ),
        "log.txt": (
            "a training log",
            "".join(f"[{i:04d}] loss={1 / i:.4f}\n" for i in range(1, 90)),
        ),
        "data.jsonl": (
            "instruction data about code",
            "".join(
                json.dumps({"prompt": k, "answer": v}) + "\n" for k, v in DOCUMENTATION.items()
            ),
        ),
        "empty.txt": ("an empty file", ""),
        "gitattributes.txt": ("large-file settings", "*.bin filter=lfs diff=lfs merge=lfs -text\n"),
    }
    for name, (what, text) in texts.items():
        corpus.write(f"lookalikes/{name}", "text", what, text)
    corpus.write("lookalikes/icon.png", "python", "an 8x8 PNG", tiny_png())


# --- numpy ----------------------------------------------------------------------------------------


def numpy_dtypes() -> list[str]:
    """Name the array types that files are commonly made of."""
    return [
        "?",
        "i1",
        "i2",
        "i4",
        "i8",
        "u1",
        "u2",
        "u4",
        "u8",
        "f2",
        "f4",
        "f8",
        "g",
        "c8",
        "c16",
        ">i4",
        ">f8",
        "S5",
        "U5",
        "V4",
        "M8[D]",
        "M8[ns]",
        "m8[s]",
    ]


def make_numpy(corpus: Corpus) -> None:
    """Write arrays by numpy's own formats and by pickle."""
    import numpy as np

    rng = np.random.default_rng(SEED)
    arrays: dict[str, Any] = {
        code: np.arange(6).astype(code) if code != "V4" else np.zeros(6, "V4")
        for code in numpy_dtypes()
    }
    long_double: Any = arrays["g"].view("u1").reshape(6, -1)
    long_double[:, 10:] = 0  # the padding holds whatever was in memory
    record = np.array(
        [("a", 1, [0.5, 1.5]), ("b", 2, [2.5, 3.5])],
        dtype=[("name", "U4"), ("id", "<i4"), ("xy", "<f8", (2,))],
    )
    nested: Any = np.zeros(
        3, dtype=[("pos", [("x", "f4"), ("y", "f4")]), (("long title", "t"), "u1")]
    )
    things = np.array([1, "two", None, [3.0], {"four": 4}, (5,)], dtype=object)
    matrix = rng.normal(size=(4, 5))
    masked: Any = np.ma.masked_array([1.0, 2.0, 3.0], mask=[0, 1, 0], fill_value=-1.0)

    for code, value in arrays.items():
        tag = re.sub(r"\W", "_", code.replace(">", "be_").replace("?", "bool"))
        with corpus.file(f"numpy/dtype-{tag}.npy", "numpy", f"an array of {code}") as path:
            np.save(path, value)
    more = {
        "structured": ("structured array", record),
        "structured-nested": ("nested structured array with titles", nested),
        "object": ("object array (a pickle inside)", things),
        "fortran": ("array in Fortran order", np.asfortranarray(matrix)),
        "zero-dim": ("array of no dimension", np.array(3.5)),
        "empty": ("array of no element", np.zeros((0, 3))),
        "strings-object": ("object array of strings", np.array(token_list(200), dtype=object)),
        "ragged": ("ragged object array", np.array([np.arange(2), np.arange(3)], dtype=object)),
        "dict-0d": ("a dict saved as an object array", np.array({"w": matrix}, dtype=object)),
    }
    for name, (what, value) in more.items():
        with corpus.file(f"numpy/{name}.npy", "numpy", what) as path:
            np.save(path, value, allow_pickle=True)
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, matrix, version=(2, 0))
    corpus.write("numpy/version-2-header.npy", "numpy", "format version 2.0", buffer.getvalue())
    with corpus.file("numpy/plain.npz", "numpy", "three arrays, stored") as path:
        np.savez(path, matrix, ids=np.arange(4), names=np.array(["a", "b"]))
    with corpus.file("numpy/compressed.npz", "numpy", "arrays, deflated") as path:
        np.savez_compressed(path, **{f"layer_{i}": rng.normal(size=(3, 3)) for i in range(5)})
    with corpus.file("numpy/compressed-objects.npz", "numpy", "object arrays, deflated") as path:
        np.savez_compressed(path, things=things, record=record, meta=np.array({"lr": 0.1}))

    objects = {
        "arrays": ("arrays of every dtype", arrays),
        "shapes": (
            "views, Fortran order, empty, 0-d, object and structured arrays",
            [matrix, matrix.T, matrix[::2], np.array(1), np.zeros((0,)), things, record, nested],
        ),
        "scalars": (
            "numpy scalars and dtypes",
            [
                np.float64(1.5),
                np.float32(2),
                np.int64(3),
                np.bool_(True),
                np.str_("s"),
                np.bytes_(b"b"),
                np.complex64(1j),
                np.datetime64("2024-02-29"),
                np.timedelta64(3, "s"),
                np.dtype("f4"),
                np.dtype(record.dtype),
                record[0],
                np.float16,
                np.int8,
                np.ndarray,
            ],
        ),
        "random": (
            "random generators and bit generators",
            [
                np.random.default_rng(1),
                np.random.Generator(np.random.Philox(2)),
                np.random.Generator(np.random.SFC64(3)),
                np.random.PCG64DXSM(4),
                np.random.SeedSequence(5),
            ],
        ),
        "random-state": ("the older RandomState", np.random.RandomState(6)),
        "subclasses": (
            "masked arrays, matrix, record arrays, character arrays",
            [
                masked,
                np.ma.masked,
                np.matrix([[1, 2], [3, 4]]),
                record.view(np.recarray),
                np.rec.array([(1, "a")], names="i,s"),
                np.char.array(["a", "bc"]),
            ],
        ),
        "polynomials": (
            "polynomials, ufuncs, poly1d",
            [
                np.polynomial.Polynomial([1, 2]),
                np.polynomial.Chebyshev([1, 0, 2]),
                np.poly1d([1, 2, 3]),
                np.log1p,
                np.add,
            ],
        ),
        "weights": (
            "a dict of weights, one array shared",
            {"a": matrix, "b": matrix, "c": matrix.T},
        ),
    }
    for name, (what, value) in objects.items():
        protocols = (2, 4) if name == "random-state" else PROTOCOLS
        for protocol in protocols:
            file = f"numpy/{name}-p{protocol}.pkl"
            corpus.pickle(file, "numpy", f"{what}; protocol {protocol}", value, protocol)


# --- pandas and scipy -----------------------------------------------------------------------------


def make_pandas(corpus: Corpus) -> None:
    """Pickle frames, series and indexes of many types."""
    import numpy as np
    import pandas as pd

    rng = np.random.default_rng(SEED)
    days = pd.date_range("2024-01-01", periods=6, freq="D", tz="Europe/Paris")
    frame = pd.DataFrame(
        {
            "f": rng.normal(size=6),
            "i": np.arange(6),
            "s": list("abcdef"),
            "c": pd.Categorical(list("xyxyxz"), ordered=True),
            "t": days,
            "b": [True, False] * 3,
            "o": [None, 1, "x", 2.0, (1,), [2]],
        }
    )
    nullable = pd.DataFrame(
        {
            "Int64": pd.array([1, None, 3], dtype="Int64"),
            "Float64": pd.array([1.5, None, 3], dtype="Float64"),
            "boolean": pd.array([True, None, False], dtype="boolean"),
            "string": pd.array(["a", None, "c"], dtype="string"),
        }
    )
    multi = pd.MultiIndex.from_product([["a", "b"], [1, 2]], names=["letter", "number"])
    samples: dict[str, tuple[str, Any]] = {
        "frame": ("a DataFrame of mixed columns", frame),
        "nullable": ("nullable columns", nullable),
        "series": ("a Series with a name", frame["f"].rename("target")),
        "multiindex": ("a DataFrame with a MultiIndex", pd.DataFrame({"v": range(4)}, index=multi)),
        "categorical": (
            "Categorical and CategoricalIndex",
            [frame["c"].array, pd.CategoricalIndex(["a", "b", "a"])],
        ),
        "times": (
            "timestamps, time zones, offsets, periods, timedeltas",
            [
                days,
                days[0],
                pd.Timestamp("2024-02-29"),
                pd.Timedelta("1h"),
                pd.NaT,
                pd.Period("2024-02", "M"),
                pd.period_range("2024-01", periods=3, freq="M"),
                pd.timedelta_range("1h", periods=3),
                pd.offsets.BusinessDay(2),
                pd.offsets.MonthEnd(),
                pd.DateOffset(days=3),
            ],
        ),
        "intervals": (
            "Interval, IntervalIndex, cut and qcut",
            [
                pd.Interval(0, 1, closed="left"),
                pd.interval_range(0, 3),
                pd.cut(pd.Series([1.0, 2, 3]), 2),
            ],
        ),
        "indexes": (
            "indexes of all kinds, NA",
            [
                pd.RangeIndex(5),
                pd.Index([1, 2]),
                pd.Index(["a", "b"]),
                pd.Index([1.5]),
                pd.NA,
                multi,
            ],
        ),
        "sparse": ("sparse columns", pd.DataFrame({"s": pd.arrays.SparseArray([0, 0, 1, 2])})),
        "dtypes": (
            "extension types",
            [
                pd.CategoricalDtype(["a"]),
                pd.DatetimeTZDtype("ns", "UTC"),
                pd.Int64Dtype(),
                pd.StringDtype(),
                pd.PeriodDtype("D"),
                pd.IntervalDtype("int64", "right"),
            ],
        ),
    }
    for name, (what, value) in samples.items():
        for protocol in (2, 4, 5):
            file = f"pandas/{name}-p{protocol}.pkl"
            corpus.pickle(file, "pandas", f"{what}; protocol {protocol}", value, protocol)
    for suffix in ("pkl", "pkl.gz", "pkl.bz2", "pkl.xz", "pkl.zip", "pkl.tar"):
        with corpus.file(
            f"pandas/to_pickle.{suffix}", "pandas", f"DataFrame.to_pickle, {suffix}"
        ) as path:
            frame.to_pickle(path)


def make_scipy(corpus: Corpus) -> None:
    """Pickle scipy's sparse, interpolation, spatial and statistics objects."""
    import numpy as np
    import scipy.interpolate
    import scipy.optimize
    import scipy.sparse
    import scipy.spatial
    import scipy.stats

    rng = np.random.default_rng(SEED)
    dense = rng.integers(0, 3, size=(6, 6)) * rng.integers(0, 2, size=(6, 6))
    formats = ("bsr", "coo", "csc", "csr", "dia", "dok", "lil")
    matrices = {f: getattr(scipy.sparse, f"{f}_matrix")(dense) for f in formats}
    arrays = {f: getattr(scipy.sparse, f"{f}_array")(dense) for f in formats}
    x = np.linspace(0, 5, 8)
    points = rng.normal(size=(12, 2))
    np.random.seed(1)  # frozen distributions carry numpy's global random state
    spline = scipy.interpolate.UnivariateSpline(x, np.sin(x))
    for part in spline._data[-3:-1]:
        part[:] = 0  # work space that holds whatever was in memory
    samples: dict[str, tuple[str, Any]] = {
        "sparse-matrices": ("sparse matrices of all formats", matrices),
        "sparse-arrays": ("sparse arrays of all formats", arrays),
        "interpolate": (
            "splines and interpolators",
            [
                scipy.interpolate.CubicSpline(x, np.sin(x)),
                scipy.interpolate.BSpline(np.arange(8.0), np.ones(4), 3),
                scipy.interpolate.PchipInterpolator(x, np.cos(x)),
                spline,
                scipy.interpolate.RegularGridInterpolator((x, x), np.outer(x, x)),
                scipy.interpolate.RBFInterpolator(points, points[:, 0]),
            ],
        ),
        "spatial": (
            "k-d trees and rotations",
            [
                scipy.spatial.cKDTree(points),
                scipy.spatial.KDTree(points),
                scipy.spatial.transform.Rotation.from_euler("z", 90, degrees=True),
            ],
        ),
        "stats": (
            "frozen distributions and test results",
            [
                scipy.stats.norm(0, 1),
                scipy.stats.randint(1, 5),
                scipy.stats.multivariate_normal([0, 0], seed=2),
                scipy.stats.gaussian_kde(points.T),
            ],
        ),
        "optimize": (
            "an optimisation result",
            scipy.optimize.minimize(np.linalg.norm, [1.0, 2.0], method="Nelder-Mead"),
        ),
    }
    for name, (what, value) in samples.items():
        for protocol in (2, 4, 5):
            file = f"scipy/{name}-p{protocol}.pkl"
            corpus.pickle(file, "scipy", f"{what}; protocol {protocol}", value, protocol)
    for form in ("csr", "csc", "coo", "bsr", "dia"):
        with corpus.file(f"scipy/save_npz-{form}.npz", "scipy", f"save_npz of {form}") as path:
            scipy.sparse.save_npz(path, matrices[form])
    with corpus.file(
        "scipy/save_npz-array-stored.npz", "scipy", "save_npz, not compressed"
    ) as path:
        scipy.sparse.save_npz(path, arrays["csr"], compressed=False)


# --- scikit-learn and joblib ----------------------------------------------------------------------

SMALL_SETTINGS: Mapping[str, Any] = {
    "random_state": 0,
    "n_estimators": 2,
    "max_depth": 3,
    "hidden_layer_sizes": (3,),
    "n_quantiles": 5,
    "perplexity": 3,
    "max_iter": 30,
    "n_init": 1,
    "n_iter": 5,
    "max_leaf_nodes": 5,
    "min_samples": 2,
    "min_cluster_size": 3,
    "n_bins": 3,
    "cv": 2,
    "n_neighbors": 3,
    "n_features": 16,
}


def _settings(kind: type) -> dict[str, Any]:
    """Choose an estimator's arguments: small, seeded, with inner estimators where it needs any."""
    import numpy as np
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.preprocessing import StandardScaler

    names = inspect.signature(kind).parameters
    chosen = {key: value for key, value in SMALL_SETTINGS.items() if key in names}
    regressor = getattr(kind, "_estimator_type", None) == "regressor" or "Regress" in kind.__name__
    inner = Ridge() if regressor else LogisticRegression(max_iter=50)
    if "estimators" in names:
        chosen["estimators"] = [("a", inner), ("b", inner)]
    empty = (inspect.Parameter.empty, None)
    if "base_estimator" in names and names["base_estimator"].default in empty:
        chosen["base_estimator"] = inner
    for key, value in (
        ("estimator", inner),
        ("param_grid", {}),
        ("param_distributions", {}),
        ("transformer_list", []),
        ("transformers", []),
        ("steps", [("model", inner)]),
    ):
        if key in names and names[key].default is inspect.Parameter.empty:
            chosen[key] = value
    special: dict[str, dict[str, Any]] = {
        "SelfTrainingClassifier": {"estimator": inner, "base_estimator": inner},
        "TSNE": {"max_iter": 250, "n_iter": 250},
        "GaussianRandomProjection": {"n_components": 2},
        "SparseRandomProjection": {"n_components": 2},
        "SelectKBest": {"k": 2},
        "OrthogonalMatchingPursuitCV": {"max_iter": 2},
        "SparseCoder": {"dictionary": np.eye(4)},
        "FeatureUnion": {"transformer_list": [("scale", StandardScaler())]},
        "FrozenEstimator": {"estimator": LogisticRegression().fit([[0, 0, 0, 1]] * 2, [0, 1])},
    }
    for key, value in special.get(kind.__name__, {}).items():
        if key in names and (key != "base_estimator" or "estimator" not in names):
            chosen[key] = value
    return chosen


def steady(model: Any) -> Any:
    """Replace the memory address that a fitted TfidfVectorizer keeps."""
    if hasattr(model, "_stop_words_id"):
        model._stop_words_id = 0
    return model


def fitted_estimators() -> tuple[dict[str, list[tuple[str, Any]]], list[str]]:
    """Fit every estimator of scikit-learn that tiny data will do for; tell which it will not."""
    import numpy as np
    from sklearn.utils import all_estimators

    rng = np.random.default_rng(SEED)
    x = np.abs(rng.normal(size=(24, 4))) + 0.1
    labels: Any = np.arange(24) % 2
    target = x[:, 0] * 2 + rng.normal(size=24) * 0.1
    two: Any = np.stack([labels, 1 - labels], axis=1)
    documents = ["the cat sat", "the dog ran", "a cat ran", "one dog sat"] * 3
    rows = [{"a": 1.0, "b": "x"}, {"a": 2.0, "b": "y"}]
    inputs: Sequence[tuple[Any, ...]] = (
        (x, labels),
        (x, target),
        (x, np.exp(target)),
        (x, two),
        (x, np.stack([target, -target], axis=1)),
        (x[:, 0], target),
        (documents,),
        (rows,),
        (labels,),
        ([("a",), ("b",)],),
        (x @ x.T,),
    )
    families: dict[str, list[tuple[str, Any]]] = {}
    left: list[str] = []
    for name, kind in all_estimators():
        text = "Vectorizer" in name or name in ("FeatureHasher",)
        regressor = "Regress" in name or getattr(kind, "_estimator_type", "") == "regressor"
        order = inputs[6:8] if text else inputs
        if regressor:
            order = (inputs[1], *inputs)
        error: Exception | None = None
        for data in order:
            try:
                np.random.seed(0)
                model = kind(**_settings(kind)).fit(*data)
                steady(model)
                pickle.dumps(model)
            except Exception as problem:
                error = error or problem
                continue
            family = kind.__module__.split(".")[1].lstrip("_")
            families.setdefault(family, []).append((name, model))
            break
        else:
            left.append(f"{name}: {error!r:.160}")
    return families, left


def packs(models: list[tuple[str, Any]]) -> Iterator[dict[str, Any]]:
    """Divide a family's models among dicts that each pickle to a small file."""
    pack: dict[str, Any] = {}
    size = 0
    for name, model in models:
        length = len(pickle.dumps(model))
        if pack and size + length > PACK_BYTES:
            yield pack
            pack, size = {}, 0
        pack[name] = model
        size += length
    if pack:
        yield pack


def make_sklearn(corpus: Corpus) -> None:
    """Fit and save estimators, pipelines and searches, by pickle and by joblib."""
    import joblib
    import numpy as np
    import scipy.stats
    from sklearn import (
        compose,
        datasets,
        ensemble,
        feature_extraction,
        gaussian_process,
        impute,
        linear_model,
        metrics,
        model_selection,
        neighbors,
        pipeline,
        preprocessing,
        svm,
        tree,
    )

    def save(name: str, what: str, value: object, protocol: int = 4) -> None:
        corpus.pickle(f"sklearn/{name}.pkl", "scikit-learn", f"{what}; pickle", value, protocol)
        with corpus.file(f"sklearn/{name}.joblib", "scikit-learn", f"{what}; joblib") as path:
            joblib.dump(value, path)

    families, left = fitted_estimators()
    corpus.absent += [f"scikit-learn {line}" for line in left]
    for family, models in sorted(families.items()):
        for number, pack in enumerate(packs(models), 1):
            title = f"family-{family}-{number}"
            what = f"fitted {', '.join(pack)}"
            protocol = (2, 4, 5)[number % 3]
            file = f"sklearn/{title}.pkl"
            corpus.pickle(file, "scikit-learn", f"{what}; protocol {protocol}", pack, protocol)
            with corpus.file(f"sklearn/{title}.joblib", "scikit-learn", f"{what}; joblib") as path:
                joblib.dump(pack, path, compress=3)

    rng = np.random.default_rng(SEED)
    x, y = rng.normal(size=(30, 4)), np.arange(30) % 2
    scaler = preprocessing.StandardScaler()
    logistic = linear_model.LogisticRegression()
    save("pipeline", "scaler and classifier", pipeline.make_pipeline(scaler, logistic).fit(x, y))
    columns = compose.ColumnTransformer(
        [
            ("number", pipeline.make_pipeline(impute.SimpleImputer(), scaler), [0, 1]),
            ("bins", preprocessing.KBinsDiscretizer(3), [2]),
            ("log", preprocessing.FunctionTransformer(np.abs), [3]),
        ],
        remainder="drop",
    )
    save(
        "column-transformer",
        "ColumnTransformer in a pipeline",
        pipeline.Pipeline(
            [
                ("columns", columns),
                ("forest", ensemble.RandomForestClassifier(2, max_depth=2, random_state=0)),
            ]
        ).fit(x, y),
    )
    save(
        "union",
        "FeatureUnion of two scalers",
        pipeline.make_union(preprocessing.MinMaxScaler(), preprocessing.RobustScaler()).fit(x),
    )
    save(
        "grid-search",
        "GridSearchCV over an SVC",
        model_selection.GridSearchCV(
            svm.SVC(), {"C": [1, 10], "kernel": ["linear", "rbf"]}, cv=2
        ).fit(x, y),
    )
    save(
        "random-search",
        "RandomizedSearchCV with a scipy distribution",
        model_selection.RandomizedSearchCV(
            logistic,
            {"C": scipy.stats.uniform(0.1, 5)},
            n_iter=3,
            cv=model_selection.KFold(2),
            scoring=metrics.make_scorer(metrics.f1_score),
            random_state=0,
        ).fit(x, y),
    )
    save(
        "voting",
        "VotingClassifier",
        ensemble.VotingClassifier(
            [
                ("t", tree.DecisionTreeClassifier(max_depth=2, random_state=0)),
                ("k", neighbors.KNeighborsClassifier()),
            ]
        ).fit(x, y),
    )
    save(
        "stacking",
        "StackingRegressor",
        ensemble.StackingRegressor(
            [("r", linear_model.Ridge()), ("l", linear_model.Lasso())], cv=2
        ).fit(x, x[:, 0]),
    )
    words = pipeline.make_pipeline(
        feature_extraction.text.TfidfVectorizer(ngram_range=(1, 2)),
        linear_model.SGDClassifier(random_state=0),
    ).fit(["eval this", "exec that", "cat os.system", "dog"] * 3, [0, 1, 0, 1] * 3)
    steady(words[0])
    save("text", "text pipeline: TF-IDF and a linear model", words)
    kernel = gaussian_process.kernels.RBF() + gaussian_process.kernels.WhiteKernel()
    save(
        "gaussian-process",
        "Gaussian process with a composed kernel",
        gaussian_process.GaussianProcessRegressor(kernel, random_state=0).fit(x, x[:, 0]),
    )
    save(
        "target",
        "TransformedTargetRegressor with numpy functions",
        compose.TransformedTargetRegressor(
            linear_model.Ridge(), func=np.log1p, inverse_func=np.expm1
        ).fit(x, np.abs(x[:, 0])),
    )
    save(
        "bunch",
        "a Bunch, as the data-set loaders return it",
        {
            "bunch": datasets.make_blobs(8, 2, random_state=0),
            "toy": type(datasets.load_iris())(data=x[:3], target=y[:3]),
        },
    )
    save(
        "splitters",
        "cross-validation splitters and a scorer",
        [
            model_selection.StratifiedKFold(3),
            model_selection.TimeSeriesSplit(2),
            metrics.get_scorer("roc_auc"),
        ],
    )
    for protocol in PROTOCOLS:
        corpus.pickle(
            f"sklearn/tree-p{protocol}.pkl",
            "scikit-learn",
            f"a decision tree; protocol {protocol}",
            tree.DecisionTreeClassifier(max_depth=2, random_state=0).fit(x, y),
            protocol,
        )


def make_joblib(corpus: Corpus) -> None:
    """Dump arrays, dicts and estimators with every compressor."""
    import joblib
    import numpy as np
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(SEED)
    x = rng.normal(size=(8, 4))
    model = LogisticRegression().fit(x, np.arange(8) % 2)
    value = {"model": model, "x": x, "names": ["a", "b"], "lr": 0.1}
    compressors = ("zlib", "gzip", "bz2", "xz", "lzma", "lz4")
    for name in compressors:
        with corpus.file(
            f"joblib/mixed.joblib.{name}", "joblib", f"dict with an estimator, {name}"
        ) as path:
            joblib.dump(value, path, compress=(name, 3))
    for suffix in ("z", "gz", "bz2", "xz", "lzma"):
        with corpus.file(
            f"joblib/by-name.pkl.{suffix}", "joblib", f"compressor by suffix .{suffix}"
        ) as path:
            joblib.dump(x, path)
    samples: dict[str, tuple[str, Any]] = {
        "mixed": ("dict with an estimator", value),
        "array": ("one array, aligned for memory-mapping", x),
        "fortran": ("Fortran order", np.asfortranarray(x)),
        "several": (
            "several arrays in one file",
            [x, x.T.copy(), np.arange(5), np.float32([1, 2])],
        ),
        "shared": ("one array twice", [x, x]),
        "objects": ("object array", np.array([1, "two", None, {"three": 3}], dtype=object)),
        "structured": ("structured array", np.zeros(3, dtype=[("a", "f4"), ("b", "U3")])),
        "strings": ("array of strings", np.array(["alpha", "beta"])),
        "empty": ("empty and 0-d arrays", [np.zeros((0, 2)), np.array(1.0)]),
        "matrix": ("np.matrix and masked array", [np.matrix(x[:2]), np.ma.masked_less(x, 0)]),
        "bytes": (
            "dtype whose bytes look like opcodes",
            np.frombuffer(b"cos\nsystem\n(S'ls'\ntR." * 3, "u1"),
        ),
        "plain": ("no array at all", {"epochs": 3, "labels": ["cat", "dog"]}),
    }
    for name, (what, sample) in samples.items():
        with corpus.file(f"joblib/{name}.joblib", "joblib", what) as path:
            joblib.dump(sample, path)
    for protocol in (2, 3, 4, 5):
        with corpus.file(
            f"joblib/mixed-p{protocol}.joblib", "joblib", f"mixed dict; protocol {protocol}"
        ) as path:
            joblib.dump(value, path, protocol=protocol)


# --- boosters, dill, cloudpickle, safetensors -----------------------------------------------------


def make_boosters(corpus: Corpus) -> None:
    """Train and save tiny gradient boosters."""
    import joblib
    import lightgbm
    import numpy as np
    import xgboost

    rng = np.random.default_rng(SEED)
    x = rng.normal(size=(40, 3))
    y = (x[:, 0] > 0).astype(int)
    groups = [20, 20]
    small = {"n_estimators": 2, "max_depth": 2, "n_jobs": 1, "random_state": 0}
    booster = xgboost.train({"max_depth": 2, "nthread": 1, "seed": 0}, xgboost.DMatrix(x, y), 2)
    models = {
        "booster": booster,
        "classifier": xgboost.XGBClassifier(**small).fit(x, y),
        "regressor": xgboost.XGBRegressor(**small).fit(x, x[:, 1]),
        "ranker": xgboost.XGBRanker(**small).fit(x, y, group=groups),
    }
    for name, model in models.items():
        for protocol in (2, 4, 5):
            corpus.pickle(
                f"xgboost/{name}-p{protocol}.pkl",
                "xgboost",
                f"{name}; protocol {protocol}",
                model,
                protocol,
            )
        with corpus.file(f"xgboost/{name}.joblib", "xgboost", f"{name}; joblib") as path:
            joblib.dump(model, path)
    for suffix in ("json", "ubj"):
        with corpus.file(
            f"xgboost/model.{suffix}", "xgboost", f"booster saved as {suffix}"
        ) as path:
            booster.save_model(path)

    quiet = {**small, "min_child_samples": 3, "verbose": -1, "deterministic": True}
    parameters = {"verbose": -1, "num_threads": 1, "min_data_in_leaf": 3, "max_depth": 2, "seed": 0}
    data = lightgbm.Dataset(x, y)
    trained = lightgbm.train({**parameters, "objective": "binary"}, data, 2)
    models = {
        "booster": trained,
        "classifier": lightgbm.LGBMClassifier(**quiet).fit(x, y),
        "regressor": lightgbm.LGBMRegressor(**quiet).fit(x, x[:, 1]),
        "ranker": lightgbm.LGBMRanker(**quiet).fit(x, y, group=groups),
    }
    for name, model in models.items():
        for protocol in (2, 4, 5):
            corpus.pickle(
                f"lightgbm/{name}-p{protocol}.pkl",
                "lightgbm",
                f"{name}; protocol {protocol}",
                model,
                protocol,
            )
        with corpus.file(f"lightgbm/{name}.joblib", "lightgbm", f"{name}; joblib") as path:
            joblib.dump(model, path)
    with corpus.file("lightgbm/model.txt", "lightgbm", "booster saved as text") as path:
        trained.save_model(path)


def make_plain_picklers(corpus: Corpus) -> None:
    """Save plain data by dill and cloudpickle, without any function."""
    import cloudpickle
    import dill
    import numpy as np

    x = np.arange(12.0).reshape(3, 4)
    samples: dict[str, tuple[str, Any]] = {
        "config": (
            "a config dict",
            {"lr": 0.1, "layers": [4, 4], "name": "tiny", "flags": (True, None)},
        ),
        "arrays": (
            "arrays and scalars",
            {"w": x, "t": x.T, "n": np.float32(1), "d": np.dtype("f4")},
        ),
        "collections": (
            "OrderedDict, Counter, deque, defaultdict, set",
            [
                collections.OrderedDict(a=1),
                collections.Counter("aab"),
                collections.deque([1]),
                collections.defaultdict(list, a=[1]),
                {1, 2},
                frozenset([3]),
            ],
        ),
        "times": (
            "dates, Decimal, UUID, Path",
            [
                dt.datetime(2024, 2, 29, tzinfo=dt.UTC),
                decimal.Decimal("1.5"),
                uuid.UUID(int=7),
                pathlib.PurePosixPath("data/x.csv"),
            ],
        ),
        "namespaces": (
            "namespaces and random state",
            [types.SimpleNamespace(a=1), argparse.Namespace(b=2), random.Random(1)],
        ),
        "types": (
            "built-in and numpy types",
            [int, dict, np.float32, np.ndarray, collections.OrderedDict],
        ),
        "text": ("documentation with source code in it", DOCUMENTATION),
    }
    for library, module in (("dill", dill), ("cloudpickle", cloudpickle)):
        for name, (what, value) in samples.items():
            for protocol in (2, 4):
                file = f"{library}/{name}-p{protocol}.pkl"
                corpus.pickle(
                    file, library, f"{what}; protocol {protocol}", value, protocol, module.dumps
                )


def make_safetensors(corpus: Corpus) -> None:
    """Write safetensors files, among them a sharded model."""
    import numpy as np
    from safetensors.numpy import save_file

    rng = np.random.default_rng(SEED)
    codes = ["?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"]
    tensors: dict[str, Any] = {
        code.replace("?", "bool"): np.arange(6).astype(code).reshape(2, 3) for code in codes
    }
    sets: dict[str, tuple[str, dict[str, Any], dict[str, str] | None]] = {
        "dtypes": ("numpy's dtypes", tensors, None),
        "metadata": ("with metadata", tensors, {"format": "pt"}),
        "metadata-note": ("with a note", {"w": np.ones(2)}, {"note": "os.system is a word"}),
        "empty-tensor": (
            "tensors of no element",
            {"e": np.zeros((0, 4), "f4"), "w": np.ones(2, "f4")},
            None,
        ),
        "zero-dim": (
            "tensors of no dimension",
            {"step": np.array(3), "scale": np.array(0.5)},
            {"format": "np"},
        ),
        "no-tensors": ("no tensor at all", {}, {"format": "pt"}),
    }
    for name, (what, content, metadata) in sets.items():
        with corpus.file(f"safetensors/{name}.safetensors", "safetensors", what) as path:
            save_file(content, path, metadata=metadata)
    where: dict[str, str] = {}
    total = 0
    for shard in (1, 2):
        name = f"model-{shard:05d}-of-00002.safetensors"
        part = {
            f"layer.{shard}.{k}": rng.normal(size=(4, 4)).astype("f4") for k in ("weight", "bias")
        }
        with corpus.file(
            f"safetensors/sharded/{name}", "safetensors", f"shard {shard} of 2"
        ) as path:
            save_file(part, path, metadata={"format": "pt"})
        where.update(dict.fromkeys(part, name))
        total += sum(tensor.nbytes for tensor in part.values())
    index = {"metadata": {"total_size": total}, "weight_map": where}
    corpus.write(
        "safetensors/sharded/model.safetensors.index.json",
        "safetensors",
        "the shards' index",
        json.dumps(index, indent=2) + "\n",
    )
    if have("torch"):
        import torch
        from safetensors.torch import save_file as save_torch

        names = ("bfloat16", "float8_e4m3fn", "float8_e5m2", "float16", "bool", "int8", "complex64")
        with corpus.file(
            "safetensors/torch-dtypes.safetensors", "safetensors", "torch's dtypes"
        ) as path:
            save_torch(
                {n: torch.ones(2, 3).to(getattr(torch, n)) for n in names}, path, {"format": "pt"}
            )


# --- torch ----------------------------------------------------------------------------------------


@contextmanager
def steady_storage_keys() -> Iterator[None]:
    """Number storages in the order seen: the legacy format names them by memory address."""
    import torch

    original = torch._C.StorageBase.__dict__["_cdata"]
    numbers: dict[int, int] = {}

    def key(storage: Any) -> int:
        address = original.__get__(storage)
        return numbers.setdefault(address, 94_000_000_000_000 + 64 * len(numbers))

    torch.UntypedStorage._cdata = property(key)
    try:
        yield
    finally:
        del torch.UntypedStorage._cdata


def hide_paths(path: Path) -> None:
    """Put neutral paths of the same length in a file that records where sources were."""
    places = sorted({sys.prefix, sys.base_prefix, str(HERE)}, key=len, reverse=True)
    swaps = {where.encode(): b"/opt/".ljust(len(where), b"p") for where in places}

    def neutral(data: bytes) -> bytes:
        for where, instead in swaps.items():
            data = data.replace(where, instead)
        return data

    if not zipfile.is_zipfile(path):
        path.write_bytes(neutral(path.read_bytes()))
        return
    with zipfile.ZipFile(path) as old:
        entries = [(info, old.read(info)) for info in old.infolist()]
    if all(neutral(data) == data for _, data in entries):
        return
    with zipfile.ZipFile(path, "w") as new:
        for info, data in entries:
            new.writestr(info, neutral(data), compress_type=info.compress_type)


def torch_modules() -> dict[str, Any]:
    """Give a tiny module of each common kind."""
    import torch
    from torch import nn

    torch.manual_seed(SEED)
    tied = nn.ModuleDict({"embed": nn.Embedding(5, 3), "head": nn.Linear(3, 5, bias=False)})
    tied["head"].weight = tied["embed"].weight
    return {
        "linear": nn.Linear(3, 2),
        "conv-net": nn.Sequential(
            nn.Conv2d(1, 2, 3),
            nn.BatchNorm2d(2),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Dropout(0.1),
            nn.Linear(8, 2),
        ),
        "lstm": nn.LSTM(3, 4, num_layers=2, bidirectional=True),
        "gru": nn.GRU(3, 4),
        "rnn": nn.RNN(3, 4),
        "transformer-encoder": nn.TransformerEncoder(
            nn.TransformerEncoderLayer(4, 2, 8, batch_first=True), 2
        ),
        "transformer-decoder": nn.TransformerDecoderLayer(4, 2, 8, activation=nn.functional.gelu),
        "attention": nn.MultiheadAttention(4, 2),
        "embedding": nn.Embedding(6, 3, padding_idx=0),
        "embedding-bag": nn.EmbeddingBag(6, 3),
        "module-list": nn.ModuleList([nn.Linear(2, 2) for _ in range(3)]),
        "module-dict-tied": tied,
        "parameters": nn.ParameterDict(
            {"a": nn.Parameter(torch.ones(2)), "b": nn.Parameter(torch.zeros(1))}
        ),
        "norms": nn.Sequential(
            nn.LayerNorm(3), nn.GroupNorm(1, 3), nn.InstanceNorm1d(3), nn.RMSNorm(3)
        ),
        "activations": nn.Sequential(
            nn.GELU(), nn.SiLU(), nn.PReLU(), nn.Softmax(-1), nn.Hardswish(), nn.Identity()
        ),
        "convs": nn.ModuleList(
            [
                nn.Conv1d(1, 2, 3),
                nn.Conv3d(1, 1, 2),
                nn.ConvTranspose2d(1, 1, 2),
                nn.Upsample(scale_factor=2),
            ]
        ),
        "losses": nn.ModuleList(
            [
                nn.CrossEntropyLoss(),
                nn.MSELoss(),
                nn.BCEWithLogitsLoss(torch.ones(2)),
                nn.SmoothL1Loss(),
            ]
        ),
    }


def torch_tensors() -> dict[str, tuple[str, Any]]:
    """Give tensors of all dtypes and layouts, and torch's other plain objects."""
    import numpy as np
    import torch

    dense: dict[str, Any] = {}
    for name in sorted(vars(torch)):
        dtype = getattr(torch, name)
        if isinstance(dtype, torch.dtype) and not dtype.is_complex | name.startswith(("q", "bits")):
            try:
                pickle.dumps(torch.zeros(3, dtype=dtype))
            except (RuntimeError, TypeError, KeyError, NotImplementedError):
                continue
            dense[name] = torch.zeros(3, dtype=dtype)
    eye = torch.eye(3)
    base = torch.arange(12.0)
    hooked = torch.ones(2, requires_grad=True)
    hooked.grad = torch.ones(2)
    frozen = torch.nn.Parameter(torch.ones(2), requires_grad=False)
    packed = torch.nn.utils.rnn.pack_sequence([torch.ones(2), torch.ones(1)])
    tagged = torch.ones(2)
    tagged.note = "an attribute of its own"
    return {
        "dtypes": ("tensors of every dtype", dense),
        "bfloat16": ("bf16 and f16 weights", {"w": eye.bfloat16(), "h": eye.half()}),
        "complex": (
            "complex tensors, one conjugated",
            [
                torch.tensor([1 + 2j]),
                torch.tensor([1j]).conj(),
                torch.zeros(2, dtype=torch.complex128),
            ],
        ),
        "sparse-coo": ("sparse COO tensor", eye.to_sparse()),
        "sparse-csr": (
            "sparse CSR, CSC, BSR tensors",
            [eye.to_sparse_csr(), eye.to_sparse_csc(), eye.to_sparse_bsr((1, 1))],
        ),
        "quantized": (
            "quantised tensors, per tensor and per channel",
            [
                torch.quantize_per_tensor(eye, 0.1, 3, torch.qint8),
                torch.quantize_per_tensor(eye, 0.1, 3, torch.quint8),
                torch.quantize_per_channel(
                    eye, torch.ones(3) * 0.1, torch.zeros(3), 0, torch.qint8
                ),
            ],
        ),
        "parameters": (
            "parameters, buffer, gradients",
            [torch.nn.Parameter(eye), frozen, hooked, torch.nn.Buffer(base)],
        ),
        "shared": (
            "views of one storage",
            {"base": base, "rows": base.view(3, 4), "t": base.view(3, 4).t(), "part": base[2:5]},
        ),
        "shapes": (
            "empty, scalar, expanded, strided, channels-last",
            [
                torch.zeros(0, 3),
                torch.tensor(1.5),
                torch.ones(1).expand(4),
                eye[::2],
                torch.zeros(1, 2, 3, 3).to(memory_format=torch.channels_last),
            ],
        ),
        "meta": ("meta tensors", {"w": torch.empty(1_000, 1_000, device="meta")}),
        "objects": (
            "sizes, devices, dtypes, layouts",
            {
                "size": torch.Size([1, 2]),
                "device": torch.device("cpu"),
                "cuda": torch.device("cuda:0"),
                "dtype": torch.bfloat16,
                "types": [torch.Tensor, torch.nn.Parameter, torch.FloatTensor],
            },
        ),
        "layout": ("layouts", [torch.strided, torch.sparse_coo]),
        "generator-state": (
            "random generators' states",
            {
                "cpu": torch.manual_seed(1).get_state()[:400].clone(),
                "python": random.Random(1).getstate(),
            },
        ),
        "storages": ("bare storages", [torch.ones(3).untyped_storage(), torch.ones(3).storage()]),
        "mixed": (
            "numpy scalars, arrays and plain data mixed",
            {
                "loss": np.float64(0.5),
                "w": np.ones(3),
                "step": 3,
                "names": ("a", "b"),
                "args": argparse.Namespace(lr=0.1),
                "none": None,
                "path": pathlib.PurePosixPath("out/last.pt"),
                "t": torch.ones(2),
                "k": collections.Counter("ab"),
            },
        ),
        "attributes": ("a tensor with attributes of its own", tagged),
        "packed-sequence": ("a packed sequence", packed),
        "dataset": (
            "a TensorDataset and a Subset",
            torch.utils.data.Subset(torch.utils.data.TensorDataset(eye, torch.arange(3)), [0, 2]),
        ),
        "distribution": (
            "distributions",
            [torch.distributions.Normal(0.0, 1.0), torch.distributions.Categorical(torch.ones(3))],
        ),
        "nested": (
            "a nested (jagged) tensor",
            torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]),
        ),
        "plain": ("no tensor at all", {"epoch": 3, "best": 0.91, "labels": ["cat", "dog"]}),
    }


def make_torch(corpus: Corpus) -> None:
    """Write tensors, modules and checkpoints by torch.save."""
    import torch
    from torch import nn, optim

    def save(
        name: str, what: str, value: object, *, may_fail: bool = False, **options: Any
    ) -> None:
        listed = corpus.file(f"torch/{name}", "torch", what, may_fail=may_fail)
        with listed as path, steady_storage_keys():
            torch.save(value, path, **options)
            hide_paths(path)

    legacy = {"_use_new_zipfile_serialization": False}
    for name, (what, value) in torch_tensors().items():
        save(f"tensors/{name}.pt", what, value)
        if name == "dtypes":  # the legacy format can't be read back for the newer ones
            value = {key: value[key] for key in LEGACY_DTYPES}
        if name not in ("storages", "nested"):  # nor for these
            save(f"tensors/{name}-legacy.pt", f"{what}; legacy format", value, **legacy)
    both = {"w": torch.ones(2), "n": nn.Parameter(torch.zeros(2)), "h": torch.ones(2).half()}
    for protocol in (2, 3, 4, 5):
        save(
            f"protocols/zip-p{protocol}.pt",
            f"zip format, protocol {protocol}",
            both,
            pickle_protocol=protocol,
        )
        save(
            f"protocols/legacy-p{protocol}.pt",
            f"legacy format, protocol {protocol}",
            both,
            pickle_protocol=protocol,
            **legacy,
        )
    for protocol in (2, 4):
        name = f"torch/protocols/plain-pickle-p{protocol}.pkl"
        with steady_storage_keys():
            corpus.pickle(name, "torch", "tensors by plain pickle", both, protocol)

    for name, module in torch_modules().items():
        save(f"state-dicts/{name}.pt", f"state dict of {name}", module.state_dict())
        save(f"modules/{name}.pt", f"a whole module, {name}", module)
    for name in ("linear", "conv-net", "lstm", "transformer-encoder"):
        module = torch_modules()[name]
        save(
            f"state-dicts/{name}-legacy.pth",
            f"state dict of {name}, legacy format",
            module.state_dict(),
            **legacy,
        )
        save(
            f"modules/{name}-legacy.pth", f"a whole module, {name}, legacy format", module, **legacy
        )
        save(
            f"state-dicts/{name}-p4.bin",
            f"state dict of {name}, protocol 4",
            module.state_dict(),
            pickle_protocol=4,
        )
    normed = nn.utils.parametrizations.weight_norm(nn.Linear(2, 2))
    save("state-dicts/weight-norm.pt", "state dict with parametrisations", normed.state_dict())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dynamic = torch.ao.quantization.quantize_dynamic(
            nn.Sequential(nn.Linear(4, 4)), dtype=torch.qint8
        )
    save(
        "state-dicts/quantized-dynamic.pt",
        "state dict of a dynamically quantised model",
        dynamic.state_dict(),
    )
    save("modules/quantized-dynamic.pt", "a dynamically quantised module", dynamic, may_fail=True)

    kinds: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
        "sgd": (optim.SGD, {"lr": 0.1, "momentum": 0.9}),
        "adam": (optim.Adam, {"lr": 1e-3}),
        "adamw": (optim.AdamW, {"lr": 1e-3, "amsgrad": True}),
        "lbfgs": (optim.LBFGS, {}),
        "rmsprop": (optim.RMSprop, {}),
        "adagrad": (optim.Adagrad, {}),
    }
    for name, (kind, options) in kinds.items():
        torch.manual_seed(SEED)
        model = nn.Linear(3, 2)
        optimizer = kind(model.parameters(), **options)

        def closure(model: Any = model, optimizer: Any = optimizer) -> Any:
            optimizer.zero_grad()
            loss = model(torch.ones(1, 3)).sum()
            loss.backward()
            return loss

        optimizer.step(closure)
        save(f"optimizers/{name}-state.pt", f"state dict of {name}", optimizer.state_dict())
        save(f"optimizers/{name}-object.pt", f"a whole optimizer, {name}", optimizer)

    schedules: dict[str, Callable[[Any], Any]] = {
        "step": lambda o: optim.lr_scheduler.StepLR(o, 3),
        "cosine": lambda o: optim.lr_scheduler.CosineAnnealingLR(o, 10),
        "one-cycle": lambda o: optim.lr_scheduler.OneCycleLR(o, 0.1, total_steps=10),
        "plateau": lambda o: optim.lr_scheduler.ReduceLROnPlateau(o),
        "lambda": lambda o: optim.lr_scheduler.LambdaLR(o, lambda step: 1.0),
        "sequential": lambda o: optim.lr_scheduler.SequentialLR(
            o, [optim.lr_scheduler.LinearLR(o), optim.lr_scheduler.ExponentialLR(o, 0.9)], [2]
        ),
    }
    for name, build in schedules.items():
        optimizer = optim.SGD(nn.Linear(2, 2).parameters(), lr=0.1, momentum=0.9)
        scheduler = build(optimizer)
        save(f"schedulers/{name}.pt", f"state dict of the {name} schedule", scheduler.state_dict())

    torch.manual_seed(SEED)
    model = torch_modules()["conv-net"]
    optimizer = optim.AdamW(model.parameters(), lr=1e-3)
    scheduler = optim.lr_scheduler.StepLR(optimizer, 1)
    model(torch.ones(2, 1, 6, 6)).sum().backward()
    optimizer.step()
    save(
        "checkpoints/lightning.ckpt",
        "a checkpoint as Lightning writes it",
        {
            "epoch": 1,
            "global_step": 20,
            "pytorch-lightning_version": "2.5.0",
            "state_dict": model.state_dict(),
            "loops": {
                "fit_loop": {
                    "state_dict": {},
                    "epoch_progress": {"total": {"ready": 2, "completed": 1}},
                }
            },
            "callbacks": {
                "ModelCheckpoint{'monitor': 'val_loss'}": {
                    "best_model_score": torch.tensor(0.5),
                    "best_model_path": "out/best.ckpt",
                }
            },
            "optimizer_states": [optimizer.state_dict()],
            "lr_schedulers": [scheduler.state_dict()],
            "hparams_name": "kwargs",
            "hyper_parameters": {"lr": 1e-3, "layers": [4, 4], "args": argparse.Namespace(seed=1)},
        },
    )
    save(
        "checkpoints/training.tar",
        "a training checkpoint with the suffix .tar",
        {
            "epoch": 5,
            "arch": "resnet18",
            "state_dict": collections.OrderedDict(model.state_dict()),
            "best_acc1": torch.tensor(71.5),
            "optimizer": optimizer.state_dict(),
            "rng": torch.get_rng_state()[:64].clone(),
            "time": dt.datetime(2024, 2, 29),
        },
    )
    save(
        "checkpoints/whole-model-and-optimizer.pth",
        "model and optimizer as objects",
        {"model": model, "optimizer": optimizer},
    )
    save(
        "checkpoints/ema.pth",
        "an averaged model",
        optim.swa_utils.AveragedModel(nn.Linear(2, 2)),
        may_fail=True,
    )
    save(
        "checkpoints/fairseq-style.pt",
        "a checkpoint with an argparse namespace",
        {
            "args": argparse.Namespace(arch="transformer", lr=[5e-4], task="translation"),
            "model": nn.Linear(2, 2).state_dict(),
            "extra_state": {"train_iterator": {"epoch": 3}, "val_loss": 2.0},
            "optimizer_history": [{"num_updates": 9}],
        },
    )
    save(
        "checkpoints/grad-scaler.pt",
        "a gradient scaler's state",
        {"scale": 65_536.0, "growth_factor": 2.0, "_growth_tracker": 3},
    )
    make_torchscript(corpus)


def make_torchscript(corpus: Corpus) -> None:
    """Write TorchScript archives and an exported program."""
    import torch
    from torch import nn

    torch.manual_seed(SEED)

    class Gate(nn.Module):
        """A module with control flow, a constant and an attribute."""

        __constants__ = ("scale",)

        def __init__(self) -> None:
            super().__init__()
            self.scale = 0.5
            self.inner = nn.Linear(3, 3)
            self.register_buffer("offset", torch.ones(3))
            self.names = {"a": 1, "b": 2}

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if bool(x.sum() > 0):
                x = self.inner(x) * self.scale
            return x + self.offset + float(self.names["a"])

    stack = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)).eval()
    lstm = nn.LSTM(3, 4).eval()
    ones = torch.ones(1, 3)
    programs: dict[str, tuple[str, Callable[[], Any]]] = {
        "scripted": ("a scripted Sequential", lambda: torch.jit.script(stack)),
        "scripted-gate": ("a scripted module with control flow", lambda: torch.jit.script(Gate())),
        "scripted-lstm": ("a scripted LSTM", lambda: torch.jit.script(lstm)),
        "traced": ("a traced Sequential", lambda: torch.jit.trace(stack, ones)),
        "traced-constants": (
            "a traced module with constants",
            lambda: torch.jit.trace(Gate().eval(), ones, check_trace=False),
        ),
        "frozen": (
            "a frozen module: its weights are constants",
            lambda: torch.jit.freeze(torch.jit.script(stack)),
        ),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, (what, build) in programs.items():
            with corpus.file(f"torch/torchscript/{name}.pt", "torch", what) as path:
                torch.jit.save(build(), path, _extra_files={"labels.txt": "cat\ndog\n"})
                hide_paths(path)
        with corpus.file(
            "torch/exported/linear.pt2", "torch", "torch.export", may_fail=True
        ) as path:
            torch.export.save(torch.export.export(stack, (ones,)), path)
            hide_paths(path)


# --- transformers ---------------------------------------------------------------------------------


def make_transformers(corpus: Corpus) -> None:
    """Write what the transformers library leaves in a model's folder."""
    import numpy as np
    import torch
    import transformers
    from tokenizers import Tokenizer, models, pre_tokenizers

    def save(name: str, what: str, value: object) -> None:
        with corpus.file(f"transformers/{name}", "transformers", what) as path:
            torch.save(value, path)

    tiny = {
        "vocab_size": 24,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "hidden_size": 8,
        "intermediate_size": 8,
        "max_position_embeddings": 16,
    }
    configs = {
        "bert": transformers.BertConfig(**tiny),
        "gpt2": transformers.GPT2Config(
            vocab_size=24,
            n_positions=16,
            n_embd=8,
            n_layer=1,
            n_head=2,
            bos_token_id=0,
            eos_token_id=0,
        ),
        "llama": transformers.LlamaConfig(**tiny, num_key_value_heads=1),
    }
    kinds = {
        "bert": transformers.BertForSequenceClassification,
        "gpt2": transformers.GPT2LMHeadModel,
        "llama": transformers.LlamaForCausalLM,
    }
    for name, config in configs.items():
        torch.manual_seed(SEED)
        model = kinds[name](config).eval()
        folder = corpus.root / "transformers" / name
        folder.mkdir(parents=True, exist_ok=True)
        model.save_pretrained(folder)
        for path in sorted(folder.iterdir()):
            with corpus.file(
                f"transformers/{name}/{path.name}", "transformers", f"{name}: save_pretrained"
            ):
                pass
        save(f"{name}/pytorch_model.bin", f"{name}: state dict", model.state_dict())
        save(f"{name}/model-object.pt", f"{name}: the whole model object", model)
        for protocol in (2, 4):
            corpus.pickle(
                f"transformers/{name}/config-p{protocol}.pkl",
                "transformers",
                f"{name}: config object, protocol {protocol}",
                config,
                protocol,
            )

    quiet = {"output_dir": "out", "report_to": [], "use_cpu": True, "seed": 1}
    for name, more in (
        ("default", {}),
        (
            "busy",
            {
                "num_train_epochs": 2,
                "eval_strategy": "steps",
                "save_strategy": "epoch",
                "lr_scheduler_type": "cosine",
                "optim": "adamw_torch",
                "label_names": ["labels"],
                "warmup_steps": 5,
                "run_name": "tiny",
            },
        ),
    ):
        save(
            f"trainer/{name}/training_args.bin",
            "TrainingArguments",
            transformers.TrainingArguments(**quiet, **more),
        )
    with corpus.file(
        "transformers/trainer/legacy/training_args.bin",
        "transformers",
        "TrainingArguments, legacy format",
    ) as path:
        torch.save(
            transformers.TrainingArguments(**quiet), path, _use_new_zipfile_serialization=False
        )
    save(
        "trainer/seq2seq/training_args.bin",
        "Seq2SeqTrainingArguments",
        transformers.Seq2SeqTrainingArguments(
            **quiet, generation_config=transformers.GenerationConfig(max_length=5)
        ),
    )

    model = torch.nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-5)
    scheduler = transformers.get_linear_schedule_with_warmup(optimizer, 2, 10)
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    scheduler.step()
    save("trainer/optimizer.pt", "the Trainer's optimizer state", optimizer.state_dict())
    save("trainer/scheduler.pt", "the Trainer's schedule state", scheduler.state_dict())
    random.seed(SEED)
    np.random.seed(SEED % 2**32)
    save(
        "trainer/rng_state.pth",
        "the Trainer's random states",
        {
            "python": random.getstate(),
            "numpy": np.random.get_state(),
            "cpu": torch.manual_seed(SEED).get_state(),
        },
    )
    state = transformers.TrainerState(
        epoch=1.0, global_step=3, log_history=[{"loss": 0.5, "step": 1}]
    )
    with corpus.file(
        "transformers/trainer/trainer_state.json", "transformers", "TrainerState as JSON"
    ) as path:
        state.save_to_json(str(path))
    corpus.pickle("transformers/trainer-state.pkl", "transformers", "TrainerState pickled", state)
    corpus.pickle(
        "transformers/generation-config.pkl",
        "transformers",
        "GenerationConfig pickled",
        transformers.GenerationConfig(max_length=9),
    )
    outputs = transformers.modeling_outputs.BaseModelOutput(last_hidden_state=torch.ones(1, 2))
    save("model-output.pt", "a ModelOutput", outputs)
    encoding = transformers.BatchEncoding({"input_ids": [[1, 2]], "attention_mask": [[1, 1]]})
    corpus.pickle("transformers/batch-encoding.pkl", "transformers", "a BatchEncoding", encoding)

    vocabulary = {token: i for i, token in enumerate(token_list(300))}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend,
        unk_token="[UNK]",
        pad_token="[PAD]",
        cls_token="[CLS]",
        model_max_length=16,
    )
    for protocol in (2, 4):
        with corpus.file(
            f"transformers/tokenizer-p{protocol}.pkl",
            "transformers",
            f"a fast tokenizer pickled, protocol {protocol}",
            may_fail=True,
        ) as path:
            path.write_bytes(pickle.dumps(fast, protocol))
    corpus.pickle(
        "transformers/tokenizers-backend.pkl",
        "tokenizers",
        "the tokenizers library's object",
        backend,
    )
    folder = corpus.root / "transformers" / "tokenizer"
    folder.mkdir(parents=True, exist_ok=True)
    fast.save_pretrained(folder)
    for path in sorted(folder.iterdir()):
        with corpus.file(
            f"transformers/tokenizer/{path.name}", "transformers", "tokenizer: save_pretrained"
        ):
            pass


# --- archives -------------------------------------------------------------------------------------


def make_archives(corpus: Corpus) -> None:
    """Pack files of the corpus by the standard library's archivers."""
    names = [
        "stdlib/scalars-p4.pkl",
        "numpy/structured.npy",
        "lookalikes/README.md",
        "lookalikes/config.json",
    ]
    names += ["safetensors/metadata.safetensors", "joblib/mixed.joblib", "numpy/plain.npz"]
    names += ["torch/state-dicts/linear.pt"] if have("torch") else []
    contents = {f"model/{Path(name).name}": (corpus.root / name).read_bytes() for name in names}

    def zipped(members: Mapping[str, bytes], method: int) -> bytes:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", method) as archive:
            for name, data in members.items():
                archive.writestr(name, data)
        return buffer.getvalue()

    def tarred(members: Mapping[str, bytes], mode: str) -> bytes:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode=cast("Any", mode)) as archive:
            for name, data in members.items():
                member = tarfile.TarInfo(name)
                member.size, member.mtime = len(data), int(CLOCK)
                archive.addfile(member, io.BytesIO(data))
        return buffer.getvalue()

    corpus.write(
        "archives/stored.zip", "python", "a stored zip", zipped(contents, zipfile.ZIP_STORED)
    )
    for method in ("DEFLATED", "BZIP2", "LZMA"):
        data = zipped(contents, getattr(zipfile, f"ZIP_{method}"))
        corpus.write(f"archives/{method.lower()}.zip", "python", f"a zip, {method.lower()}", data)
    for suffix, mode in (
        ("tar", "w"),
        ("tar.gz", "w:gz"),
        ("tar.bz2", "w:bz2"),
        ("tar.xz", "w:xz"),
    ):
        corpus.write(f"archives/model.{suffix}", "python", f"a {suffix}", tarred(contents, mode))
    inner = {"inner/model.zip": zipped(contents, zipfile.ZIP_DEFLATED), "notes.txt": b"cat\ndog\n"}
    corpus.write("archives/zip-in-tar.tar.gz", "python", "a zip in a tar.gz", tarred(inner, "w:gz"))
    corpus.write(
        "archives/empty.zip", "python", "a zip without members", zipped({}, zipfile.ZIP_STORED)
    )
    corpus.write(
        "archives/README.md.gz",
        "python",
        "a text, gzip",
        gzip.compress(contents["model/README.md"]),
    )


# --- the run --------------------------------------------------------------------------------------


def layers(data: bytes, depth: int = 0) -> Iterator[bytes]:
    """Give a file's bytes and those inside its compressed or archived layers."""
    yield data
    if depth > 3:
        return
    inside: list[bytes] = []
    if data[:4] == b"PK\x03\x04":
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            inside = [archive.read(info) for info in archive.infolist()]
    elif data[:2] == b"\x1f\x8b":
        inside = [gzip.decompress(data)]
    elif data[:3] == b"BZh":
        inside = [bz2.decompress(data)]
    elif data[:6] == b"\xfd7zXZ\0" or data[:3] == b"\x5d\0\0":
        inside = [lzma.decompress(data)]
    elif data[:4] == b"\x04\x22\x4d\x18":
        import lz4.frame

        inside = [lz4.frame.decompress(data)]
    elif data[:1] == b"\x78":
        with_zlib = zlib.decompressobj()
        try:
            inside = [with_zlib.decompress(data)]
        except zlib.error:
            inside = []
    for part in inside:
        yield from layers(part, depth + 1)


def machine_paths(paths: Sequence[Path]) -> list[str]:
    """Find files that hold a path or the name of the machine that made them."""
    host = socket.gethostname().encode()
    needles: tuple[bytes, ...] = (*MACHINE_PATHS, host) if len(host) > 5 else MACHINE_PATHS
    needles += tuple(needle.decode().encode("utf-32-le") for needle in needles)
    return [
        f"{path.relative_to(HERE)}: {needle!r}"
        for path in paths
        for needle in needles
        if any(needle in layer for layer in layers(path.read_bytes()))
    ]


def write_lists(corpus: Corpus, older: bool) -> None:
    """Write the manifest and the versions, keeping what the other environment's run wrote."""
    manifest = HERE / "manifest.tsv"
    head = "path\tmade with\twhat it is"
    kept: list[str] = []
    if manifest.exists():
        kept = [
            line
            for line in manifest.read_text().splitlines()[1:]
            if line.startswith("files/older/") is not older
        ]
    lines = sorted({*kept, *("\t".join(row) for row in corpus.rows)})
    manifest.write_text("\n".join([head, *lines]) + "\n")

    titles = ("# files/ (all but files/older/)", "# files/older/")
    versions = HERE / "versions.txt"
    blocks = dict.fromkeys(titles, "")
    if versions.exists():
        for block in versions.read_text().split("\n\n"):
            title, _, rest = block.strip().partition("\n")
            if title in blocks:
                blocks[title] = rest
    found = [f"python=={platform.python_version()}"]
    for library in LIBRARIES:
        try:
            found.append(f"{library}=={importlib.metadata.version(library)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    blocks[titles[older]] = "\n".join(found)
    versions.write_text(
        "\n\n".join(f"{title}\n{rest}" for title, rest in blocks.items() if rest) + "\n"
    )


MAKERS: Mapping[Callable[[Corpus], None], tuple[str, ...]] = {
    make_stdlib: (),
    make_lookalikes: (),
    make_numpy: ("numpy",),
    make_pandas: ("pandas",),
    make_scipy: ("scipy",),
    make_joblib: ("joblib", "sklearn"),
    make_sklearn: ("joblib", "sklearn"),
    make_boosters: ("xgboost", "lightgbm"),
    make_plain_picklers: ("dill", "cloudpickle"),
    make_safetensors: ("safetensors",),
    make_torch: ("torch",),
    make_transformers: ("torch", "transformers"),
    make_archives: ("numpy", "safetensors", "joblib"),
}
NOT_OLDER = (make_stdlib, make_lookalikes, make_archives)


def main() -> int:
    """Write the corpus; return 1 if a file could not be written or holds a machine's path."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--older", action="store_true", help="write files/older/ only")
    older: bool = parser.parse_args().older
    if os.environ.get("PYTHONHASHSEED") != "0":
        os.environ.update(PYTHONHASHSEED="0", OMP_NUM_THREADS="1")
        os.execv(sys.executable, [sys.executable, *sys.argv])

    warnings.simplefilter("ignore")
    time.time = lambda: CLOCK  # compressed files and search results record the time
    root = FILES / "older" if older else FILES
    for old in root.iterdir() if root.exists() else ():
        if older or old.name != "older":
            shutil.rmtree(old)
    corpus = Corpus(root)
    for make, modules in MAKERS.items():
        if older and make in NOT_OLDER:
            continue
        if not have(*modules):
            corpus.absent.append(f"{make.__name__}: not installed here")
            continue
        make(corpus)
    write_lists(corpus, older)

    paths = [HERE / row[0] for row in corpus.rows]
    leaks = machine_paths(paths)
    sizes = {path: path.stat().st_size for path in paths}
    for line in corpus.absent:
        print("absent:", line)
    for line in corpus.failed:
        print("FAILED:", line)
    for line in leaks:
        print("MACHINE PATH:", line)
    for path in sorted(paths, key=sizes.__getitem__)[-8:]:
        print(f"{sizes[path]:>8} {path.relative_to(HERE)}")
    print(f"{len(paths)} files, {sum(sizes.values()):,} bytes")
    return 1 if corpus.failed or leaks else 0


if __name__ == "__main__":
    sys.exit(main())
