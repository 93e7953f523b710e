"""Write src/weighbridge/intel/onnx_operators.json: the operators that runtimes bring along.

Run it with `onnx` and `onnxruntime` installed; it asks both for the schemas that they register.
"""

from __future__ import annotations

import json
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path

import onnx
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as runtime

OUT = Path(__file__).parents[1] / "src/weighbridge/intel/onnx_operators.json"

EXTENSIONS = """
AudioDecoder AzureAudioToText AzureTextToText AzureTritonInvoker BasicTokenizer BertTokenizer
BertTokenizerDecoder BlingFireSentenceBreaker CLIPTokenizer DecodeImage DrawBoundingBoxes
EncodeImage EncodePNG GPT2Tokenizer GaussianBlur HfBertTokenizer HfJsonTokenizer ImageDecoder
ImageReader Inverse MaskedFill MurmurHash3 NegPos Pointnet2 PyOp RaggedTensorToDense
RaggedTensorToSparse RobertaTokenizer SegmentExtraction SegmentSum SentencepieceDecoder
SentencepieceTokenizer SpmTokenizer Stft StftNorm StringConcat StringECMARegexReplace
StringECMARegexSplitWithOffsets StringEqual StringHash StringHashFast StringJoin StringLength
StringLower StringMapping StringRaggedTensorToDense StringRegexReplace
StringRegexSplitWithOffsets StringSplit StringStrip StringToCRC32 StringToHashBucket
StringToHashBucketFast StringToVector StringUpper TokenizerDecoder TrieDetokenizer TrieTokenizer
VectorToString WordpieceTokenizer
"""
"""Of onnxruntime-extensions (`ai.onnx.contrib`), by its documentation; it registers no schemas."""


def main() -> None:
    """Ask, merge, write."""
    domains: dict[str, set[str]] = defaultdict(set)
    for schema in onnx.defs.get_all_schemas_with_history():
        domains[schema.domain].add(schema.name)
    for schema in runtime.get_all_operator_schema():
        domains[schema.domain].add(schema.name)
    domains["ai.onnx.contrib"] |= set(EXTENSIONS.split())
    OUT.write_text(
        json.dumps(
            {
                "reviewed": datetime.now(UTC).date().isoformat(),
                "from": [f"onnx {onnx.__version__}", f"onnxruntime {onnxruntime.__version__}"],
                "domains": {d: " ".join(sorted(names)) for d, names in sorted(domains.items())},
            },
            indent=1,
        )
        + "\n"
    )


if __name__ == "__main__":
    main()
