"""Put the tiny parts together as pipelines and save them."""

from collections.abc import Callable
from pathlib import Path

import diffusers as d
import torch

from tests.tiny import parts, tokenizers


def sd() -> d.DiffusionPipeline:
    return d.StableDiffusionPipeline(
        vae=parts.vae(), text_encoder=parts.clip_text(projection=False), tokenizer=tokenizers.clip(),
        unet=parts.sd_unet(),
        scheduler=d.PNDMScheduler(beta_schedule="scaled_linear", skip_prk_steps=True, steps_offset=1),
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip


def sdxl(second: int = parts.WIDTH) -> d.DiffusionPipeline:
    return d.StableDiffusionXLPipeline(
        vae=parts.vae(), text_encoder=parts.clip_text(projection=False), tokenizer=tokenizers.clip(),
        text_encoder_2=parts.clip_text(projection=True, width=second), tokenizer_2=tokenizers.clip(),
        unet=parts.sdxl_unet(second),
        scheduler=d.EulerDiscreteScheduler(beta_schedule="scaled_linear", timestep_spacing="leading", steps_offset=1),
        add_watermarker=False,
    )  # fmt: skip


def sd3() -> d.DiffusionPipeline:
    # As in the real one, T5's width is that of the two CLIP embeddings side by side.
    return d.StableDiffusion3Pipeline(
        transformer=parts.sd3_transformer(), scheduler=d.FlowMatchEulerDiscreteScheduler(shift=3.0), vae=parts.vae(),
        text_encoder=parts.clip_text(projection=True), tokenizer=tokenizers.clip(),
        text_encoder_2=parts.clip_text(projection=True), tokenizer_2=tokenizers.clip(),
        text_encoder_3=parts.t5_text(width=2 * parts.WIDTH), tokenizer_3=tokenizers.t5(),
    )  # fmt: skip


def flux() -> d.DiffusionPipeline:
    return d.FluxPipeline(
        scheduler=d.FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True), vae=parts.vae(),
        text_encoder=parts.clip_text(projection=False), tokenizer=tokenizers.clip(), text_encoder_2=parts.t5_text(),
        tokenizer_2=tokenizers.t5(), transformer=parts.flux_transformer(),
    )  # fmt: skip


def pixart() -> d.DiffusionPipeline:
    return d.PixArtSigmaPipeline(
        tokenizer=tokenizers.t5(), text_encoder=parts.t5_text(), vae=parts.vae(),
        transformer=parts.pixart_transformer(), scheduler=d.DPMSolverMultistepScheduler(),
    )  # fmt: skip


def sana() -> d.DiffusionPipeline:
    scheduler = d.DPMSolverMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0)
    return d.SanaPipeline(
        tokenizer=tokenizers.gemma(), text_encoder=parts.gemma_text(), vae=parts.deep_vae(),
        transformer=parts.sana_transformer(), scheduler=scheduler,
    )  # fmt: skip


BUILDERS: dict[str, Callable[[], d.DiffusionPipeline]] = {
    "sd": sd, "sdxl": sdxl, "sd3": sd3, "flux": flux, "pixart": pixart, "sana": sana,
}  # fmt: skip


def build(family: str, folder: Path) -> Path:
    """Write the tiny pipeline of a family into `folder` and return it."""
    return save(BUILDERS[family], folder)


def save(make: Callable[[], d.DiffusionPipeline], folder: Path) -> Path:
    """Write a pipeline into `folder`, made with the same random numbers every time, and return the folder."""
    state = torch.get_rng_state()
    torch.manual_seed(0)
    try:
        make().save_pretrained(folder, safe_serialization=True)
    finally:
        torch.set_rng_state(state)
    return folder
