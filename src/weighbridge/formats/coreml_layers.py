"""The messages of Core ML's neural networks in layers (`NeuralNetwork.proto`).

What a layer is set to stays in the file as a range of bytes until it is asked for, weights with it.
"""

from __future__ import annotations

from typing import Final

from weighbridge.formats.protobuf import Kind, Schema, many, one

LAYERS: Final = {
    100: "convolution", 120: "pooling", 130: "activation", 140: "innerProduct", 150: "embedding",
    160: "batchnorm", 165: "mvn", 170: "l2normalize", 175: "softmax", 180: "lrn", 190: "crop",
    200: "padding", 210: "upsample", 211: "resizeBilinear", 212: "cropResize", 220: "unary",
    230: "add", 231: "multiply", 240: "average", 245: "scale", 250: "bias", 260: "max", 261: "min",
    270: "dot", 280: "reduce", 290: "loadConstant", 300: "reshape", 301: "flatten", 310: "permute",
    320: "concat", 330: "split", 340: "sequenceRepeat", 345: "reorganizeData", 350: "slice",
    400: "simpleRecurrent", 410: "gru", 420: "uniDirectionalLSTM", 430: "biDirectionalLSTM",
    600: "copy", 620: "loopBreak", 625: "loopContinue", 635: "rangeStatic", 640: "rangeDynamic",
    660: "clip", 665: "ceil", 670: "floor", 680: "sign", 685: "round", 700: "exp2", 710: "sin",
    715: "cos", 720: "tan", 730: "asin", 735: "acos", 740: "atan", 750: "sinh", 755: "cosh",
    760: "tanh", 770: "asinh", 775: "acosh", 780: "atanh", 790: "erf", 795: "gelu", 815: "equal",
    820: "notEqual", 825: "lessThan", 827: "lessEqual", 830: "greaterThan", 832: "greaterEqual",
    840: "logicalOr", 845: "logicalXor", 850: "logicalNot", 855: "logicalAnd",
    865: "modBroadcastable", 870: "minBroadcastable", 875: "maxBroadcastable",
    880: "addBroadcastable", 885: "powBroadcastable", 890: "divideBroadcastable",
    895: "floorDivBroadcastable", 900: "multiplyBroadcastable", 905: "subtractBroadcastable",
    920: "tile", 925: "stack", 930: "gather", 935: "scatter", 940: "gatherND", 945: "scatterND",
    950: "softmaxND", 952: "gatherAlongAxis", 954: "scatterAlongAxis", 960: "reverse",
    965: "reverseSeq", 975: "splitND", 980: "concatND", 985: "transpose", 995: "sliceStatic",
    1000: "sliceDynamic", 1005: "slidingWindows", 1015: "topK", 1020: "argMin", 1025: "argMax",
    1040: "embeddingND", 1045: "batchedMatmul", 1065: "getShape", 1070: "loadConstantND",
    1080: "fillLike", 1085: "fillStatic", 1090: "fillDynamic", 1100: "broadcastToLike",
    1105: "broadcastToStatic", 1110: "broadcastToDynamic", 1120: "squeeze", 1125: "expandDims",
    1130: "flattenTo2D", 1135: "reshapeLike", 1140: "reshapeStatic", 1145: "reshapeDynamic",
    1150: "rankPreservingReshape", 1155: "constantPad", 1170: "randomNormalLike",
    1175: "randomNormalStatic", 1180: "randomNormalDynamic", 1190: "randomUniformLike",
    1195: "randomUniformStatic", 1200: "randomUniformDynamic", 1210: "randomBernoulliLike",
    1215: "randomBernoulliStatic", 1220: "randomBernoulliDynamic", 1230: "categoricalDistribution",
    1250: "reduceL1", 1255: "reduceL2", 1260: "reduceMax", 1265: "reduceMin", 1270: "reduceSum",
    1275: "reduceProd", 1280: "reduceMean", 1285: "reduceLogSum", 1290: "reduceSumSquare",
    1295: "reduceLogSumExp", 1313: "whereNonZero", 1315: "matrixBandPart", 1320: "lowerTriangular",
    1325: "upperTriangular", 1330: "whereBroadcastable", 1350: "layerNormalization",
    1400: "NonMaximumSuppression", 1450: "oneHot", 1455: "cumSum", 1460: "clampedReLU",
    1461: "argSort", 1465: "pooling3d", 1466: "globalPooling3d", 1470: "sliceBySize",
    1471: "convolution3d",
}  # fmt: skip
"""What a layer can be, by the number of its field, but for those that hold other layers or code."""

