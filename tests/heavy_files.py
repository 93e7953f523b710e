"""Files whose structure is heavy: a few megabytes that would take gigabytes of memory to hold.

Each writes itself in pieces. `scale` multiplies what it repeats: 1 for the tests, more for
`bench/large.py`.
"""

from __future__ import annotations

import io
import json
import struct
import zipfile
from collections.abc import Callable, Iterator

from protobufs import message, varint

Write = Callable[[int], Iterator[bytes]]


def many_opcodes(scale: int) -> Iterator[bytes]:
    """A dict of tuples, filled by the thousand as `pickle` does: 1.6 million opcodes."""
    yield b"\x80\x04}\x94"
    for batch in range(200 * scale):
        yield b"("
        for i in range(1_000):
            yield b"J" + struct.pack("<i", batch * 1_000 + i)
            yield b"K\x01G" + struct.pack(">d", i / 2) + b"\x8c\x02v1\x94\x87\x94"
        yield b"u"
    yield b"."


def many_lists(scale: int) -> Iterator[bytes]:
    """Lists that nothing holds together."""
    yield b"\x80\x04"
    for _ in range(2 * scale):
        yield b"]\x94" * 1_000_000
    yield b"."


def many_names(scale: int) -> Iterator[bytes]:
    """Names that are imported and dropped."""
    yield b"\x80\x02"
    for i in range(120_000 * scale):
        yield b"ca\nb%d\n0" % i
    yield b"N."


def nested_calls(scale: int) -> Iterator[bytes]:
    """Each call has the one before as its argument."""
    yield b"\x80\x02ccollections\nOrderedDict\nq\0"
    yield b"h\0" * 200_000 * scale + b")" + b"\x85R" * 200_000 * scale
    yield b"."


def json_objects(scale: int) -> Iterator[bytes]:
    """40 MB."""
    yield b"["
    for _ in range(5):
        yield b'{"a":1},' * 1_000_000
    yield b"1]"


def json_lists(scale: int) -> Iterator[bytes]:
    """A list of empty lists."""
    yield b"[" + b"[]," * 250_000 * scale + b"1]"


def yaml_anchors(scale: int) -> Iterator[bytes]:
    """Each mapping holds the one before twice."""
    yield b"a0: &a0 [x]\n"
    for i in range(1, 4_000 * scale):
        yield b"a%d: &a%d [*a%d, *a%d]\n" % (i, i, i - 1, i - 1)


def xml_attribute(scale: int) -> Iterator[bytes]:
    """One attribute of 16 MiB."""
    yield b"<?xml version='1.0'?><PMML a='" + b"x" * (16 << 20) * scale + b"'></PMML>"


def xml_elements(scale: int) -> Iterator[bytes]:
    """More elements than are kept."""
    yield b"<?xml version='1.0'?><PMML>"
    yield b"<Extension name='a' value='bbbbbbbbbbb'/>" * 100_000 * scale
    yield b"</PMML>"


def gguf_million_keys(scale: int) -> Iterator[bytes]:
    """More keys than any model has."""
    yield b"GGUF" + struct.pack("<IQQ", 3, 0, 1_000_000)
    for i in range(1_000_000):
        yield struct.pack("<Q7sII", 7, b"k%06d" % i, 4, 1)


def gguf_keys(scale: int) -> Iterator[bytes]:
    """As many keys as are read, each an array."""
    yield b"GGUF" + struct.pack("<IQQ", 3, 0, 1 << 16)
    for i in range(1 << 16):
        yield struct.pack("<Q5sIIQQ8s", 5, b"k%04x" % i, 9, 8, 1, 8, b"xxxxxxxx")


def safetensors_header(scale: int) -> Iterator[bytes]:
    """A header of nearly 100 MB."""
    entry = '"w%07d":{"dtype":"F32","shape":[1],"data_offsets":[%d,%d]}'
    entries = (entry % (i, 4 * i, 4 * i + 4) for i in range(1_350_000))
    header = ("{" + ",".join(entries) + "}").encode()
    yield struct.pack("<Q", len(header)) + header + bytes(4 * 1_350_000)


def field(number: int, data: bytes) -> bytes:
    """A field of Protocol Buffers."""
    return varint(number << 3 | 2) + varint(len(data)) + data


def onnx_nodes(scale: int) -> Iterator[bytes]:
    """A graph of 80,000 nodes."""
    node = field(1, field(4, b"Relu"))
    yield message({1: 8}) + field(7, node * 80_000 * scale)


def onnx_tensors(scale: int) -> Iterator[bytes]:
    """Tensors that say that another file has them, 50,000 of them."""
    outside = field(13, field(1, b"location") + field(2, b"w.bin"))
    tensor = field(5, field(8, b"w") + b"\x70\x01" + outside)
    yield message({1: 8}) + field(7, tensor * 50_000 * scale)


def hdf5_links(scale: int) -> Iterator[bytes]:
    """A group of 100,000 soft links."""
    link = b"\1\x08\1\5w%05x\5\0/w/w/"
    links = bytearray()
    for i in range(100_000):
        body = link % i
        links += struct.pack("<HHB3x", 6, len(body), 0) + body
    yield b"\x89HDF\r\n\x1a\n" + bytes([0, 0, 0, 0, 0, 8, 8, 0]) + struct.pack("<HHI", 4, 16, 0)
    end = 96 + 16 + len(links)
    yield struct.pack("<Q", 0) + b"\xff" * 8 + struct.pack("<Q", end) + b"\xff" * 8
    yield struct.pack("<QQI4x16x", 0, 96, 0)
    yield struct.pack("<BxHII4x", 1, 0xFFFF, 1, len(links)) + bytes(links)


def zip_entries(scale: int) -> Iterator[bytes]:
    """5,000 members."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for i in range(5_000 * scale):
            archive.writestr(f"folder/{i}.json", json.dumps({"number": i}))
    yield made.getvalue()


FILES: dict[str, tuple[Write, list[str]]] = {
    "opcodes.pkl": (many_opcodes, []),
    "lists.pkl": (many_lists, ["too-large"]),
    "names.pkl": (many_names, ["too-large"]),
    "calls.pkl": (nested_calls, []),
    "objects.json": (json_objects, []),
    "lists.json": (json_lists, []),
    "anchors.yaml": (yaml_anchors, []),
    "attribute.xml": (xml_attribute, ["malformed"]),
    "elements.xml": (xml_elements, ["too-large"]),
    "million.gguf": (gguf_million_keys, ["malformed"]),
    "keys.gguf": (gguf_keys, []),
    "header.safetensors": (safetensors_header, ["too-large"]),
    "nodes.onnx": (onnx_nodes, []),
    "tensors.onnx": (onnx_tensors, []),
    "links.h5": (hdf5_links, ["malformed"]),
    "entries.zip": (zip_entries, []),
}
"""What writes it, and which kinds of gaps it leaves (at scale 1)."""
