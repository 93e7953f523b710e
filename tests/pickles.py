"""Pickles made by code, opcode by opcode. Every payload is harmless: `id`, `true`, a print."""

from __future__ import annotations

import base64
import marshal
import pickle
import struct
import zlib


def text(value: str) -> bytes:
    """SHORT_BINUNICODE or BINUNICODE."""
    data = value.encode("utf-8", "surrogatepass")
    if len(data) < 256:
        return b"\x8c" + bytes([len(data)]) + data
    return b"X" + struct.pack("<I", len(data)) + data


def blob(data: bytes) -> bytes:
    """SHORT_BINBYTES or BINBYTES."""
    if len(data) < 256:
        return b"C" + bytes([len(data)]) + data
    return b"B" + struct.pack("<I", len(data)) + data


def name(module: str, attribute: str) -> bytes:
    """STACK_GLOBAL."""
    return text(module) + text(attribute) + b"\x93"


def old_name(module: str, attribute: str) -> bytes:
    """GLOBAL."""
    return f"c{module}\n{attribute}\n".encode()


def many(*values: bytes) -> bytes:
    """TUPLE of any length."""
    return b"(" + b"".join(values) + b"t"


def call(function: bytes, *arguments: bytes) -> bytes:
    """REDUCE."""
    return function + many(*arguments) + b"R"


def whole(body: bytes, protocol: int = 4) -> bytes:
    """A pickle with header and STOP."""
    return (b"\x80" + bytes([protocol]) if protocol > 1 else b"") + body + b"."


SYSTEM = name("os", "system")
ID = text("id")
RUNS = whole(call(SYSTEM, ID))
OS = call(name("importlib", "import_module"), text("os"))

