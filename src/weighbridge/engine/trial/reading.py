"""A model as ONNX Runtime takes it: read where it stands, and written as ONNX where it is not."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from weighbridge.analysis import ort_written
from weighbridge.analysis.graph_fronts import formats_with_graph, graph_of
from weighbridge.analysis.graph_written import Unwritable, written
from weighbridge.core.document import GraphDocument
from weighbridge.core.format import Limits
from weighbridge.core.location import Location
from weighbridge.core.tree import Blob
from weighbridge.engine.trials import SIZE_LIMIT, Model
from weighbridge.formats.onnx import ONNX
from weighbridge.formats.ort import Ort
from weighbridge.formats.zip import opened
from weighbridge.sources.folder import File, Folder


def as_onnx(model: Model) -> bytes:
    """The model in ONNX's format. Raises `Unwritable` where it has no such form, `Malformed` and
    `OSError` where it cannot be read."""
    place = Path(model.place)
    folder = Folder(Path(model.root), allowed=Path.exists) if model.root else None  # the jail's
    with closing(File(model.path, model.place, place.stat().st_size, siblings=folder)) as file:
        return _written(model.format, opened(file, Location(model.path, model.inside)))


def _written(format: str, blob: Blob) -> bytes:
    if format == ONNX.name:
        if blob.size > SIZE_LIMIT:
            raise Unwritable(f"it is larger than {SIZE_LIMIT >> 20} MiB")
        return blob.read(0, blob.size)
    parse = formats_with_graph()[format].parse
    document = parse(blob, Location(blob.path), Limits()) if parse is not None else None
    if not isinstance(document, GraphDocument):
        raise Unwritable("there is no graph in it")
    if isinstance(document, Ort):
        return ort_written.written(document, SIZE_LIMIT)
    return written(graph_of(document), SIZE_LIMIT)
