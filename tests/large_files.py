"""Files of many gigabytes whose headers are real and whose tensors are zeros that nobody stores.

A `Sparse` file is a few pieces and a size. It can be read as a blob that counts what is read of
it, and written to a disk, where the file system keeps the pieces alone.
"""

from __future__ import annotations

import json
import struct
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import flatbuffers
import pickles
from protobufs import message, varint

MIB = 1 << 20
GIB = 1 << 30


@dataclass
class Sparse:
    """A blob of zeros with pieces in it. `taken` counts the bytes that were read."""

    path: str
    pieces: list[tuple[int, bytes]] = field(default_factory=list)
    size: int = 0
    role: str = ""
    taken: int = 0

    def add(self, data: bytes) -> Sparse:
        """Append bytes."""
        self.pieces.append((self.size, data))
        self.size += len(data)
        return self

    def zeros(self, n: int) -> Sparse:
        """Append zeros."""
        self.size += n
        return self

    def join(self, other: Sparse) -> Sparse:
        """Append another such file."""
        self.pieces += [(self.size + at, data) for at, data in other.pieces]
        self.size += other.size
        return self

    def read(self, offset: int, n: int) -> bytes:
        """See `Blob.read`."""
        n = max(0, min(n, self.size - offset))
        self.taken += n
        made = bytearray(n)
        for at, data in self.pieces:
            start, stop = max(at, offset), min(at + len(data), offset + n)
            if start < stop:
                made[start - offset : stop - offset] = data[start - at : stop - at]
        return bytes(made)

    def write(self, folder: Path) -> Path:
        """Put it on a disk."""
        place = folder / self.path
        place.parent.mkdir(parents=True, exist_ok=True)
        with place.open("wb") as file:
            file.truncate(self.size)
            for at, data in self.pieces:
                file.seek(at)
                file.write(data)
        return place


def safetensors(path: str, size: int, layer: int = 0) -> Sparse:
    """64 tensors of bfloat16."""
    rows = size // 64 // 2 // 4096
    step = rows * 4096 * 2
    header = {
        f"model.layers.{layer}.mlp.experts.{i}.weight": {
            "dtype": "BF16",
            "shape": [rows, 4096],
            "data_offsets": [i * step, (i + 1) * step],
        }
        for i in range(64)
    }
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return Sparse(path).add(struct.pack("<Q", len(text)) + text).zeros(64 * step)


def zipped(path: str, members: list[Sparse]) -> Sparse:
    """Stored members, all in zip64, aligned to 64 bytes; their checksums are left at zero, as
    torch does where it is told not to compute them."""
    made, directory = Sparse(path), b""
    for member in members:
        name = member.path.encode()
        start = made.size
        padding = -(start + 30 + len(name) + 20 + 4) % 64
        extra = struct.pack("<HHQQ", 1, 16, member.size, member.size)
        extra += struct.pack("<HH", 0x4246, padding) + b"Z" * padding
        crc = _checksum(member)
        fixed = struct.pack("<HHHHHI", 45, 0, 0, 0, 0x21, crc)
        limits = (0xFFFFFFFF, 0xFFFFFFFF)
        made.add(b"PK\x03\x04" + fixed + struct.pack("<IIHH", *limits, len(name), len(extra)))
        made.add(name + extra).join(member)
        listed = struct.pack("<HHQQQ", 1, 24, member.size, member.size, start)
        directory += b"PK\x01\x02" + struct.pack("<H", 45) + fixed
        directory += struct.pack("<IIHHHHHII", *limits, len(name), len(listed), 0, 0, 0, 0,
                                 0xFFFFFFFF) + name + listed  # fmt: skip
    start, count = made.size, len(members)
    made.add(directory)
    end = made.size
    made.add(b"PK\x06\x06" + struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, count, count,
                                         len(directory), start))  # fmt: skip
    made.add(b"PK\x06\x07" + struct.pack("<IQI", 0, end, 1))
    return made.add(b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF,
                                                0xFFFFFFFF, 0))  # fmt: skip


def _checksum(member: Sparse) -> int:
    import zlib

    return zlib.crc32(member.read(0, member.size)) if member.size < MIB else 0


