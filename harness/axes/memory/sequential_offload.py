"""One layer on the GPU at a time."""

from collections.abc import Iterator
from functools import partial
from typing import Any, ClassVar

from harness.axes.memory._offload import Fetch, Offload, list_networks
from harness.core.model import TextToImage


class SequentialOffload(Offload):
    """Least memory, slowest: every denoiser call moves all layers' weights, one by one."""

    summary: ClassVar[str] = "one layer on the GPU at a time: least memory, slowest"
    conflicts: ClassVar = Offload.conflicts | {"reads-weights"}
    resident: ClassVar = "layer"
    waits: ClassVar = "meta"

    def offload(self, model: TextToImage) -> list[Fetch]:
        model.pipeline.enable_sequential_cpu_offload(device=model.device)
        return [fetch for part in list_networks(model) for fetch in list_layer_fetches(part)]

    def recipe_offload(self) -> tuple[str, ...]:
        return ("pipe.enable_sequential_cpu_offload(device=DEVICE)",)


def list_layer_fetches(part: Any) -> Iterator[Fetch]:
    """Yield the methods of accelerate's hooks that move each layer's weights."""
    for layer in part.modules():
        if hasattr(layer, "_hf_hook") and next(layer.parameters(recurse=False), None) is not None:
            yield Fetch(layer._hf_hook, "pre_forward", partial(layer.parameters, recurse=False))
