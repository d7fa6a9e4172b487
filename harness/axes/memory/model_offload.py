"""One part of the pipeline on the GPU at a time: text encoder, then denoiser, then VAE."""

from typing import ClassVar

from harness.axes.memory._offload import Fetch, Offload
from harness.core.model import TextToImage


class ModelOffload(Offload):
    """The largest part must fit; each comes once an image, so large batches hardly notice."""

    summary: ClassVar[str] = "one part of the pipeline on the GPU at a time"
    conflicts: ClassVar = Offload.conflicts | {
        "stored-latents"
    }  # a store stands where the pipeline looks for its hooks
    resident: ClassVar = "part"

    def offload(self, model: TextToImage) -> list[Fetch]:
        import torch

        model.pipeline.enable_model_cpu_offload(device=model.device)
        parts = [part for part in model.pipeline.components.values() if isinstance(part, torch.nn.Module)]
        # Its hooks are made anew after every image, but all of them move a part by its own `to`.
        return [Fetch(part, "to", part.parameters) for part in parts]
