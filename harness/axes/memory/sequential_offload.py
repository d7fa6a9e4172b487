"""One layer on the GPU at a time."""

from collections.abc import Iterator
from functools import partial
from typing import Any, ClassVar

from harness.axes.memory._offload import Fetch, Offload
from harness.core.model import TextToImage


class SequentialOffload(Offload):
    """The least memory and the slowest: every layer's weights come in every denoiser call, one after the other."""

    summary: ClassVar[str] = "one layer on the GPU at a time: least memory, slowest"
    conflicts: ClassVar = Offload.conflicts | {"reads-weights"}
    resident: ClassVar = "layer"
    waits: ClassVar = "meta"

    def offload(self, model: TextToImage) -> list[Fetch]:
        import torch

        model.pipeline.enable_sequential_cpu_offload(device=model.device)
        parts = [part for part in model.pipeline.components.values() if isinstance(part, torch.nn.Module)]
        return [fetch for part in parts for fetch in layer_fetches(part)]


def layer_fetches(part: Any) -> Iterator[Fetch]:
    """Yield where accelerate's hooks fetch the weights of each layer of a network."""
    for layer in part.modules():
        if hasattr(layer, "_hf_hook") and next(layer.parameters(recurse=False), None) is not None:
            yield Fetch(layer._hf_hook, "pre_forward", partial(layer.parameters, recurse=False))
