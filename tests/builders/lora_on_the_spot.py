"""Tiny LoRAs and denoisers for the tiny pipelines, made on the spot with peft and diffusers."""

from pathlib import Path
from typing import Any

TARGETS = ["to_q", "to_v", "to_out.0"]
RANK = 2


def write_lora(model_folder: Path, target: Path, size: float = 0.5) -> Path:
    """Write a random LoRA of attention layers for the pipeline in `model_folder`; at `size` 0 it changes nothing."""
    import torch
    from diffusers.utils import convert_state_dict_to_diffusers
    from peft import LoraConfig
    from peft.utils import get_peft_model_state_dict

    pipeline = load(model_folder)
    name = "unet" if hasattr(pipeline, "unet") else "transformer"
    denoiser = getattr(pipeline, name)
    denoiser.add_adapter(LoraConfig(r=RANK, lora_alpha=RANK, target_modules=TARGETS, init_lora_weights=True))
    source = torch.Generator().manual_seed(0)
    for key, weight in denoiser.named_parameters():
        if "lora_B" in key:
            weight.data = torch.randn(weight.shape, generator=source) * size
    state = get_peft_model_state_dict(denoiser)
    target.parent.mkdir(parents=True, exist_ok=True)
    layers = convert_state_dict_to_diffusers(state) if name == "unet" else state
    type(pipeline).save_lora_weights(
        target.parent, **{f"{name}_lora_layers": layers}, weight_name=target.name, safe_serialization=True
    )
    return target


def write_denoiser(model_folder: Path, target: Path, change: float = 1.1) -> Path:
    """Write the weights of the pipeline's denoiser, each of them times `change`."""
    from safetensors.torch import save_file

    pipeline = load(model_folder)
    denoiser = getattr(pipeline, "unet", None) or pipeline.transformer
    state = {name: (tensor * change).contiguous() for name, tensor in denoiser.state_dict().items()}
    target.parent.mkdir(parents=True, exist_ok=True)
    save_file(state, target)
    return target


def load(folder: Path) -> Any:
    import diffusers

    return diffusers.DiffusionPipeline.from_pretrained(str(folder), local_files_only=True)
