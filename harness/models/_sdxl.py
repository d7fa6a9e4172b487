"""A Stable Diffusion XL pipeline of diffusers, seen as a text-to-image model."""

import copy
from pathlib import Path
from typing import Any

from harness.core.model import Call
from harness.models._noise import generators, initial_latents


class SdxlModel:
    """Generates images with per-(prompt, seed) noise; parts are found by their role."""

    def __init__(self, pipeline: Any, device: str, lcm_lora: Path | None = None) -> None:
        self.pipeline, self.device, self.lcm_lora = pipeline, device, lcm_lora

    @classmethod
    def from_folder(cls, folder: Path, device: str, options: dict[str, Any]) -> "SdxlModel":
        """Load a folder in diffusers' layout; `options["dtype"]` is torch's name of a dtype."""
        import torch
        from diffusers import StableDiffusionXLPipeline

        dtype = getattr(torch, options.get("dtype", "float32"))
        pipeline = StableDiffusionXLPipeline.from_pretrained(str(folder), torch_dtype=dtype, local_files_only=True)
        pipeline.set_progress_bar_config(disable=True)
        return cls(pipeline.to(device), device)

    def generate(self, call: Call) -> Any:
        """Return float32 images in [0, 1] of shape (n, height, width, 3)."""
        sources = generators(call.keys)
        scale = self.pipeline.vae_scale_factor
        channels = self.pipeline.unet.config.in_channels
        latents = initial_latents(sources, (channels, call.height // scale, call.width // scale))
        return self.pipeline(
            prompt=list(call.prompts),
            latents=latents.to(self.device, self.pipeline.unet.dtype),
            generator=sources,
            num_inference_steps=call.steps,
            guidance_scale=call.guidance,
            height=call.height,
            width=call.width,
            output_type="np",
        ).images

    def twin(self) -> "SdxlModel":
        """Return a model that shares the weights and has its own scheduler, the one part that keeps state."""
        pipeline = copy.copy(self.pipeline)
        pipeline.scheduler = copy.deepcopy(self.pipeline.scheduler)
        return SdxlModel(pipeline, self.device, self.lcm_lora)

    def parts(self) -> dict[str, Any]:
        """Return what is called for each stage; the VAE's decoder stands for the VAE, since only it is called."""
        encoders = {name: getattr(self.pipeline, name, None) for name in ("text_encoder", "text_encoder_2")}
        found = {name: module for name, module in encoders.items() if module is not None}
        return {**found, "denoiser": self.pipeline.unet, "vae": self.pipeline.vae.decoder}

    def weights_bytes(self) -> dict[str, int]:
        """Return the bytes of each component's parameters and buffers."""
        import torch

        components = {
            name: part for name, part in self.pipeline.components.items() if isinstance(part, torch.nn.Module)
        }
        return {
            name: sum(tensor.nbytes for tensor in [*part.parameters(), *part.buffers()])
            for name, part in components.items()
        }