def _rebuild(key: str, count: int) -> bytes:
    """What torch pickles of a tensor: its storage by persistent id, its shape and strides."""
    storage = pickles.many(pickles.text("storage"), pickles.name("torch", "FloatStorage"),
                           pickles.text(key), pickles.text("cpu"), _long(count)) + b"Q"  # fmt: skip
    hooks = pickles.call(pickles.name("collections", "OrderedDict"))
    return pickles.call(
        pickles.name("torch._utils", "_rebuild_tensor_v2"), storage, b"K\0",
        pickles.many(_long(count)), pickles.many(b"K\1"), b"\x89", hooks,
    )  # fmt: skip


def _long(value: int) -> bytes:
    data = value.to_bytes(value.bit_length() // 8 + 1, "little")
    return b"\x8a" + bytes([len(data)]) + data


def state_dict(storages: int, size: int) -> bytes:
    """The pickle of a dict of tensors, each a storage of `size` bytes."""
    body = b"}("
    for i in range(storages):
        body += pickles.text(f"layer.{i}.weight") + _rebuild(str(i), size // 4)
    return pickles.whole(body + b"u", protocol=2)


def torch_zip(path: str, size: int) -> Sparse:
    """16 storages."""
    members = [Sparse("archive/data.pkl").add(state_dict(16, size // 16)),
               Sparse("archive/byteorder").add(b"little")]  # fmt: skip
    members += [Sparse(f"archive/data/{i}").zeros(size // 16) for i in range(16)]
    return zipped(path, [*members, Sparse("archive/version").add(b"3\n")])


def torch_legacy(path: str, size: int) -> Sparse:
    """`torch.save` before 1.6: five pickles, then each storage behind its count."""
    magic = pickles.whole(_long(0x1950A86A20F9469CFC6C), protocol=2)
    system = b"}(" + pickles.text("little_endian") + b"\x88u"
    keys = pickles.whole(b"](" + b"".join(pickles.text(str(i)) for i in range(4)) + b"e", 2)
    made = Sparse(path).add(magic + pickles.whole(b"M\xe9\x03", 2) + pickles.whole(system, 2))
    made.add(state_dict(4, size // 4) + keys)
    for _ in range(4):
        made.add(struct.pack("<q", size // 16)).zeros(size // 4)
    return made


def npy(path: str, size: int) -> Sparse:
    """One array of float32."""
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({size // 4},), }}".encode()
    header += b" " * (117 - len(header)) + b"\n"
    return Sparse(path).add(b"\x93NUMPY\1\0" + struct.pack("<H", 118) + header).zeros(size)


def npz(path: str, size: int) -> Sparse:
    """Four arrays, as `numpy.savez` stores them."""
    return zipped(path, [npy(f"arr_{i}.npy", size // 4) for i in range(4)])


def gguf(path: str, size: int) -> Sparse:
    """32 tensors of Q8_0 behind a vocabulary of 32,000."""

    def text(value: str) -> bytes:
        return struct.pack("<Q", len(value)) + value.encode()

    tokens = b"".join(text(f"▁{i}"[1:]) for i in range(32_000))
    count = size // 32 // 34 * 32 // 4096
    body = b"GGUF" + struct.pack("<IQQ", 3, 32, 2)
    body += text("general.architecture") + struct.pack("<I", 8) + text("llama")
    body += text("tokenizer.ggml.tokens") + struct.pack("<IIQ", 9, 8, 32_000) + tokens
    step = count * 4096 // 32 * 34
    for i in range(32):
        body += text(f"blk.{i}.ffn_up.weight") + struct.pack("<IQQ", 2, 4096, count)
        body += struct.pack("<IQ", 8, i * step)
    return Sparse(path).add(body + bytes(-len(body) % 32)).zeros(32 * step)


def ggml(path: str, size: int) -> Sparse:
    """16 tensors of float32, in the last layout of llama.cpp before GGUF."""
    words = b"".join(struct.pack("<i", 3) + b"abc" + bytes(4) for _ in range(1_000))
    head = b"tjgg" + struct.pack("<i7i", 3, 1_000, 4096, 256, 32, 32, 128, 2) + words
    made, rows = Sparse(path).add(head), size // 16 // 4 // 4096
    for i in range(16):
        name = f"layers.{i}.weight".encode()
        made.add(struct.pack("<5i", 2, len(name), 0, 4096, rows) + name)
        made.zeros(-made.size % 32).zeros(rows * 4096 * 4)
    return made


def _nested(path: str, head: bytes, inner: Sparse) -> Sparse:
    """A field of Protocol Buffers that holds another file."""
    return Sparse(path).add(head + varint(inner.size)).join(inner)


def onnx(path: str, size: int) -> Sparse:
    """Four initializers whose bytes stand in the model itself."""
    graph = Sparse("graph").add(message({1: {1: ["x"], 2: ["y"], 4: "Relu"}, 2: "g"}))
    for i in range(4):
        tensor = Sparse("t").add(message({1: [size // 16], 2: 1, 8: f"w{i}"}))
        tensor.join(_nested("raw", b"\x4a", Sparse("").zeros(size // 4)))
        graph.join(_nested("t", b"\x2a", tensor))
    model = Sparse(path).add(message({1: 8, 2: "test"}))
    return model.join(_nested("g", b"\x3a", graph)).add(message({8: {1: "", 2: 17}}))


def onnx_outside(path: str, size: int) -> list[Sparse]:
    """A model and the file that its 64 initializers are in."""
    name, step = path.rpartition("/")[2] + ".data", size // 64
    tensors = [
        {1: [step // 4], 2: 1, 8: f"w{i}", 14: 1,
         13: [{1: "location", 2: name}, {1: "offset", 2: str(i * step)},
              {1: "length", 2: str(step)}]}
        for i in range(64)
    ]  # fmt: skip
    graph = {1: {1: ["x"], 2: ["y"], 4: "Relu"}, 2: "g", 5: tensors}
    model = message({1: 8, 2: "test", 7: graph, 8: {1: "", 2: 17}})
    return [Sparse(path).add(model), Sparse(f"{path}.data").zeros(64 * step)]


def tflite(path: str, size: int) -> Sparse:
    """One constant, whose bytes are a vector that is moved to the end of the file."""
    size = min(size, (1 << 31) - (1 << 20))
    tensor: flatbuffers.Table = {
        0: flatbuffers.vector("i", size // 4),
        1: flatbuffers.u8(0),
        2: flatbuffers.i32(1),
        3: "w",
    }
    graph: flatbuffers.Table = {0: [tensor], 1: flatbuffers.vector("i"), 4: "main"}
    root: flatbuffers.Table = {
        0: flatbuffers.i32(3),
        1: [{0: flatbuffers.u8(0)}],
        2: [graph],
        4: [{}, {0: flatbuffers.blob(b"here")}],
    }
    data = flatbuffers.flatbuffer(root, b"TFL3")
    vector = data.index(b"here") - 4
    words = enumerate(struct.unpack(f"<{len(data) // 4}I", data[: len(data) // 4 * 4]))
    (field,) = (4 * i for i, offset in words if 4 * i + offset == vector)
    end = len(data) + -len(data) % 16
    data = data[:field] + struct.pack("<I", end - field) + data[field + 4 :]
    return Sparse(path).add(data.ljust(end, b"\0") + struct.pack("<I", size)).zeros(size)


def hdf5(path: str, size: int) -> Sparse:
    """Four contiguous datasets of float32 in the root, superblock 0 and object headers 1."""
    undefined = b"\xff" * 8
    links, datasets, place = b"", [], 96 + 16 + 4 * 32
    for i in range(4):
        address = place + i * 256
        name = f"w{i}".encode()
        body = b"\1\0" + bytes([len(name)]) + name + struct.pack("<Q", address)
        links += struct.pack("<HHB3x", 6, 16, 0) + body.ljust(16, b"\0")
        links += struct.pack("<HHB3x", 0, 0, 0)
        count, start = size // 16, place + 4 * 256 + i * (size // 4)
        kind = bytes([0x11, 0x20, 0x1F, 0, 4, 0, 0, 0, 0, 0, 32, 0, 23, 8, 0, 23])
        kind += struct.pack("<I", 127) + bytes(4)
        messages = [
            (1, b"\1\1\0\0\0\0\0\0" + struct.pack("<Q", count)),
            (3, kind),
            (5, b"\2\2\2\0\0\0\0\0"),
            (8, b"\3\1" + struct.pack("<QQ", start, size // 4) + bytes(6)),
        ]
        packed = b"".join(struct.pack("<HHB3x", k, len(m), 0) + m for k, m in messages)
        header = struct.pack("<BxHII4x", 1, len(messages), 1, len(packed)) + packed
        datasets.append(header.ljust(256, b"\0"))
    end = place + 4 * 256 + 4 * (size // 4)
    head = b"\x89HDF\r\n\x1a\n" + bytes([0, 0, 0, 0, 0, 8, 8, 0]) + struct.pack("<HHI", 4, 16, 0)
    head += struct.pack("<Q", 0) + undefined + struct.pack("<Q", end) + undefined
    head += struct.pack("<QQI4x16x", 0, 96, 0)
    group = struct.pack("<BxHII4x", 1, 8, 1, len(links)) + links
    return Sparse(path).add(head + group + b"".join(datasets)).zeros(4 * (size // 4))


def keras(path: str, size: int) -> Sparse:
    """The layout of Keras 3: configurations and the weights as HDF5."""
    config = {"module": "keras", "class_name": "Sequential", "config": {"layers": []}}
    return zipped(path, [
        Sparse("metadata.json").add(json.dumps({"keras_version": "3.15.1"}).encode()),
        Sparse("config.json").add(json.dumps(config).encode()),
        hdf5("model.weights.h5", size),
    ])  # fmt: skip


def pickled(path: str, size: int) -> Sparse:
    """A dict of four byte strings, as BINBYTES8."""
    made = Sparse(path).add(b"\x80\x04}(")
    for i in range(4):
        made.add(pickles.text(f"layer.{i}") + b"\x8e" + struct.pack("<Q", size // 4))
        made.zeros(size // 4)
    return made.add(b"u.")


def joblib(path: str, size: int) -> Sparse:
    """An array whose elements follow the pickle's instruction to build its wrapper."""
    dtype = pickles.call(pickles.name("numpy", "dtype"), pickles.text("f4"), b"\x89", b"\x88")
    dtype += pickles.many(b"K\3", pickles.text("<"), b"N", b"N", b"N", b"J\xff\xff\xff\xff",
                          b"J\xff\xff\xff\xff", b"K\0") + b"b"  # fmt: skip
    wrapper = pickles.name("joblib.numpy_pickle", "NumpyArrayWrapper") + b")\x81}("
    for key, value in (
        ("subclass", pickles.name("numpy", "ndarray")),
        ("shape", pickles.many(_long(size // 4))),
        ("order", pickles.text("C")),
        ("dtype", dtype),
        ("allow_mmap", b"\x88"),
        ("numpy_array_alignment_bytes", b"K\x10"),
    ):
        wrapper += pickles.text(key) + value
    made = Sparse(path).add(b"\x80\x04" + wrapper + b"ub")
    padding = 16 - (made.size + 1) % 16
    return made.add(bytes([padding]) + b"\xff" * padding).zeros(size // 4 * 4).add(b".")


def tar(path: str, size: int) -> Sparse:
    """Two files of weights."""
    made = Sparse(path)
    for i in range(2):
        inner = safetensors(f"model-{i}.safetensors", size // 2, i)
        info = tarfile.TarInfo(inner.path)
        info.size = inner.size
        made.add(info.tobuf(tarfile.GNU_FORMAT)).join(inner).zeros(-inner.size % 512)
    return made.zeros(1024)


FILES: dict[str, Callable[[str, int], Sparse]] = {
    "model.safetensors": safetensors,
    "pytorch_model.bin": torch_zip,
    "legacy.pt": torch_legacy,
    "array.npy": npy,
    "arrays.npz": npz,
    "model.gguf": gguf,
    "ggml-model.bin": ggml,
    "model.onnx": onnx,
    "model.tflite": tflite,
    "model.h5": hdf5,
    "model.keras": keras,
    "weights.pkl": pickled,
    "model.joblib": joblib,
    "weights.tar": tar,
}
"""One for each format that holds tensors, by the name that its file has."""


def repository(size: int) -> Iterator[Sparse]:
    """A repository of nearly `size` bytes that has the same model in several formats."""
    share = size // 10 // 4096 * 4096
    names = [f"model-{i:05}-of-00004.safetensors" for i in range(1, 5)]
    shards = [safetensors(name, share, i) for i, name in enumerate(names)]
    index = {f"model.layers.{layer}.mlp.experts.{i}.weight": name
             for layer, name in enumerate(names) for i in range(64)}  # fmt: skip
    said = {"metadata": {"total_size": sum(s.size for s in shards)}, "weight_map": index}
    yield Sparse("model.safetensors.index.json").add(json.dumps(said).encode())
    yield from shards
    yield torch_zip("pytorch_model.bin", share)
    yield torch_legacy("legacy/model.pt", share)
    yield gguf("gguf/model-Q8_0.gguf", share)
    yield from onnx_outside("onnx/model.onnx", share)
    yield hdf5("tf_model.h5", share)
    yield npz("flax/arrays.npz", share)
