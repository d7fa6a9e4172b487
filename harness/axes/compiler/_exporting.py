"""From a torch module to an ONNX file."""

import contextlib
import io
from pathlib import Path
from typing import Any

from harness.axes.compiler._recording import Recording
from harness.core.errors import HarnessError

OPSET = 20
ONE_SIZE = frozenset({"PixArtTransformer2DModel"})
"""Denoisers whose position embedding is computed outside the graph: it holds one size, and only the batch is free."""


def export(denoiser: Any, recording: Recording, path: Path) -> dict[str, Any]:
    """Write the denoiser's graph, its weights beside it, and return its number of nodes and bytes.

    Raises HarnessError where torch cannot trace the denoiser, or ONNX lacks an operation.
    """
    import torch

    from harness.axes.compiler._module import Flat

    tensors = recording.inputs.tensors
    groups = recording.groups[:1] if type(denoiser).__name__ in ONE_SIZE else recording.groups
    shapes: dict[str, dict[int, Any]] = {name: {} for name in tensors}
    for name, axis in (place for group in groups for place in group):
        shapes[name][axis] = torch.export.Dim.DYNAMIC  # an error where a size turns out to be a constant
    module = Flat(denoiser, recording._replace(groups=groups)).eval()
    try:
        with torch.no_grad(), contextlib.redirect_stdout(io.StringIO()):
            traced = torch.export.export(module, tuple(tensors.values()), dynamic_shapes=(tuple(shapes.values()),))
            _drop_idle_squeezes(traced)
            _slice_splits(traced)
            names = {"input_names": list(tensors), "output_names": ["output"]}
            program = torch.onnx.export(traced, opset_version=OPSET, optimize=False, verbose=False, **names)
            _simplify(program.model)
    except (RuntimeError, ValueError) as error:  # what both exporters raise
        raise HarnessError(
            f"the {type(denoiser).__name__} cannot be exported to ONNX: {_cause(error)}",
            "compiler",
            "Leave out what changes its layers, or use inductor or eager.",
        ) from error
    program.save(path, external_data=True)
    graph = program.model.graph
    return {"nodes": len(graph), "bytes": _bytes(path.parent)}


def _simplify(model: Any) -> None:
    """Fold constants only: onnxscript's rewriter takes adding less than 1e-8 for adding zero; Sana adds 1e-15."""
    from onnxscript import optimizer

    optimizer.inline(model)
    optimizer.fold_constants(model)
    optimizer.remove_unused_nodes(model)


def _drop_idle_squeezes(traced: Any) -> None:
    """Remove squeezes of a dimension that is not 1: torch ignores them (PixArt has one), ONNX refuses them."""
    import torch

    for node in list(traced.graph.nodes):
        if node.target == torch.ops.aten.squeeze.dim and node.args[0].meta["val"].shape[node.args[1]] != 1:
            node.replace_all_uses_with(node.args[0])
            traced.graph.erase_node(node)
    traced.graph_module.recompile()


def _slice_splits(traced: Any) -> None:
    """Cut text from image tokens (FLUX) by slices: a split into a known and a free size becomes a sequence in ONNX,
    and TensorRT reads no sequences."""
    import torch

    for node in list(traced.graph.nodes):
        if node.target != torch.ops.aten.split_with_sizes.default:
            continue
        tensor, sizes, *dimension = node.args
        if not all(isinstance(size, int) for size in sizes[:-1]):
            continue
        starts = [sum(sizes[:number]) for number in range(len(sizes))]
        for item in list(node.users):  # each takes one part
            begin = starts[item.args[1]]
            last = item.args[1] == len(sizes) - 1
            end = 2**63 - 1 if last else begin + sizes[item.args[1]]
            with traced.graph.inserting_before(item):
                arguments = (tensor, *(dimension or [0]), begin, end)
                part = traced.graph.call_function(torch.ops.aten.slice.Tensor, arguments)
            part.meta = dict(item.meta)
            item.replace_all_uses_with(part)
            traced.graph.erase_node(item)
        traced.graph.erase_node(node)
    traced.graph_module.recompile()


def _cause(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())
