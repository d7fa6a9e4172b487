"""Export the denoiser to ONNX, and run the graph with ONNX Runtime. Imports torch."""

import contextlib
import io
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.fx import Node

from harness.axes.compiler._artefacts import Artefact, fingerprint, keep
from harness.axes.compiler._replacement import FlatDenoiser, Recording, Tensors
from harness.core.errors import HarnessError

ATEN = torch.ops.aten
FILE = "denoiser.onnx"
OPSET = 20
RECIPE = 4
"""Increased when the export below changes, so that graphs of the older one are not used."""
ONE_SIZE = frozenset({"PixArtTransformer2DModel"})
"""Denoisers with a position embedding computed outside the graph: only their batch is free."""


def takes_all_sizes(denoiser: Any) -> bool:
    """Return whether one graph of the denoiser serves images of every size."""
    return type(denoiser).__name__ not in ONE_SIZE


def export_onnx(denoiser: Any, recording: Recording, cache: Path) -> Artefact:
    """Return the folder with the graph; batch, height and width are free (except PixArt's sizes).

    Its key covers the denoiser's weights and structure, the inputs' types and sizes, and the
    versions of the exporters.
    """
    tensors = recording.inputs.tensors
    described = [(name, str(tensor.dtype), tuple(tensor.shape)) for name, tensor in tensors.items()]
    versions = [version(name) for name in ("torch", "diffusers", "onnxscript")]
    constants = sorted(recording.inputs.constants.items())
    weights = fingerprint(denoiser)
    key = (weights, described, recording.groups, constants, versions, OPSET, RECIPE)
    return keep(cache / "onnx", key, lambda folder: export(denoiser, recording, folder / FILE))


def export(denoiser: Any, recording: Recording, path: Path) -> dict[str, Any]:
    """Write the denoiser's graph and weights; return its number of nodes and bytes.

    Raises HarnessError if torch cannot trace the denoiser or ONNX has no such operation.
    """
    tensors = recording.inputs.tensors
    groups = recording.groups if takes_all_sizes(denoiser) else recording.groups[:1]
    shapes: dict[str, dict[int, Any]] = {name: {} for name in tensors}
    for name, axis in (dimension for group in groups for dimension in group):
        shapes[name][axis] = torch.export.Dim.DYNAMIC  # an error if a size turns out constant
    module = FlatDenoiser(denoiser, recording._replace(groups=groups)).eval()
    given, dynamic = tuple(tensors.values()), (tuple(shapes.values()),)
    names = {"input_names": list(tensors), "output_names": ["output"]}
    try:
        with torch.no_grad(), contextlib.redirect_stdout(io.StringIO()):
            traced = torch.export.export(module, given, dynamic_shapes=dynamic)
            rewrite(traced)
            program = torch.onnx.export(
                traced, opset_version=OPSET, optimize=False, verbose=False, **names
            )
            simplify(program.model)
    except (RuntimeError, ValueError) as error:  # both exporters raise these
        raise HarnessError(
            f"{type(denoiser).__name__} cannot be exported to ONNX: {_find_cause(error)}",
            "compiler",
            "Leave out the value that changes its layers, or use inductor or eager.",
        ) from error
    program.save(path, external_data=True)
    size = sum(file.stat().st_size for file in path.parent.iterdir())
    return {"nodes": len(program.model.graph), "bytes": size}


def simplify(model: Any) -> None:
    """Fold constants only: onnxscript's rewriter drops additions below 1e-8; Sana adds 1e-15."""
    from onnxscript import optimizer

    optimizer.inline(model)
    optimizer.fold_constants(model)
    optimizer.remove_unused_nodes(model)