PARAMETER: Final = Schema("Value", {20: one("string", Kind.TEXT), 60: one("bytes", Kind.RANGE)})
_PARAMETERS: Final = Schema("Entry", {1: one("key", Kind.TEXT), 2: one("value", PARAMETER)})
CUSTOM: Final = Schema("CustomLayerParams", {
    10: one("class", Kind.TEXT), 30: many("parameter", _PARAMETERS),
    40: one("description", Kind.TEXT),
})  # fmt: skip
NETWORK: Final = Schema("NeuralNetwork")
_BRANCH: Final = Schema("BranchLayerParams", {1: one("then", NETWORK), 2: one("else", NETWORK)})
_LOOP: Final = Schema("LoopLayerParams", {
    2: one("variable", Kind.TEXT), 3: one("condition", NETWORK), 4: one("body", NETWORK),
})  # fmt: skip
_SHAPE: Final = Schema("Tensor", {1: one("rank", Kind.INT), 2: many("sizes", Kind.INT)})
_LAYER: Final = Schema("NeuralNetworkLayer", {
    1: one("name", Kind.TEXT), 2: many("input", Kind.TEXT), 3: many("output", Kind.TEXT),
    5: many("shape", _SHAPE), 500: one("custom", CUSTOM), 605: one("branch", _BRANCH),
    615: one("loop", _LOOP), **{number: one(name, Kind.RANGE) for number, name in LAYERS.items()},
})  # fmt: skip
_SCALER: Final = Schema("NeuralNetworkImageScaler", {
    10: one("scale", Kind.FLOAT), 20: one("blue", Kind.FLOAT), 21: one("green", Kind.FLOAT),
    22: one("red", Kind.FLOAT), 30: one("gray", Kind.FLOAT),
})  # fmt: skip
_PREPARED: Final = Schema("NeuralNetworkPreprocessing", {
    1: one("feature", Kind.TEXT), 10: one("scaler", _SCALER), 11: one("mean", Kind.RANGE),
})  # fmt: skip
NETWORK.fields |= {
    1: many("layer", _LAYER),
    2: many("preprocessing", _PREPARED),
    5: one("arrays", Kind.INT),
    6: one("images", Kind.INT),
    200: one("probabilities", Kind.TEXT),
}

_LINEAR: Final = Schema("Linear", {1: many("scale", Kind.FLOAT), 2: many("bias", Kind.FLOAT)})
_QUANTISED: Final = Schema(
    "QuantizationParams", {1: one("bits", Kind.INT), 101: one("linear", _LINEAR)}
)
_WEIGHTS: Final = Schema("WeightParams", {
    1: one("floats", Kind.RANGE), 2: one("halves", Kind.RANGE), 30: one("raw", Kind.RANGE),
    31: one("signed", Kind.RANGE), 40: one("quantised", _QUANTISED),
})  # fmt: skip
_EDGES: Final = Schema("EdgeSizes", {1: one("start", Kind.INT), 2: one("end", Kind.INT)})
_BORDER: Final = Schema("BorderAmounts", {10: many("edges", _EDGES)})
_VALID: Final = Schema("ValidPadding", {1: one("amounts", _BORDER)})
_SAME: Final = Schema("SamePadding", {1: one("mode", Kind.INT)})
_BEND: Final = Schema("Activation", {1: one("alpha", Kind.FLOAT), 2: one("beta", Kind.FLOAT)})
_LEARNED: Final = Schema("Activation", {1: one("alpha", _WEIGHTS), 2: one("beta", _WEIGHTS)})
_REDUCTION: Final = Schema("Reduce", {
    1: many("axes", Kind.INT), 2: one("keep", Kind.INT), 3: one("all", Kind.INT),
})  # fmt: skip
_TARGET: Final = Schema("Target", {1: many("target", Kind.INT)})
_AXIS: Final = Schema("Axis", {1: one("axis", Kind.INT), 2: one("second", Kind.INT)})
_LOADED: Final = Schema("LoadConstant", {1: many("shape", Kind.INT), 2: one("data", _WEIGHTS)})
_ALPHA: Final = Schema("Alpha", {1: one("first", Kind.FLOAT), 2: one("alpha", Kind.FLOAT)})
_EMBEDDING: Final = Schema("Embedding", {
    1: one("rows", Kind.INT), 2: one("width", Kind.INT), 20: one("weights", _WEIGHTS),
    21: one("bias", _WEIGHTS),
})  # fmt: skip
_GATES: Final = {
    1: "input", 2: "forget", 3: "block", 4: "output", 20: "input again", 21: "forget again",
    22: "block again", 23: "output again",
}  # fmt: skip
_LSTM_WEIGHTS: Final = Schema("LSTMWeightParams", {n: one(k, _WEIGHTS) for n, k in _GATES.items()})
_SLICED: Final = Schema("Slice", {
    1: many("begin", Kind.INT), 2: many("begin open", Kind.INT), 3: many("end", Kind.INT),
    4: many("end open", Kind.INT), 5: many("steps", Kind.INT), 6: many("gone", Kind.INT),
})  # fmt: skip

