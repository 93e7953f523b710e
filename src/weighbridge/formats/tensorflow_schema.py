"""The messages of TensorFlow, as far as they are read, with the names that its `.proto` files have.

Source: `tensorflow/core/protobuf/{saved_model,meta_graph,saver,saved_object_graph,fingerprint,
tensor_bundle}.proto` and `tensorflow/core/framework/{graph,node_def,attr_value,function,op_def,
tensor,tensor_shape,types}.proto`; `keras/protobuf/saved_metadata.proto`.
"""

from __future__ import annotations

from typing import Final

from weighbridge.formats.protobuf import Field, Kind, Schema, many, one

TYPES: Final[dict[int, tuple[str, int]]] = {
    1: ("float32", 32), 2: ("float64", 64), 3: ("int32", 32), 4: ("uint8", 8), 5: ("int16", 16),
    6: ("int8", 8), 7: ("string", 0), 8: ("complex64", 64), 9: ("int64", 64), 10: ("bool", 8),
    11: ("qint8", 8), 12: ("quint8", 8), 13: ("qint32", 32), 14: ("bfloat16", 16),
    15: ("qint16", 16), 16: ("quint16", 16), 17: ("uint16", 16), 18: ("complex128", 128),
    19: ("float16", 16), 20: ("resource", 0), 21: ("variant", 0), 22: ("uint32", 32),
    23: ("uint64", 64), 24: ("float8e5m2", 8), 25: ("float8e4m3fn", 8), 26: ("float8e4m3fnuz", 8),
    27: ("float8e4m3b11fnuz", 8), 28: ("float8e5m2fnuz", 8), 29: ("int4", 8), 30: ("uint4", 8),
    31: ("int2", 8), 32: ("uint2", 8),
}  # fmt: skip
"""Tensor types: name, and bits that an element takes in a file (0: not fixed)."""
STRING: Final = 7
ENUMS: Final[dict[str, int]] = {
    "DT_INVALID": 0, "DT_FLOAT": 1, "DT_DOUBLE": 2, "DT_INT32": 3, "DT_UINT8": 4, "DT_INT16": 5,
    "DT_INT8": 6, "DT_STRING": 7, "DT_COMPLEX64": 8, "DT_INT64": 9, "DT_BOOL": 10, "DT_QINT8": 11,
    "DT_QUINT8": 12, "DT_QINT32": 13, "DT_BFLOAT16": 14, "DT_QINT16": 15, "DT_QUINT16": 16,
    "DT_UINT16": 17, "DT_COMPLEX128": 18, "DT_HALF": 19, "DT_RESOURCE": 20, "DT_VARIANT": 21,
    "DT_UINT32": 22, "DT_UINT64": 23, "LEGACY": 0, "V1": 1, "V2": 2,
}  # fmt: skip
"""Names of numbers, as texts and JSON have them; those with `_REF` are 100 higher."""


def mapping(name: str, value: Kind | Schema) -> Field:
    """A map with text for keys: repeated messages of `key` and `value`."""
    return many(name, Schema(f"{name} entry", {1: one("key", Kind.TEXT), 2: one("value", value)}))


