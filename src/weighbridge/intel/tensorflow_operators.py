"""TensorFlow's operators: those that reach beyond the computation, and whose the others are.

The names are those that TensorFlow and TensorFlow Text register, and those in the public sources
of other libraries (`scripts/list_tensorflow_operators.py`); what they do is from their
documentation (`tensorflow/core/api_def/base_api/`).
"""

from __future__ import annotations

from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Final

import msgspec

from weighbridge.core.report import Intel

FILE: Final = Path(__file__).with_suffix(".json")


class Reach(StrEnum):
    """What an operator reaches."""

    PYTHON = "python"
    WRITES = "writes"
    READS = "reads"
    TABLE = "table"
    """It fills a table from a file, which is an asset in an honest model."""
    SAVES = "saves"
    """It writes a checkpoint, as every saver does."""
    RESTORES = "restores"
    """It reads a checkpoint, as every saver does."""
    CONNECTS = "connects"
    NATIVE = "native"
    """It calls code that is not TensorFlow's by its name, or ends the process."""


class Effect(msgspec.Struct, frozen=True):
    """What an operator does beside computing.

    The path or address that it is given stands in the input number `input` or in the attribute
    `attribute`; what it writes in the input number `content`.
    """

    reach: Reach
    does: str
    input: int | None = None
    attribute: str = ""
    content: int | None = None


def _same(effect: Effect, names: str) -> dict[str, Effect]:
    return dict.fromkeys(names.split(), effect)