def _find_cause(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def rewrite(traced: Any) -> None:
    """Replace operations of a traced graph that ONNX or TensorRT does not support, in place."""
    for node in list(traced.graph.nodes):
        if node.target == ATEN.squeeze.dim:
            _drop_idle_squeeze(node)
        elif node.target == ATEN.split_with_sizes.default:
            _slice_split(node)
        elif node.target in (ATEN.cat.default, ATEN.concat.default):
            _cast_joined(node)
    traced.graph_module.recompile()


def _drop_idle_squeeze(node: Node) -> None:
    """Remove a squeeze of a dimension that is not 1: torch ignores it (PixArt), ONNX refuses it."""
    tensor: Any = node.args[0]
    if tensor.meta["val"].shape[node.args[1]] != 1:
        node.replace_all_uses_with(tensor)
        node.graph.erase_node(node)


def _slice_split(node: Node) -> None:
    """Replace a split with a free last size (FLUX: text, image) by slices.

    ONNX makes it a sequence, which TensorRT cannot read.
    """
    tensor, sizes, *dimension = node.args
    if not all(isinstance(size, int) for size in sizes[:-1]):  # type: ignore[index, union-attr]
        return
    ends = [sum(sizes[: number + 1]) for number in range(len(sizes) - 1)]  # type: ignore[index, arg-type, misc]
    bounds = list(zip([0, *ends], [*ends, 2**63 - 1], strict=True))
    for item in list(node.users):  # each takes one part
        begin, end = bounds[item.args[1]]  # type: ignore[call-overload, index]
        given = (tensor, *(dimension or [0]), begin, end)
        with node.graph.inserting_before(item):
            part = node.graph.call_function(ATEN.slice.Tensor, given)
        part.meta = dict(item.meta)
        item.replace_all_uses_with(part)
        node.graph.erase_node(item)
    node.graph.erase_node(node)


def _cast_joined(node: Node) -> None:
    """Cast joined tensors to the result's type, as torch does (SDXL in FP16) and ONNX does not."""
    wanted = node.meta["val"].dtype
    tensors: Any = node.args[0]
    joined = []
    for tensor in tensors:
        cast = tensor
        if tensor.meta["val"].dtype != wanted:
            with node.graph.inserting_before(node):
                to_type = {"dtype": wanted}
                cast = node.graph.call_function(ATEN._to_copy.default, (tensor,), to_type)
            cast.meta = {**tensor.meta, "val": tensor.meta["val"].to(wanted)}
        joined.append(cast)
    node.args = (joined, *node.args[1:])


class Session:
    """Runs a graph with ONNX Runtime: NumPy views on a CPU, bound device memory on a GPU."""

    def __init__(self, graph: Path, device: str) -> None:
        import onnxruntime

        onnxruntime.set_default_logger_severity(3)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()  # as eager
        # Spinning threads slow other processes down.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # The provider would use TF32 by default.
        tf32 = {"use_tf32": int(torch.backends.cuda.matmul.allow_tf32)}
        wanted = [("CUDAExecutionProvider", tf32)] if device.startswith("cuda") else []
        providers = [*wanted, "CPUExecutionProvider"]
        self._session = onnxruntime.InferenceSession(str(graph), options, providers)
        self.provider: str = self._session.get_providers()[0]
        self._on_gpu = self.provider == "CUDAExecutionProvider"
        self.lacks_cuda = bool(wanted) and not self._on_gpu
        # The exporter removes unused inputs.
        self._inputs = {node.name for node in self._session.get_inputs()}

    def run(self, tensors: Tensors) -> Any:
        """Return the output for tensors by name, on their device."""
        used = {name: tensor for name, tensor in tensors.items() if name in self._inputs}
        if self._on_gpu:
            return self._run_bound(used)
        arrays = {name: tensor.detach().cpu().numpy() for name, tensor in used.items()}
        return torch.from_numpy(self._session.run(None, arrays)[0])

    def _run_bound(self, tensors: Tensors) -> Any:
        """Run with inputs and output in the GPU's memory."""
        binding = self._session.io_binding()
        alive = []  # contiguous copies must live until the run is over
        for name, tensor in tensors.items():
            alive.append(tensor.detach().to("cuda").contiguous())
            kind = str(tensor.dtype).removeprefix("torch.").replace("bool", "bool_")
            shape, address = tuple(tensor.shape), alive[-1].data_ptr()
            index = alive[-1].device.index or 0
            binding.bind_input(name, "cuda", index, getattr(np, kind), shape, address)
        binding.bind_output("output", "cuda")
        torch.cuda.current_stream().synchronize()  # ONNX Runtime computes in another stream
        self._session.run_with_iobinding(binding)
        return torch.from_dlpack(binding.get_outputs()[0]._ortvalue.to_dlpack()).clone()
