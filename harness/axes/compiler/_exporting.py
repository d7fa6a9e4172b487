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


def takes_all_sizes(denoiser: Any) -> bool:
    """Return whether one graph of the denoiser serves pictures of every size."""
    return type(denoiser).__name__ not in ONE_SIZE


def export(denoiser: Any, recording: Recording, path: Path) -> dict[str, Any]:
    """Write the denoiser's graph, its weights beside it, and return its number of nodes and bytes.

    Raises HarnessError where torch cannot trace the denoiser, or ONNX lacks an operation.
    """
    import torch

    from harness.axes.compiler._module import Flat
    from harness.axes.compiler._rewriting import rewrite

    tensors = recording.inputs.tensors
    groups = recording.groups if takes_all_sizes(denoiser) else recording.groups[:1]
    shapes: dict[str, dict[int, Any]] = {name: {} for name in tensors}
    for name, axis in (place for group in groups for place in group):
        shapes[name][axis] = torch.export.Dim.DYNAMIC  # an error where a size turns out to be a constant
    module = Flat(denoiser, recording._replace(groups=groups)).eval()
    try:
        with torch.no_grad(), contextlib.redirect_stdout(io.StringIO()):
            traced = torch.export.export(module, tuple(tensors.values()), dynamic_shapes=(tuple(shapes.values()),))
            rewrite(traced)
            names = {"input_names": list(tensors), "output_names": ["output"]}
            program = torch.onnx.export(traced, opset_version=OPSET, optimize=False, verbose=False, **names)
            simplify(program.model)
    except (RuntimeError, ValueError) as error:  # what both exporters raise
        raise HarnessError(
            f"the {type(denoiser).__name__} cannot be exported to ONNX: {_cause(error)}",
            "compiler",
            "Leave out what changes its layers, or use inductor or eager.",
        ) from error
    program.save(path, external_data=True)
    graph = program.model.graph
    return {"nodes": len(graph), "bytes": _bytes(path.parent)}


def simplify(model: Any) -> None:
    """Fold constants only: onnxscript's rewriter takes adding less than 1e-8 for adding zero; Sana adds 1e-15."""
    from onnxscript import optimizer

    optimizer.inline(model)
    optimizer.fold_constants(model)
    optimizer.remove_unused_nodes(model)


def _cause(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())