_EFFECTS: Final[dict[str, Effect]] = {
    **_same(
        Effect(Reach.PYTHON, "calls a Python function", None, "token"),
        "PyFunc PyFuncStateless EagerPyFunc NumpyFunction",
    ),
    "WriteFile": Effect(Reach.WRITES, "writes a file", 0, content=1),
    **_same(
        Effect(Reach.WRITES, "writes records to a file", 1),
        "DatasetToTFRecord ExperimentalDatasetToTFRecord",
    ),
    **_same(Effect(Reach.WRITES, "writes a data set", 1), "SaveDataset SaveDatasetV2"),
    **_same(
        Effect(Reach.WRITES, "writes and reads a snapshot of a data set", 1),
        "SnapshotDataset SnapshotDatasetV2",
    ),
    **_same(
        Effect(Reach.WRITES, "writes its input to a file, if it is given a name", 1),
        "CacheDataset CacheDatasetV2",
    ),
    "CreateSummaryFileWriter": Effect(Reach.WRITES, "writes a log file", 1),
    "CreateSummaryDbWriter": Effect(Reach.WRITES, "writes a database", 1),
    "DumpTensor": Effect(Reach.WRITES, "writes a tensor to a file", None, "log_dir_path"),
    "CalibrationStatisticsSaver": Effect(
        Reach.WRITES, "writes statistics to a file", None, "output_file_path"
    ),
    "DistributedSave": Effect(Reach.WRITES, "writes a data set through a service", 1),
    "IO>TextOutputSequence": Effect(Reach.WRITES, "writes a text file", 0),
    "IO>FileInit": Effect(Reach.WRITES, "opens a file for writing", 0),
    "IO>MongoDBWritableDeleteMany": Effect(Reach.CONNECTS, "deletes from a database"),
    **_same(
        Effect(Reach.WRITES, "writes a table to a file", 1),
        "TFRA>CuckooHashTableSaveToFileSystem TFRA>HkvHashTableSaveToFileSystem "
        "TFRA>RedisTableSaveToFileSystem",
    ),
    "ReadFile": Effect(Reach.READS, "reads a file", 0),
    "MatchingFiles": Effect(Reach.READS, "lists files", 0),
    **_same(
        Effect(Reach.READS, "lists files", 0),
        "MatchingFilesDataset ExperimentalMatchingFilesDataset",
    ),
    **_same(
        Effect(Reach.READS, "reads files", 0),
        "TextLineDataset TFRecordDataset TFRecordDatasetV2 FixedLengthRecordDataset "
        "FixedLengthRecordDatasetV2 CSVDataset CSVDatasetV2 ExperimentalCSVDataset LMDBDataset "
        "ExperimentalLMDBDataset LoadDataset ListSnapshotChunksDataset SnapshotChunkDataset "
        "SnapshotDatasetReader LoadAndRemapMatrix "
        "GenerateVocabRemapping IO>AvroDataset IO>AvroRecordDataset IO>ATDSDataset "
        "IO>ArrowFeatherDataset IO>LMDBDatasetV2 IO>FileRead IO>FileInfo IO>ReadText "
        "IO>ReadFastq IO>ReadArchive IO>ListArchiveEntries IO>HDF5ReadableInfo IO>NumpyInfo "
        "IO>ParquetReadableInfo IO>AudioReadableInit IO>VideoReadableInit IO>CSVReadableInit "
        "IO>FfmpegReadableInit IO>PcapReadableInit ParquetDataset Y4MDataset",
    ),
    **_same(
        Effect(Reach.READS, "reads a database by a query", 1), "SqlDataset ExperimentalSqlDataset"
    ),
    **_same(
        Effect(Reach.READS, "reads the files that a queue names", 1),
        "ReaderRead ReaderReadV2 ReaderReadUpTo ReaderReadUpToV2",
    ),
    "ImmutableConst": Effect(Reach.READS, "maps a file into memory", None, "memory_region_name"),
    "RecordInput": Effect(Reach.READS, "reads files", None, "file_pattern"),
    "Skipgram": Effect(Reach.READS, "reads a file", None, "filename"),
    "IO>VideoCaptureReadableInit": Effect(Reach.READS, "opens a camera", 0),
    **_same(
        Effect(Reach.TABLE, "reads a table from a file", 1),
        "InitializeTableFromTextFile InitializeTableFromTextFileV2",
    ),
    **_same(
        Effect(Reach.TABLE, "reads a model from a folder", 0),
        "SimpleMLFileModelLoader SimpleMLLoadModelFromPath",
    ),
    "SimpleMLLoadModelFromPathWithHandle": Effect(Reach.TABLE, "reads a model from a folder", 1),
    **_same(
        Effect(Reach.READS, "reads a table from a file", 1),
        "TFRA>CuckooHashTableLoadFromFileSystem TFRA>HkvHashTableLoadFromFileSystem "
        "TFRA>RedisTableLoadFromFileSystem",
    ),
    "FixedUnigramCandidateSampler": Effect(
        Reach.TABLE, "reads a vocabulary from a file", None, "vocab_file"
    ),
    **_same(Effect(Reach.SAVES, "writes a checkpoint", 0), "Save SaveV2 SaveSlices"),
    "MergeV2Checkpoints": Effect(Reach.SAVES, "moves checkpoints and deletes their folders", 1),
    **_same(
        Effect(Reach.RESTORES, "reads a checkpoint", 0),
        "Restore RestoreV2 RestoreSlice DTensorRestoreV2",
    ),
    **_same(
        Effect(Reach.CONNECTS, "connects to a data service", 2),
        "DataServiceDataset DataServiceDatasetV2 DataServiceDatasetV3 DataServiceDatasetV4",
    ),
    **_same(
        Effect(Reach.CONNECTS, "sends a data set's definition to a service", 1),
        "RegisterDataset RegisterDatasetV2",
    ),
    **_same(Effect(Reach.CONNECTS, "calls a server", 0), "RPC TryRpc RpcClient RpcCall"),
    **_same(
        Effect(Reach.CONNECTS, "opens a server", 0),
        "RpcServer RpcServerStart RpcServerRegister SimpleMLCreateYDFGRPCWorker "
        "GrpcServerResourceHandleOp",
    ),
    "GrpcClientResourceHandleOp": Effect(Reach.CONNECTS, "calls a server", 0),
    "RemoteCall": Effect(Reach.CONNECTS, "runs a function on another device or host", 0),
    **_same(
        Effect(Reach.CONNECTS, "changes how files on other machines are reached", 0),
        "FileSystemSetConfiguration IO>FileSystemSetConfiguration",
    ),
    **_same(
        Effect(Reach.CONNECTS, "queries a database of Google Cloud", 0),
        "BigQueryReader IO>BigQueryClient IO>BigQueryReadSession IO>BigQueryDataset "
        "IO>BigQueryTestClient BigtableClient BigtableDataset BigtableTable",
    ),
    **_same(
        Effect(Reach.CONNECTS, "talks to a queue, a database or another service", 0),
        "IO>KafkaDataset IO>KafkaGroupReadableInit IO>KafkaIterableInit IO>KafkaOutputSequence "
        "IO>KafkaReadableInit IO>WriteKafka IO>LayerKafkaInit IO>LayerKafkaCall "
        "IO>KinesisReadableInit IO>PubSubReadableInit IO>PulsarReadableInit "
        "IO>PulsarWritableInit IO>PulsarWritableWrite IO>MongoDBReadableInit "
        "IO>MongoDBWritableInit IO>MongoDBWritableWrite IO>ElasticsearchReadableInit "
        "IO>GRPCReadableInit IO>PrometheusReadableInit IO>PrometheusScrape IO>SqlIterableInit "
        "IO>ArrowStreamDataset ReverbClient ReverbClientInsert ReverbClientSample "
        "ReverbTimestepDataset ReverbTrajectoryDataset ReverbPatternDataset",
    ),
    "XlaCustomCall": Effect(Reach.NATIVE, "calls a native function by name", None, "target_name"),
    "XlaCustomCallV2": Effect(
        Reach.NATIVE, "calls a native function by name", None, "call_target_name"
    ),
    "RemoteFusedGraphExecute": Effect(
        Reach.NATIVE,
        "hands a graph to a program of its own",
        None,
        "serialized_remote_fused_graph_execute_info",
    ),
    "MlirPassthroughOp": Effect(
        Reach.NATIVE, "compiles a program that it holds", None, "mlir_module"
    ),
    "Abort": Effect(Reach.NATIVE, "ends the process", None, "error_msg"),
}
_JUDGED: Final[dict[str, tuple[str, tuple[str, ...], Effect]]] = {
    "PrintV2": (
        "output_stream",
        ("stderr", "stdout", "log(info)", "log(warning)", "log(error)", ""),
        Effect(Reach.WRITES, "prints to a file", None, "output_stream", 0),
    ),
    **{
        name: (
            "descriptor_source",
            ("local://", ""),
            Effect(Reach.READS, "reads message definitions from a file", None, "descriptor_source"),
        )
        for name in ("DecodeProtoV2", "EncodeProto", "DecodeProtoSparseV2", "DecodeProtoSparseV3",
                     "DecodeProtoSparseV4", "DecodeProtoMap", "DecodeProtoMapV2")
    },
    **{
        name: (
            "debug_urls",
            ("",),
            Effect(Reach.WRITES, "sends its input to a file or an address", None, "debug_urls"),
        )
        for name in ("DebugIdentity", "DebugIdentityV2", "DebugIdentityV3", "DebugNanCount",
                     "DebugNumericSummary", "DebugNumericSummaryV2")
    },
}  # fmt: skip
"""Operators whose attribute decides: its name, the values that are harmless, the effect else."""
INLINE: Final = "bytes://"
"""How a definition begins that stands in the model itself."""
_COMPILED: Final = {
    "TRTEngineOp": "TensorRT", "NeuronOp": "an AWS Neuron processor", "XlaCallModule": "XLA",
    "_TPUCompileMlir": "a TPU", "TPUExecute": "a TPU", "EdgeTpu": "an Edge TPU",
    "IPUConfigure": "a Graphcore processor", "TfLiteSubgraphExecute": "TensorFlow Lite",
    "TfLiteInference": "TensorFlow Lite",
}  # fmt: skip