_DIM: Final = Schema("Dim", {1: one("size", Kind.INT), 2: one("name", Kind.TEXT)})
SHAPE: Final = Schema("TensorShapeProto", {2: many("dim", _DIM), 3: one("unknown_rank", Kind.BOOL)})
TENSOR: Final = Schema("TensorProto", {
    1: one("dtype", Kind.INT), 2: one("tensor_shape", SHAPE),
    4: one("tensor_content", Kind.RANGE),
})  # fmt: skip
STRINGS: Final = 8
"""The field of `TensorProto` that holds the strings of a string tensor."""
WRITTEN_TENSOR: Final = Schema("TensorProto", {
    **TENSOR.fields, 5: many("float_val", Kind.FLOAT), 6: many("double_val", Kind.DOUBLE),
    7: many("int_val", Kind.INT), STRINGS: many("string_val", Kind.DATA),
    9: many("scomplex_val", Kind.FLOAT), 10: many("int64_val", Kind.INT),
    11: many("bool_val", Kind.BOOL), 12: many("dcomplex_val", Kind.DOUBLE),
    13: many("half_val", Kind.INT), 16: many("uint32_val", Kind.UNSIGNED),
    17: many("uint64_val", Kind.UNSIGNED),
})  # fmt: skip
"""A tensor with its values, which stay lazy in the wire format."""
_CALL: Final = Schema("NameAttrList", {1: one("name", Kind.TEXT)})
_LIST: Final = Schema("ListValue", {
    2: many("s", Kind.RANGE), 3: many("i", Kind.INT), 4: many("f", Kind.FLOAT),
    5: many("b", Kind.BOOL), 6: many("type", Kind.INT), 7: many("shape", SHAPE),
    8: many("tensor", TENSOR), 9: many("func", _CALL),
})  # fmt: skip
_ATTRIBUTE: Final = Schema("AttrValue", {
    1: one("list", _LIST), 2: one("s", Kind.RANGE), 3: one("i", Kind.INT), 4: one("f", Kind.FLOAT),
    5: one("b", Kind.BOOL), 6: one("type", Kind.INT), 7: one("shape", SHAPE),
    8: one("tensor", TENSOR), 9: one("placeholder", Kind.TEXT), 10: one("func", _CALL),
})  # fmt: skip
_ATTRIBUTES: Final = mapping("attr", _ATTRIBUTE)
_CALL.fields[2] = _ATTRIBUTES
NODE: Final = Schema("NodeDef", {
    1: one("name", Kind.TEXT), 2: one("op", Kind.TEXT), 3: many("input", Kind.TEXT),
    4: one("device", Kind.TEXT), 5: _ATTRIBUTES,
})  # fmt: skip
_ARGUMENT: Final = Schema("ArgDef", {
    1: one("name", Kind.TEXT), 3: one("type", Kind.INT), 4: one("type_attr", Kind.TEXT),
})  # fmt: skip
_OP: Final = Schema("OpDef", {
    1: one("name", Kind.TEXT), 2: many("input_arg", _ARGUMENT), 3: many("output_arg", _ARGUMENT),
    17: one("is_stateful", Kind.BOOL), 20: many("control_output", Kind.TEXT),
})  # fmt: skip
_FUNCTION: Final = Schema("FunctionDef", {
    1: one("signature", _OP), 3: many("node_def", NODE), 4: mapping("ret", Kind.TEXT),
    5: _ATTRIBUTES, 6: mapping("control_ret", Kind.TEXT),
})  # fmt: skip
_GRADIENT: Final = Schema(
    "GradientDef", {1: one("function_name", Kind.TEXT), 2: one("gradient_func", Kind.TEXT)}
)
_REGISTERED: Final = Schema(
    "RegisteredGradient",
    {1: one("gradient_func", Kind.TEXT), 2: one("registered_op_type", Kind.TEXT)},
)
_LIBRARY: Final = Schema("FunctionDefLibrary", {
    1: many("function", _FUNCTION), 2: many("gradient", _GRADIENT),
    3: many("registered_gradients", _REGISTERED),
})  # fmt: skip
GRAPH: Final = Schema("GraphDef", {1: many("node", NODE), 2: one("library", _LIBRARY)})
_META: Final = Schema("MetaInfoDef", {
    4: many("tags", Kind.TEXT), 5: one("tensorflow_version", Kind.TEXT),
})  # fmt: skip
SAVER: Final = Schema("SaverDef", {
    1: one("filename_tensor_name", Kind.TEXT), 2: one("save_tensor_name", Kind.TEXT),
    3: one("restore_op_name", Kind.TEXT),
})  # fmt: skip
_INFO: Final = Schema("TensorInfo", {
    1: one("name", Kind.TEXT), 2: one("dtype", Kind.INT), 3: one("tensor_shape", SHAPE),
})  # fmt: skip
_INFO.fields |= {
    4: one("coo_sparse", Schema("CooSparse", {
        1: one("values_tensor_name", Kind.TEXT), 2: one("indices_tensor_name", Kind.TEXT),
        3: one("dense_shape_tensor_name", Kind.TEXT),
    })),
    5: one("composite_tensor", Schema("CompositeTensor", {2: many("components", _INFO)})),
}  # fmt: skip
_SIGNATURE: Final = Schema("SignatureDef", {
    1: mapping("inputs", _INFO), 2: mapping("outputs", _INFO), 3: one("method_name", Kind.TEXT),
})  # fmt: skip
ASSET: Final = Schema("AssetFileDef", {1: one("tensor_info", _INFO), 2: one("filename", Kind.TEXT)})
_ANY: Final = Schema("Any", {1: one("type_url", Kind.TEXT), 2: one("value", Kind.RANGE)})
_COLLECTION: Final = Schema("CollectionDef", {
    1: one("node_list", Schema("NodeList", {1: many("value", Kind.TEXT)})),
    2: one("bytes_list", Schema("BytesList", {1: many("value", Kind.RANGE)})),
    5: one("any_list", Schema("AnyList", {1: many("value", _ANY)})),
})  # fmt: skip
QUEUE_RUNNER: Final = Schema("QueueRunnerDef", {
    2: many("enqueue_op_name", Kind.TEXT), 3: one("close_op_name", Kind.TEXT),
    4: one("cancel_op_name", Kind.TEXT),
})  # fmt: skip
_CHILD: Final = Schema(
    "ObjectReference", {1: one("node_id", Kind.INT), 2: one("local_name", Kind.TEXT)}
)
_USER: Final = Schema("SavedUserObject", {
    1: one("identifier", Kind.TEXT), 3: one("metadata", Kind.RANGE),
})  # fmt: skip
_SAVEABLE: Final = Schema(
    "SaveableObject", {2: one("save_function", Kind.INT), 3: one("restore_function", Kind.INT)}
)
_VARIABLE: Final = Schema("SavedVariable", {
    1: one("dtype", Kind.INT), 2: one("shape", SHAPE), 3: one("trainable", Kind.BOOL),
    6: one("name", Kind.TEXT),
})  # fmt: skip
_OBJECT: Final = Schema("SavedObject", {
    1: many("children", _CHILD), 4: one("user_object", _USER),
    5: one("asset", Schema("SavedAsset", {1: one("asset_file_def_index", Kind.INT)})),
    6: one("function", Schema("SavedFunction", {1: many("concrete_functions", Kind.TEXT)})),
    7: one("variable", _VARIABLE),
    8: one("bare_concrete_function", Schema(
        "SavedBareConcreteFunction", {1: one("concrete_function_name", Kind.TEXT)})),
    9: one("constant", Schema("SavedConstant", {1: one("operation", Kind.TEXT)})),
    10: one("resource", Schema("SavedResource", {1: one("device", Kind.TEXT)})),
    11: mapping("saveable_objects", _SAVEABLE), 13: one("registered_name", Kind.TEXT),
})  # fmt: skip
_BOUND: Final = Schema("SavedConcreteFunction", {2: many("bound_inputs", Kind.INT)})
_OBJECTS: Final = Schema(
    "SavedObjectGraph", {1: many("nodes", _OBJECT), 2: mapping("concrete_functions", _BOUND)}
)
META_GRAPH: Final = Schema("MetaGraphDef", {
    1: one("meta_info_def", _META), 2: one("graph_def", GRAPH), 3: one("saver_def", SAVER),
    4: mapping("collection_def", _COLLECTION), 5: mapping("signature_def", _SIGNATURE),
    6: many("asset_file_def", ASSET), 7: one("object_graph_def", _OBJECTS),
})  # fmt: skip
SAVED_MODEL: Final = Schema("SavedModel", {
    1: one("saved_model_schema_version", Kind.INT), 2: many("meta_graphs", META_GRAPH),
})  # fmt: skip

