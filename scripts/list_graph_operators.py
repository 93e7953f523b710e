"""Write src/weighbridge/intel/graph_operators.json: the operators that frameworks bring along.

python scripts/list_graph_operators.py FRAMEWORK, in an environment where that one is installed:
`coreml` (coremltools), `paddle` (paddlepaddle), `mxnet`. The lists of the others are kept.
"""

from __future__ import annotations

import ctypes
import importlib.util
import json
import re
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

OUT = Path(__file__).parents[1] / "src/weighbridge/intel/graph_operators.json"


def coreml() -> dict[str, set[str]]:
    """The operations of ML programs."""
    from coremltools.converters.mil.mil.ops.registry import SSAOpRegistry

    later = {"constexpr_lut_to_dense", "write_state", "read_state", "scatter", "classify"}
    return {"coreml": {*SSAOpRegistry.core_ops, *SSAOpRegistry.dialect_ops, *later}}


def paddle() -> dict[str, set[str]]:
    """The operators of both kinds of program; those of the newer kind stand in the library."""
    import paddle.base.libpaddle
    from paddle.base import core
    from paddle.base.framework import OpProtoHolder

    old = {*core._get_all_register_op_kernels(), *OpProtoHolder.instance().op_proto_map}
    old |= set(OLDER.split())
    binary = Path(paddle.base.libpaddle.__file__).read_bytes()
    new = {m.decode() for m in re.findall(rb"\bpd_op\.([a-z][a-z0-9_]{1,60})\b", binary)}
    return {"paddle": old, "paddle-pir": new}


def mxnet() -> dict[str, set[str]]:
    """The operators that the library registers; asked without importing the package."""
    found = importlib.util.find_spec("mxnet")
    if found is None or found.origin is None:
        raise SystemExit("mxnet is not installed")
    library = ctypes.CDLL(str(Path(found.origin).parent / "libmxnet.so"))
    count, names = ctypes.c_uint(), ctypes.POINTER(ctypes.c_char_p)()
    library.MXListAllOpNames(ctypes.byref(count), ctypes.byref(names))
    return {"mxnet": {names[i].decode() for i in range(count.value)}}


OLDER = """
assign_pos bilinear_interp crop crop_tensor depthwise_conv2d dropout2 elementwise_add
expand_as flatten gaussian_random hard_swish im2sequence lookup_table matmul mul nearest_interp
one_hot pad2d reduce_sum reshape sequence_concat sequence_enumerate sequence_erase
sequence_expand_as sequence_pad sequence_reshape sequence_reverse sequence_scatter sequence_slice
sequence_topk_avg_pooling sequence_unpad squeeze sum top_k transpose uniform_random unsqueeze
unstack while lod_tensor_to_array write_to_array shrink_rnn_memory max_sequence_len
tensor_array_to_tensor fill_zeros_like fill_zeros_like2 polygon_box_transform similarity_focus
target_assign mine_hard_examples rpn_target_assign retinanet_target_assign
retinanet_detection_output locality_aware_nms multiclass_nms2 box_decoder_and_assign
roi_perspective_transform
generate_proposal_labels generate_mask_labels density_prior_box detection_map yolo_box yolov3_loss
deformable_psroi_pooling sync_batch_norm inplace_abn space_to_depth unpool unpool3d spp scatter_nd
cos_sim squared_l2_distance squared_l2_norm l1_norm bpr_loss rank_loss margin_rank_loss
modified_huber_loss teacher_student_sigmoid_loss warpctc linear_chain_crf sampling_id
unique unique_with_counts where where_index trilinear_interp linear_interp bicubic_interp
affine_channel pixel_shuffle temporal_shift pad_constant_like random_crop data_norm
"""
"""Of Paddle 1 and 2, by their documentation; Paddle 3 loads them under other names."""

READERS = {"coreml": (coreml, "coremltools"), "paddle": (paddle, "paddlepaddle"),
           "mxnet": (mxnet, "mxnet")}  # fmt: skip


def main(framework: str) -> None:
    """Ask, merge, write."""
    read, package = READERS[framework]
    lists = json.loads(OUT.read_text()) if OUT.exists() else {"from": {}, "operators": {}}
    lists["reviewed"] = datetime.now(UTC).date().isoformat()
    lists["from"][framework] = f"{package} {version(package)}"
    lists["operators"] |= {k: " ".join(sorted(names)) for k, names in read().items()}
    OUT.write_text(json.dumps(lists, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