class _Lists(msgspec.Struct):
    reviewed: str
    tensorflow: str
    libraries: dict[str, str]


@cache
def _lists() -> _Lists:
    return msgspec.json.decode(FILE.read_bytes(), type=_Lists)


@cache
def _names() -> frozenset[str]:
    return frozenset(_lists().tensorflow.split())


@cache
def _libraries() -> dict[str, str]:
    return {op: name for name, ops in _lists().libraries.items() for op in ops.split()}


def known(op: str) -> bool:
    """Whether TensorFlow has an operator of this name."""
    return op in _names()


def library(op: str) -> str | None:
    """The well-known library that an operator comes with, or None."""
    return _libraries().get(op)


def effect(op: str) -> Effect | None:
    """What an operator does beside computing, whatever its attributes, or None."""
    return _EFFECTS.get(op)


def judged(op: str) -> tuple[str, tuple[str, ...], Effect] | None:
    """An attribute that decides what an operator does, its harmless values, and the effect of any
    other; None where there is no such attribute."""
    return _JUDGED.get(op)


def compiled(op: str) -> str | None:
    """What an operator's content was compiled for, so that it is not read, or None."""
    return _COMPILED.get(op)


def load() -> Intel:
    """What the report says of this list."""
    return Intel(name="tensorflow-operators", date=_lists().reviewed)
