"""The trained parts as a diffusers pipeline, and sampling from it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, LCMScheduler, StableDiffusionXLPipeline, UNet2DConditionModel
from transformers import CLIPTextModelWithProjection, CLIPTokenizer

from tools.training.unet import build_scheduler

BATCH = 64  # images that are sampled at once


def assemble(
    vae: AutoencoderKL,
    text: CLIPTextModelWithProjection,
    tokenizer: CLIPTokenizer,
    unet: UNet2DConditionModel,
) -> StableDiffusionXLPipeline:
    """Return an SDXL pipeline with the second text encoder only, as in SDXL's refiner."""
    pipe = StableDiffusionXLPipeline(
        vae=vae,
        text_encoder=None,
        tokenizer=None,
        text_encoder_2=text,
        tokenizer_2=tokenizer,
        unet=unet,
        scheduler=build_scheduler(),
        force_zeros_for_empty_prompt=True,
        add_watermarker=False,
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


def save(pipe: StableDiffusionXLPipeline, folder: Path) -> None:
    """Write a pipeline as float16 safetensors, and convert it back to float32."""
    pipe.to(torch.float16).save_pretrained(folder, safe_serialization=True)
    pipe.to(torch.float32)


def load(folder: Path, device: str = "cpu", lora: Path | None = None) -> StableDiffusionXLPipeline:
    """Load a saved pipeline in float32; with a LoRA folder it samples as LCM."""
    pipe = StableDiffusionXLPipeline.from_pretrained(
        folder, dtype=torch.float32, add_watermarker=False
    )
    if lora is not None:
        pipe.load_lora_weights(lora)
        pipe.fuse_lora()
        pipe.scheduler = LCMScheduler.from_config(pipe.scheduler.config)
    pipe.set_progress_bar_config(disable=True)
    return pipe.to(device)


def sample(
    pipe: StableDiffusionXLPipeline,
    captions: list[str],
    steps: int,
    guidance: float,
    pixels: int = 64,
) -> np.ndarray:
    """Return images of captions, uint8 (count, pixels, pixels, 3); caption i uses seed i."""
    done = []
    for i in range(0, len(captions), BATCH):
        part = captions[i : i + BATCH]
        noise = [torch.Generator().manual_seed(i + j) for j in range(len(part))]
        with torch.no_grad():
            images = pipe(
                part,
                num_inference_steps=steps,
                guidance_scale=guidance,
                height=pixels,
                width=pixels,
                generator=noise,
                output_type="np",
            ).images
        done.append((images * 255).round().astype(np.uint8))
    return np.concatenate(done)