BLOCKED: dict[str, tuple[bytes, str]] = {
    "reduce": (RUNS, "os.system"),
    "protocol 0": (b"cos\nsystem\n(S'id'\ntR.", "os.system"),
    "no header": (b"cposix\nsystem\n(X\x02\x00\x00\x00idtR.", "posix.system"),
    "windows": (whole(call(old_name("nt", "system"), ID), 2), "nt.system"),
    "name from the memo": (
        whole(text("os") + b"\x940" + text("system") + b"\x940h\x00h\x01\x93" + many(ID) + b"R"),
        "os.system",
    ),
    "long memo index": (
        whole(text("os") + b"r\xff\x00\x00\x000" + b"j\xff\x00\x00\x00" + text("system") + b"\x93"
              + many(ID) + b"R"),
        "os.system",
    ),
    "name from a memo that numbers fill": (
        whole(ID + b"q\x00(" + b"".join(
            text(word) + bytes([0x71, place]) for place, word in enumerate(
                ("os", "system", "one", "two", "three", "collections", "OrderedDict"), 1))
            + b"1h\x01h\x02\x93" + many(ID) + b"R"),
        "os.system",
    ),
    "inst": (b"(S'id'\nios\nsystem\n.", "os.system"),
    "obj": (whole(b"(" + old_name("os", "system") + ID + b"o", 1), "os.system"),
    "newobj": (whole(name("subprocess", "Popen") + many(ID) + b"\x81"), "subprocess.Popen"),
    "newobj_ex": (
        whole(name("subprocess", "Popen") + many(ID) + b"}\x92"), "subprocess.Popen",
    ),
    "eval": (whole(call(name("builtins", "eval"), text("print('harmless')"))), "builtins.eval"),
    "python 2 name": (whole(call(old_name("__builtin__", "eval"), text("1")), 2), "eval"),
    "breaks after the payload": (b"\x80\x04" + call(SYSTEM, ID) + b"\xff\xff", "os.system"),
    "ends after the payload": (b"\x80\x04" + call(SYSTEM, ID), "os.system"),
    "underflow after the payload": (b"\x80\x04" + call(SYSTEM, ID) + b"000R.", "os.system"),
    "second pickle": (pickle.dumps({"a": 1}) + RUNS, "os.system"),
    "third pickle": (pickle.dumps(1) + pickle.dumps(2) + RUNS, "os.system"),
    "after junk": (pickle.dumps({"a": 1}) + b"\x00" * 37 + RUNS, "os.system"),
    "in bytes": (whole(blob(RUNS)), "os.system"),
    "in base64": (whole(text(base64.b64encode(RUNS).decode())), "os.system"),
    "in hexadecimal": (whole(text(RUNS.hex())), "os.system"),
    "compressed": (whole(blob(zlib.compress(RUNS))), "os.system"),
    "compressed in base64": (
        whole(text(base64.b64encode(zlib.compress(RUNS)).decode())), "os.system",
    ),
    "dotted name": (whole(call(name("torch", "serialization.os.system"), ID)), "os.system"),
    "builtins of a module": (
        whole(call(name("numpy", "__builtins__.get"), text("eval"))), "numpy.__builtins__",
    ),
    "getattr": (
        whole(call(call(name("builtins", "getattr"), OS, text("system")), ID)), "os.system",
    ),
    "attrgetter": (
        whole(call(call(call(name("operator", "attrgetter"), text("system")), OS), ID)),
        "os.system",
    ),
    "methodcaller": (
        whole(call(call(name("operator", "methodcaller"), text("system"), ID), OS)), "os.system",
    ),
    "partial": (whole(call(call(name("functools", "partial"), SYSTEM, ID))), "os.system"),
    "map": (whole(call(name("builtins", "map"), SYSTEM, b"](" + ID + b"e")), "os.system"),
    "reduce over getattr": (
        whole(call(name("functools", "reduce"), name("builtins", "getattr"),
                   b"](" + OS + text("system") + b"e")),
        "os.system",
    ),
    "joined name": (
        whole(text("os") + call(name("operator", "add"), text("sys"), text("tem")) + b"\x93"
              + many(ID) + b"R"),
        "os.system",
    ),
    "name joined from a long list": (
        whole(call(call(name("builtins", "getattr"), OS,
              call(call(name("builtins", "getattr"), text(""), text("join")),
                   b"](" + b"".join(text(c) for c in "system") + b"e")), ID)),
        "os.system",
    ),
    "name in base64": (
        whole(call(call(name("builtins", "getattr"), OS,
              call(call(name("builtins", "getattr"),
                        call(name("base64", "b64decode"),
                             text(base64.b64encode(b"system").decode())), text("decode")))), ID)),
        "os.system",
    ),
    "name that cannot be worked out": (
        whole(call(name("random", "choice"), text("ab")) + text("system") + b"\x93" + many(ID)
              + b"R"),
        "name could not be worked out",
    ),
    "state of a module": (
        whole(call(name("importlib", "import_module"), text("json")) + b"}" + text("loads")
              + text("x") + b"sb"),
        "json",
    ),
    "state of an imported class": (
        whole(name("collections", "OrderedDict") + b"}" + text("get") + SYSTEM + b"sb"),
        "collections.OrderedDict",
    ),
    "hidden in a long run of numbers": (
        whole(b"](" + b"".join(b"J" + struct.pack("<i", i) for i in range(2_000)) + b"e0"
              + call(SYSTEM, ID) + b"0](" + b"K\x01" * 5_000 + b"e"),
        "os.system",
    ),
    "name inside a run": (
        whole(b"](" + b"".join(b"K\x01" for _ in range(80)) + text("os") + b"\x94" + text("system")
              + b"\x94" + b"K\x01" * 80 + b"e0h\x00h\x01\x93" + many(ID) + b"R"),
        "os.system",
    ),
    "long frame": (b"\x80\x04\x95\xff\xff\xff\x00\x00\x00\x00\x00" + RUNS[2:], "os.system"),
    "function argument": (
        whole(call(name("torch._tensor", "_rebuild_from_type_v2"), SYSTEM,
                   name("torch", "Tensor"), many(ID), b"N")),
        "os.system",
    ),
}  # fmt: skip

CODE = marshal.dumps(compile("import os\nos.system('id')\n", "x", "exec"))
BLOCKED["bytecode in bytes"] = (whole(blob(CODE)), "os")
BLOCKED["bytecode in base64"] = (whole(text(base64.b64encode(CODE).decode())), "os")

REVIEWED: dict[str, tuple[bytes, str]] = {
    "own class": (whole(name("mymodel.layers", "Net") + b")\x81"), "mymodel.layers.Net"),
    "extension": (whole(b"\x82\x01" + b")R"), "extension 1"),
    "unknown function": (whole(call(name("somepkg", "go"), ID)), "somepkg.go"),
}

QUIET: dict[str, bytes] = {
    "plain": pickle.dumps({"a": [1, 2.5, "x", None, True, (1, 2, 3)], "b": {1, 2}}),
    "words that look hostile": pickle.dumps(["os.system('rm -rf /')", "eval", "__import__('os')"]),
    "python source as data": pickle.dumps({"doc": "import os\n\ndef f():\n    os.system('id')\n"}),
    "ordered dict": whole(
        name("collections", "OrderedDict") + b")R" + b"(" + text("w") + b"K\x01" + b"u"
    ),
    "base64 of text": pickle.dumps(base64.b64encode(b"just some ordinary text " * 9).decode()),
    "vocabulary": pickle.dumps({f"tok{i:05}": i for i in range(5_000)}),
    "every protocol 0": pickle.dumps([1, 1.5, "é", b"b", True, None, 10**40], protocol=0),
}
