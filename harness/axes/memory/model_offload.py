"""One part of the pipeline on the GPU at a time: text encoder, then denoiser, then VAE."""

from typing import ClassVar

from harness.axes.memory._offload import Fetch, Offload, list_networks
from harness.core.model import TextToImage


class ModelOffload(Offload):
    """The largest part must fit. Each part is moved once per image: little for large batches."""

    summary: ClassVar[str] = "one part of the pipeline on the GPU at a time"
    # A latent store takes the place of the denoiser, where the pipeline expects its hooks.
    conflicts: ClassVar = Offload.conflicts | {"stored-latents"}
    resident: ClassVar = "part"

    def offload(self, model: TextToImage) -> list[Fetch]:
        model.pipeline.enable_model_cpu_offload(device=model.device)
        # Each image gets new hooks, but all of them call the part's `to`.
        return [Fetch(part, "to", part.parameters) for part in list_networks(model)]

    def recipe_offload(self) -> tuple[str, ...]:
        return ("pipe.enable_model_cpu_offload(device=DEVICE)",)
