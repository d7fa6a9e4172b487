"""FLUX.1: CLIP and T5, a transformer with guidance as input (dev) or without (schnell)."""

from typing import Any, ClassVar

from harness.core.model import Arguments, ModelInfo
from harness.models._facts import compute_vae_scale, describe_family
from harness.models._folder import Folder
from harness.models._pipeline import ENCODERS, Keys, PipelineModel, draw_latents, make_generators


class Flux(PipelineModel):
    family: ClassVar = "flux"
    pipeline_class: ClassVar = "FluxPipeline"
    image_pipeline_class: ClassVar = "FluxImg2ImgPipeline"
    encoders: ClassVar = ENCODERS[:2]
    text_lengths: ClassVar = {"tokenizer_2": 512}
    true_guidance: ClassVar = False
    embedding_names: ClassVar = ("prompt_embeds", "pooled_prompt_embeds")
    recipe_encode: ClassVar = "pipe.encode_prompt(prompts, None, device=DEVICE)[:2]"
    recipe_noise: ClassVar = (
        "channels = pipe.transformer.config.in_channels // 4",
        "shape = (channels, height // scale, width // scale)",
        "return pipe._pack_latents(draw_latents(generators, shape), len(generators), *shape)",
    )

    @classmethod
    def describe(cls, folder: Folder) -> ModelInfo:
        scale = compute_vae_scale(folder)
        embedded = bool(folder.config("transformer").get("guidance_embeds"))
        tags = {"transformer", "joint-attention"}
        tags |= {"embedded-guidance"} if embedded else {"no-guidance"}
        return describe_family(
            cls.family, folder, 3.5 if embedded else 1.0, (128 * scale, 2 * scale), tags
        )

    def _encode(self, prompts: list[str], guided: bool, negative: Arguments) -> tuple[Any, ...]:
        embeddings, pooled, _ = self.pipeline.encode_prompt(prompts, None, device=self.device)
        return embeddings, pooled

    def noise(self, keys: Keys, width: int, height: int, sources: list[Any] | None = None) -> Any:
        """Return float32 noise of shape (n, height·width / 4f², 4·channels): packed 2×2."""
        scale = self.pipeline.vae_scale_factor
        shape = (self.denoiser.config.in_channels // 4, height // scale, width // scale)
        latents = draw_latents(sources or make_generators(keys), shape, self.latent)
        return self.pipeline._pack_latents(latents, len(keys), *shape)
