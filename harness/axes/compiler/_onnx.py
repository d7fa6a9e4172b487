"""The denoiser as an ONNX graph, exported once and kept."""

from importlib import metadata
from pathlib import Path
from typing import Any

from harness.axes.compiler._artefacts import Artefact, fingerprint, keep
from harness.axes.compiler._exporting import OPSET, export
from harness.axes.compiler._recording import Recording

RECIPE = 4
"""Raised when the export below changes, so that graphs of the older one are not taken."""
FILE = "denoiser.onnx"


def export_onnx(denoiser: Any, recording: Recording, cache: Path) -> Artefact:
    """Return the folder with the graph: batch, height and width are free (not the sizes of PixArt).

    Kept under the denoiser's weights and structure, the inputs' types and sizes, and the versions that exported it.
    """
    tensors = recording.inputs.tensors
    described = [(name, str(tensor.dtype), tuple(tensor.shape)) for name, tensor in tensors.items()]
    versions = [metadata.version(name) for name in ("torch", "diffusers", "onnxscript")]
    constants = sorted(recording.inputs.constants.items())
    key = (fingerprint(denoiser), described, recording.groups, constants, versions, OPSET, RECIPE)
    return keep(cache / "onnx", key, lambda folder: export(denoiser, recording, folder / FILE))
