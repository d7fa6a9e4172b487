"""What torch traces and ONNX, or TensorRT, does not take: said in other operations. Imports torch."""

from typing import Any

import torch
from torch.fx import Node

ATEN = torch.ops.aten


def rewrite(traced: Any) -> None:
    """Change the graph of an exported program in place; what it computes stays the same."""
    for node in list(traced.graph.nodes):
        if node.target == ATEN.squeeze.dim:
            _drop_idle_squeeze(node)
        elif node.target == ATEN.split_with_sizes.default:
            _slice_split(node)
        elif node.target in (ATEN.cat.default, ATEN.concat.default):
            _cast_joined(node)
    traced.graph_module.recompile()


def _drop_idle_squeeze(node: Node) -> None:
    """Remove a squeeze of a dimension that is not 1: torch ignores it (PixArt has one), ONNX refuses it."""
    tensor: Any = node.args[0]
    if tensor.meta["val"].shape[node.args[1]] != 1:
        node.replace_all_uses_with(tensor)
        node.graph.erase_node(node)


def _slice_split(node: Node) -> None:
    """Cut by slices: a split whose last size is free (FLUX: text, image) is a sequence in ONNX; TensorRT reads none."""
    tensor, sizes, *dimension = node.args
    if not all(isinstance(size, int) for size in sizes[:-1]):  # type: ignore[index, union-attr]
        return
    ends = [sum(sizes[: number + 1]) for number in range(len(sizes) - 1)]  # type: ignore[index, arg-type, misc]
    bounds = list(zip([0, *ends], [*ends, 2**63 - 1], strict=True))
    for item in list(node.users):  # each takes one part
        begin, end = bounds[item.args[1]]  # type: ignore[call-overload, index]
        with node.graph.inserting_before(item):
            part = node.graph.call_function(ATEN.slice.Tensor, (tensor, *(dimension or [0]), begin, end))
        part.meta = dict(item.meta)
        item.replace_all_uses_with(part)
        node.graph.erase_node(item)
    node.graph.erase_node(node)


def _cast_joined(node: Node) -> None:
    """Cast what is joined to the type of the whole: torch does it by itself (SDXL in FP16: `concat`), ONNX does not."""
    wanted = node.meta["val"].dtype
    tensors: Any = node.args[0]
    joined = []
    for tensor in tensors:
        found = tensor
        if tensor.meta["val"].dtype != wanted:
            with node.graph.inserting_before(node):
                found = node.graph.call_function(ATEN._to_copy.default, (tensor,), {"dtype": wanted})
            found.meta = {**tensor.meta, "val": tensor.meta["val"].to(wanted)}
        joined.append(found)
    node.args = (joined, *node.args[1:])
