"""Write src/weighbridge/intel/tensorflow_operators.json: the operators that TensorFlow knows.

Run it with `tensorflow` and `tensorflow-text` installed (of the same minor version); it asks what
they register. Those of other libraries stand here, by the names in their public sources.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import tensorflow as tf
from tensorflow.core.framework import op_def_pb2
from tensorflow.python.client import pywrap_tf_session

OUT = Path(__file__).parents[1] / "src/weighbridge/intel/tensorflow_operators.json"

LIBRARIES = {
    "TensorFlow.js": "FusedDepthwiseConv2dNative",
    "TensorFlow Lite": "TFLite_Detection_PostProcess",
    "TensorFlow 1 (contrib)": """
        AdjustHsvInYiq BipartiteMatch GatherTree ImageConnectedComponents ImageProjectiveTransform
        KMC2ChainInitialization KmeansPlusPlusInitialization MaskedMatmul NearestNeighbors
        PeriodicResample Resampler ResamplerGrad SingleImageRandomDotStereograms
        SkipGramGenerateCandidates WALSComputePartialLhsAndRhs
    """,
    "TensorFlow I/O": """
        BigtableClient BigtableDataset BigtableEmptyRowRange BigtableEmptyRowSet
        BigtableLatestFilter BigtablePrefixRowRange BigtablePrintFilter BigtablePrintRowRange
        BigtablePrintRowSet BigtableRowRange BigtableRowSetAppendRow
        BigtableRowSetAppendRowRange BigtableRowSetIntersect BigtableSplitRowSetEvenly
        BigtableTimestampRangeFilter IO>ATDSDataset IO>ArrowFeatherDataset
        IO>ArrowReadableFromMemoryInit IO>ArrowReadableRead IO>ArrowReadableSpec
        IO>ArrowSerializedDataset IO>ArrowStreamDataset IO>ArrowZeroCopyDataset
        IO>AudioDecodeAAC IO>AudioDecodeFlac IO>AudioDecodeMP3 IO>AudioDecodeVorbis
        IO>AudioDecodeWAV IO>AudioEncodeAAC IO>AudioEncodeFlac IO>AudioEncodeMP3
        IO>AudioEncodeVorbis IO>AudioEncodeWAV IO>AudioReadableInit IO>AudioReadableRead
        IO>AudioReadableSpec IO>AudioResample IO>AvroDataset IO>AvroReadableInit
        IO>AvroReadablePartitions IO>AvroReadableRead IO>AvroReadableSpec IO>AvroRecordDataset
        IO>BigQueryClient IO>BigQueryDataset IO>BigQueryReadSession IO>BigQueryTestClient
        IO>CSVReadableInit IO>CSVReadableRead IO>CSVReadableSpec IO>DecodeAVIF IO>DecodeAvro
        IO>DecodeDICOMData IO>DecodeDICOMImage IO>DecodeExr IO>DecodeExrInfo IO>DecodeHdr
        IO>DecodeJPEG2K IO>DecodeJSON IO>DecodeJpegExif IO>DecodeLibsvm IO>DecodeNV12
        IO>DecodeObj IO>DecodePnm IO>DecodeTiff IO>DecodeTiffInfo IO>DecodeWebP IO>DecodeYUY2
        IO>DrawBoundingBoxesV3 IO>ElasticsearchReadableInit IO>ElasticsearchReadableNext
        IO>EncodeAvro IO>EncodeBmp IO>EncodeGif IO>FeatherReadableInit IO>FeatherReadableRead
        IO>FeatherReadableSpec IO>FfmpegAudioReadableInit IO>FfmpegAudioReadableNext
        IO>FfmpegDecodeVideo IO>FfmpegReadableInit IO>FfmpegReadableRead IO>FfmpegReadableSpec
        IO>FfmpegVideoReadableInit IO>FfmpegVideoReadableNext IO>FileCall IO>FileInfo
        IO>FileInit IO>FileRead IO>FileSync IO>FileSystemSetConfiguration IO>GRPCReadableInit
        IO>GRPCReadableRead IO>HDF5ReadableInfo IO>HDF5ReadableRead IO>JSONReadableInit
        IO>JSONReadableRead IO>JSONReadableSpec IO>KafkaDataset IO>KafkaDecodeAvro
        IO>KafkaDecodeAvroInit IO>KafkaEncodeAvro IO>KafkaGroupReadableInit
        IO>KafkaGroupReadableNext IO>KafkaIterableInit IO>KafkaOutputSequence
        IO>KafkaOutputSequenceFlush IO>KafkaOutputSequenceSetItem IO>KafkaReadableInit
        IO>KafkaReadableNext IO>KafkaReadableRead IO>KafkaReadableSpec IO>KinesisReadableInit
        IO>KinesisReadableRead IO>LMDBDatasetV2 IO>LMDBInput IO>LMDBMappingInit
        IO>LMDBMappingRead IO>LMDBReadableInit IO>LMDBReadableRead IO>LayerKafkaCall
        IO>LayerKafkaInit IO>LayerKafkaSync IO>ListArchiveEntries IO>ListAvroColumns
        IO>ListFeatherColumns IO>MongoDBReadableInit IO>MongoDBReadableNext
        IO>MongoDBWritableDeleteMany IO>MongoDBWritableInit IO>MongoDBWritableWrite IO>NumpyInfo
        IO>NumpyRead IO>NumpySpec IO>ORCReadableInit IO>ORCReadableRead IO>ORCReadableSpec
        IO>OrderIndices IO>ParquetReadableInfo IO>ParquetReadableRead IO>ParseAvro
        IO>PcapReadableInit IO>PcapReadableRead IO>PrometheusReadableInit
        IO>PrometheusReadableRead IO>PrometheusReadableSpec IO>PrometheusScrape
        IO>PubSubReadableInit IO>PubSubReadableRead IO>PulsarReadableInit IO>PulsarReadableNext
        IO>PulsarWritableFlush IO>PulsarWritableInit IO>PulsarWritableWrite IO>RE2FullMatch
        IO>ReadArchive IO>ReadAvro IO>ReadFastq IO>ReadText IO>SqlIterableInit
        IO>SqlIterableRead IO>TextOutputSequence IO>TextOutputSequenceSetItem
        IO>VideoCaptureReadableInit IO>VideoCaptureReadableRead IO>VideoReadableInit
        IO>VideoReadableRead IO>WriteKafka
    """,
    "TensorFlow Decision Forests": """
        SimpleMLCategoricalIntFeature SimpleMLCategoricalIntFeatureOnFile
        SimpleMLCategoricalSetIntFeature SimpleMLCategoricalSetStringFeature
        SimpleMLCategoricalStringFeature SimpleMLCategoricalStringFeatureOnFile
        SimpleMLCheckStatus SimpleMLCheckTrainingConfiguration
        SimpleMLChiefFinalizeFeatureOnFile SimpleMLCreateModelResource
        SimpleMLCreateYDFGRPCWorker SimpleMLFileModelLoader SimpleMLHashFeature
        SimpleMLInferenceLeafIndexOpWithHandle SimpleMLInferenceOp SimpleMLInferenceOpWithHandle
        SimpleMLLoadModelFromPath SimpleMLLoadModelFromPathWithHandle SimpleMLModelTrainer
        SimpleMLModelTrainerOnFile SimpleMLNumericalFeature SimpleMLNumericalFeatureOnFile
        SimpleMLShowModel SimpleMLStopYDFGRPCWorker SimpleMLUnloadModel
        SimpleMLUpdateGRPCWorkerAddress SimpleMLWorkerFinalizeFeatureOnFile
        YggdrasilDecisionForestsSetLoggingLevel
    """,
    "TensorFlow Addons": """
        Addons>AdjustHsvInYiq Addons>CorrelationCost Addons>CorrelationCostGrad
        Addons>EmbeddingBag Addons>EmbeddingBagGrad Addons>EuclideanDistanceTransform
        Addons>GatherTree Addons>ImageConnectedComponents Addons>ParseTime Addons>Resampler
        Addons>ResamplerGrad Addons>SkipGramGenerateCandidates
    """,
    "TensorFlow Compression": """
        CreateRangeDecoder CreateRangeEncoder EntropyDecodeChannel EntropyDecodeFinalize
        EntropyDecodeIndex EntropyEncodeChannel EntropyEncodeFinalize EntropyEncodeIndex
        PmfToQuantizedCdf RangeDecode RangeEncode RunLengthDecode RunLengthEncode
        RunLengthGammaDecode RunLengthGammaEncode StochasticRound UnboundedIndexRangeDecode
        UnboundedIndexRangeEncode Y4MDataset
    """,
    "TensorFlow Quantum": """
        TfqAdjointGradient TfqAppendCircuit TfqCalculateUnitary TfqInnerProduct
        TfqInnerProductGrad TfqNoisyExpectation TfqNoisySampledExpectation TfqNoisySamples
        TfqPsDecompose TfqPsSymbolReplace TfqPsWeightsFromSymbols TfqResolveParameters
        TfqSimulateExpectation TfqSimulateMPS1DExpectation TfqSimulateMPS1DSampledExpectation
        TfqSimulateMPS1DSamples TfqSimulateSampledExpectation TfqSimulateSamples
        TfqSimulateState
    """,
    "TensorFlow Recommenders Addons": """
        TFRA>CuckooHashTableAccum TFRA>CuckooHashTableClear TFRA>CuckooHashTableExport
        TFRA>CuckooHashTableFind TFRA>CuckooHashTableFindWithExists TFRA>CuckooHashTableImport
        TFRA>CuckooHashTableInsert TFRA>CuckooHashTableLoadFromFileSystem
        TFRA>CuckooHashTableOfTensors TFRA>CuckooHashTableRemove
        TFRA>CuckooHashTableSaveToFileSystem TFRA>CuckooHashTableSize TFRA>DynamicPartition
        TFRA>DynamicStitch TFRA>DynamicStitchFast TFRA>HkvHashTableAccum TFRA>HkvHashTableClear
        TFRA>HkvHashTableExport TFRA>HkvHashTableExportKeysAndScores
        TFRA>HkvHashTableExportWithScores TFRA>HkvHashTableFind TFRA>HkvHashTableFindWithExists
        TFRA>HkvHashTableImport TFRA>HkvHashTableInsert TFRA>HkvHashTableLoadFromFileSystem
        TFRA>HkvHashTableOfTensors TFRA>HkvHashTableRemove TFRA>HkvHashTableSaveToFileSystem
        TFRA>HkvHashTableSize TFRA>ParallelDynamicStitch TFRA>RedisTableAccum
        TFRA>RedisTableClear TFRA>RedisTableExport TFRA>RedisTableFind
        TFRA>RedisTableFindWithExists TFRA>RedisTableImport TFRA>RedisTableInsert
        TFRA>RedisTableLoadFromFileSystem TFRA>RedisTableOfTensors TFRA>RedisTableRemove
        TFRA>RedisTableSaveToFileSystem TFRA>RedisTableSize TFRA>SparseSegmentSum
        TFRA>SparseSegmentSumWithNumSegments TfraSparseFillEmptyRows
    """,
    "Struct2Tensor": """
        DecodeProtoMap DecodeProtoMapV2 DecodeProtoSparseV2 DecodeProtoSparseV3
        DecodeProtoSparseV4 EquiJoinAnyIndices EquiJoinIndices ParquetDataset RunLengthBefore
    """,
    "Reverb": """
        ReverbClient ReverbClientInsert ReverbClientSample ReverbClientUpdatePriorities
        ReverbPatternDataset ReverbTimestepDataset ReverbTrajectoryDataset
    """,
    "Lingvo": """
        ApplyPacking AsciiToTokenId AssertSameDim0 AssertShapeMatch AveragePrecision3D
        BeamSearchStep BeamSearchStepV2 BestStep BpeIdsToWords BpeWordsToIds CachedCall
        ComputePreconditioners GenericInput GenericInputV2Create GenericInputV2GetNext
        GetPreconditioners HypsFromBeamSearchOuts IdToAscii Mass MlPerfSubwordIdToString
        NgramIdToToken NonMaxSuppression3D PackSequences PackSingleSequence PairwiseIou3D
        PointToGrid RandomPermutationSequence SamplePoints StaticMapIntInt StaticMapIntString
        StaticMapStringInt StrToVocabTokens TokenInVocab TopKFromBeamSearchOuts
        TopKTerminatedHyps UnpackHyp VocabIdToToken VocabTokenToId
    """,
    "DeePMD-kit": """
        AddFltNvnmd ConvertForwardMap CopyFltNvnmd Descrpt DescrptNorot DescrptSeA DescrptSeAEf
        DescrptSeAEfPara DescrptSeAEfVert DescrptSeAMask DescrptSeR DotmulFltNvnmd
        DprcPairwiseIdx EwaldRecp FltNvnmd Gelu GeluCustom GeluGrad GeluGradCustom GeluGradGrad
        GeluGradGradCustom MapAparam MapFltNvnmd MatmulFitnetNvnmd MatmulFlt2fixNvnmd
        MatmulFltNvnmd MulFltNvnmd PairTab ParallelProdForceSeA ProdEnvMatA ProdEnvMatAMix
        ProdEnvMatAMixNvnmdQuantize ProdEnvMatANvnmdQuantize ProdEnvMatR ProdForce ProdForceGrad
        ProdForceNorot ProdForceSeA ProdForceSeAGrad ProdForceSeAMask ProdForceSeAMaskGrad
        ProdForceSeR ProdForceSeRGrad ProdVirial ProdVirialGrad ProdVirialNorot ProdVirialSeA
        ProdVirialSeAGrad ProdVirialSeR ProdVirialSeRGrad QuantizeNvnmd SoftMinForce
        SoftMinForceGrad SoftMinSwitch SoftMinVirial SoftMinVirialGrad TabulateFusion
        TabulateFusionGrad TabulateFusionGradGrad TabulateFusionSeA TabulateFusionSeAGrad
        TabulateFusionSeAGradGrad TabulateFusionSeAtten TabulateFusionSeAttenGrad
        TabulateFusionSeAttenGradGrad TabulateFusionSeR TabulateFusionSeRGrad
        TabulateFusionSeRGradGrad TabulateFusionSeT TabulateFusionSeTGrad
        TabulateFusionSeTGradGrad Tanh4FltNvnmd UnaggregatedDy2Dx UnaggregatedDy2DxS
        UnaggregatedDyDx UnaggregatedDyDxS
    """,
}


def registered() -> set[str]:
    """The names that are registered now."""
    found = op_def_pb2.OpList()
    found.ParseFromString(pywrap_tf_session.TF_GetBuffer(pywrap_tf_session.TF_GetAllOpList()))
    return {op.name for op in found.op}


def main() -> None:
    """Ask, merge, write."""
    own = registered()
    import tensorflow_text  # registers more

    libraries = {name: set(names.split()) for name, names in LIBRARIES.items()}
    libraries["TensorFlow Text"] = registered() - own
    OUT.write_text(
        json.dumps(
            {
                "reviewed": datetime.now(UTC).date().isoformat(),
                "from": [
                    f"tensorflow {tf.__version__}",
                    f"tensorflow-text {tensorflow_text.__version__}",
                ],
                "tensorflow": " ".join(sorted(own)),
                "libraries": {n: " ".join(sorted(v - own)) for n, v in sorted(libraries.items())},
            },
            indent=1,
        )
        + "\n"
    )


if __name__ == "__main__":
    main()