BUNDLE_HEADER: Final = Schema("BundleHeaderProto", {
    1: one("num_shards", Kind.INT), 2: one("endianness", Kind.INT),
})  # fmt: skip
BUNDLE_ENTRY: Final = Schema("BundleEntryProto", {
    1: one("dtype", Kind.INT), 2: one("shape", SHAPE), 3: one("shard_id", Kind.INT),
    4: one("offset", Kind.INT), 5: one("size", Kind.INT),
    7: many("slices", Schema("TensorSliceProto")),
})  # fmt: skip
TRACKED: Final = Schema("TrackableObjectGraph", {1: many("nodes", Schema("TrackableObject", {
    1: many("children", _CHILD),
    2: many("attributes", Schema("SerializedTensor", {
        1: one("name", Kind.TEXT), 2: one("full_name", Kind.TEXT),
        3: one("checkpoint_key", Kind.TEXT),
    })),
}))})  # fmt: skip
KERAS_METADATA: Final = Schema("SavedMetadata", {1: many("nodes", Schema("SavedObject", {
    2: one("node_id", Kind.INT), 3: one("node_path", Kind.TEXT), 4: one("identifier", Kind.TEXT),
    5: one("metadata", Kind.RANGE),
}))})  # fmt: skip
FINGERPRINT: Final = Schema("FingerprintDef", {
    1: one("saved_model_checksum", Kind.UNSIGNED), 2: one("graph_def_program_hash", Kind.UNSIGNED),
    3: one("signature_def_hash", Kind.UNSIGNED), 4: one("saved_object_graph_hash", Kind.UNSIGNED),
    5: one("checkpoint_hash", Kind.UNSIGNED), 7: one("uuid", Kind.TEXT),
})  # fmt: skip