PARAMETERS: Final = {
    "convolution": Schema("Convolution", {
        1: one("outputs", Kind.INT), 2: one("inputs", Kind.INT), 10: one("groups", Kind.INT),
        20: many("kernel", Kind.INT), 30: many("stride", Kind.INT), 40: many("dilation", Kind.INT),
        50: one("valid", _VALID), 51: one("same", _SAME), 60: one("turned", Kind.INT),
        90: one("weights", _WEIGHTS), 91: one("bias", _WEIGHTS),
    }),
    "pooling": Schema("Pooling", {
        1: one("type", Kind.INT), 10: many("kernel", Kind.INT), 20: many("stride", Kind.INT),
        30: one("valid", _VALID), 31: one("same", _SAME), 60: one("global", Kind.INT),
    }),
    "activation": Schema("Activation", {
        5: one("linear", _BEND), 10: one("ReLU", _BEND), 15: one("leakyReLU", _BEND),
        20: one("thresholdedReLU", _BEND), 25: one("PReLU", _LEARNED), 30: one("tanh", _BEND),
        31: one("scaledTanh", _BEND), 40: one("sigmoid", _BEND), 41: one("sigmoidHard", _BEND),
        50: one("ELU", _BEND), 60: one("softsign", _BEND), 70: one("softplus", _BEND),
        71: one("parametricSoftplus", _LEARNED),
    }),
    "innerProduct": Schema("InnerProduct", {
        1: one("inputs", Kind.INT), 2: one("outputs", Kind.INT), 20: one("weights", _WEIGHTS),
        21: one("bias", _WEIGHTS),
    }),
    "embedding": _EMBEDDING, "embeddingND": _EMBEDDING,
    "batchnorm": Schema("Batchnorm", {
        1: one("channels", Kind.INT), 5: one("computed", Kind.INT), 6: one("instance", Kind.INT),
        15: one("gamma", _WEIGHTS), 16: one("beta", _WEIGHTS), 17: one("mean", _WEIGHTS),
        18: one("variance", _WEIGHTS),
    }),
    "mvn": Schema("Mvn", {1: one("across", Kind.INT)}),
    "lrn": Schema("Lrn", {3: one("size", Kind.INT)}),
    "crop": Schema("Crop", {1: one("amounts", _BORDER), 5: many("offset", Kind.INT)}),
    "padding": Schema("Padding", {10: one("amounts", _BORDER)}),
    "upsample": Schema("Upsample", {1: many("scale", Kind.INT)}),
    "resizeBilinear": _TARGET,
    "unary": Schema("Unary", {
        1: one("type", Kind.INT), 2: one("alpha", Kind.FLOAT), 3: one("epsilon", Kind.FLOAT),
        4: one("shift", Kind.FLOAT), 5: one("scale", Kind.FLOAT),
    }),
    "add": Schema("Add", {1: one("alpha", Kind.FLOAT)}),
    "multiply": Schema("Multiply", {1: one("alpha", Kind.FLOAT)}),
    "scale": Schema("Scale", {
        1: many("shape", Kind.INT), 2: one("data", _WEIGHTS), 3: one("biased", Kind.INT),
        4: many("bias shape", Kind.INT), 5: one("bias", _WEIGHTS),
    }),
    "bias": _LOADED, "loadConstant": _LOADED, "loadConstantND": _LOADED,
    "dot": Schema("Dot", {1: one("cosine", Kind.INT)}),
    "reduce": Schema("Reduce", {1: one("mode", Kind.INT), 3: one("axis", Kind.INT)}),
    "reshape": _TARGET, "reshapeStatic": _TARGET, "rankPreservingReshape": _TARGET,
    "broadcastToStatic": _TARGET, "tile": _TARGET, "permute": _TARGET, "transpose": _TARGET,
    "expandDims": _TARGET, "reverse": _TARGET,
    "squeeze": Schema("Squeeze", {1: many("target", Kind.INT), 2: one("all", Kind.INT)}),
    "concat": Schema("Concat", {100: one("sequence", Kind.INT)}),
    "split": Schema("Split", {1: one("count", Kind.INT)}),
    "sequenceRepeat": Schema("Repeat", {1: one("count", Kind.INT)}),
    "reorganizeData": Schema("Reorganize", {1: one("mode", Kind.INT), 2: one("block", Kind.INT)}),
    "slice": Schema("Slice", {
        1: one("start", Kind.INT), 2: one("end", Kind.INT), 3: one("step", Kind.INT),
        4: one("axis", Kind.INT),
    }),
    "simpleRecurrent": Schema("Recurrent", {
        1: one("inputs", Kind.INT), 2: one("outputs", Kind.INT), 30: one("first", _WEIGHTS),
        31: one("first again", _WEIGHTS),
    }),
    "gru": Schema("Gru", {
        1: one("inputs", Kind.INT), 2: one("outputs", Kind.INT), 30: one("update", _WEIGHTS),
        31: one("reset", _WEIGHTS), 32: one("output", _WEIGHTS), 50: one("update again", _WEIGHTS),
        51: one("reset again", _WEIGHTS), 52: one("output again", _WEIGHTS),
    }),
    "uniDirectionalLSTM": Schema("Lstm", {
        1: one("inputs", Kind.INT), 2: one("outputs", Kind.INT), 20: many("cells", _LSTM_WEIGHTS),
    }),
    "biDirectionalLSTM": Schema("Lstm", {
        1: one("inputs", Kind.INT), 2: one("outputs", Kind.INT), 20: many("cells", _LSTM_WEIGHTS),
    }),
    "rangeStatic": Schema("Range", {
        1: one("end", Kind.FLOAT), 2: one("start", Kind.FLOAT), 3: one("step", Kind.FLOAT),
    }),
    "clip": _ALPHA, "clampedReLU": _ALPHA,
    **dict.fromkeys(("equal", "notEqual"), Schema("Alpha", {1: one("alpha", Kind.FLOAT)})),
    **dict.fromkeys(("lessThan", "lessEqual", "greaterThan", "greaterEqual"), _ALPHA),
    **dict.fromkeys(("stack", "gather", "scatter", "gatherAlongAxis", "scatterAlongAxis",
                     "softmaxND", "concatND", "argMax", "argMin", "cumSum", "flattenTo2D",
                     "topK", "splitND"), _AXIS),
    **dict.fromkeys(("reduceL1", "reduceL2", "reduceMax", "reduceMin", "reduceSum", "reduceProd",
                     "reduceMean", "reduceLogSum", "reduceSumSquare", "reduceLogSumExp"),
                    _REDUCTION),
    "sliceStatic": _SLICED,
    "batchedMatmul": Schema("Matmul", {
        1: one("turn first", Kind.INT), 2: one("turn second", Kind.INT), 5: one("rows", Kind.INT),
        6: one("columns", Kind.INT), 8: one("weights", _WEIGHTS), 9: one("bias", _WEIGHTS),
    }),
    "fillLike": Schema("Fill", {1: one("value", Kind.FLOAT)}),
    "fillStatic": Schema("Fill", {1: one("value", Kind.FLOAT), 2: many("target", Kind.INT)}),
    "fillDynamic": Schema("Fill", {1: one("value", Kind.FLOAT)}),
    "constantPad": Schema("Pad", {2: many("amounts", Kind.INT)}),
    "layerNormalization": Schema("LayerNorm", {
        1: many("shape", Kind.INT), 3: one("gamma", _WEIGHTS), 4: one("beta", _WEIGHTS),
    }),
    "oneHot": Schema("OneHot", {1: one("size", Kind.INT), 2: one("axis", Kind.INT)}),
}  # fmt: skip
"""What layers are set to, where that matters to what they compute."""
