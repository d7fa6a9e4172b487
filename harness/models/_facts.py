"""Facts about a model from its configurations and weight headers: tags, sizes. Without torch."""

import math
from pathlib import Path
from typing import Any

from harness.checkpoints.header import read_shapes
from harness.core.errors import UsageError
from harness.core.model import ModelInfo
from harness.models._folder import Folder

MAPS_OF_DENOISER, MAPS_OF_VAE = 12, 2
"""Feature maps alive at once in the widest place, as tests/unit/test_model_size.py checks.

A denoiser, in units of its first width at every site: input, normalized input, queries, keys,
values, the wider layers of its feed-forward, and what waits on skip connections. A VAE's decoder:
input and output of the first block at full resolution, as wide as the block before it.
"""


def compute_vae_scale(folder: Folder) -> int:
    """Return the width of one latent in pixels; each VAE block but the first halves the image."""
    config = folder.config("vae")
    blocks = config.get("block_out_channels") or config.get("encoder_block_out_channels") or [0] * 4
    return 2 ** (len(blocks) - 1)


def list_scheduler_tags(folder: Folder) -> set[str]:
    """Return tags for what the scheduler says about the training.

    `flow` for flow matching, `diffusion` for a model that predicts noise or v. `zero-snr` if the
    last timestep is pure noise (Lin et al. 2023): its sigma is infinite, which Karras sigmas cannot
    express. `cosine-noise` if it is almost pure noise (Nichol & Dhariwal 2021). `steps-offset` if
    timesteps are counted from 1, so that 1000 of them exceed the 1000 of the training;
    `own-steps-offset` if the model's own solver does so.
    """
    config = folder.config("scheduler")
    kind = str(config.get("_class_name"))
    flow = "FlowMatch" in kind or config.get("prediction_type") == "flow_prediction"
    leading = config.get("timestep_spacing", "leading") == "leading"
    offset = bool(config.get("steps_offset")) and leading
    found = {
        "flow": flow or bool(config.get("use_flow_sigmas")),
        "zero-snr": bool(config.get("rescale_betas_zero_snr")),
        "cosine-noise": config.get("beta_schedule") == "squaredcos_cap_v2",
        "steps-offset": offset,
        "own-steps-offset": offset and kind.startswith(("DDIM", "DDPM", "PNDM")),
    }
    tags = {tag for tag, holds in found.items() if holds}
    return tags if found["flow"] else {"diffusion", *tags}


def list_unet_tags(config: dict[str, Any]) -> set[str]:
    """Return the tags of a UNet; one distilled with guidance (LCM) takes it as an input."""
    embedded = {"embedded-guidance"} if config.get("time_cond_proj_dim") else set()
    return {"unet", "cross-attention", "no-block-cache", *embedded}


def describe_family(
    family: str, folder: Folder, guidance: float, sizes: tuple[int, int], tags: set[str]
) -> ModelInfo:
    """Return the description of a folder's model.

    `sizes` are the side of its images in pixels, and the number that must divide every side.
    """
    side, multiple = sizes
    known: dict[str, Any] = {"title": "", "digest": "", "family": family, "guidance": guidance}
    latent = (int(folder.config("vae").get("latent_channels") or 4), compute_vae_scale(folder))
    every = frozenset({family, *tags, *list_scheduler_tags(folder), *_list_packed_tags(folder)})
    size: dict[str, Any] = {"width": side, "height": side, "size_multiple": multiple}
    known["scheduler"] = folder.config("scheduler")
    return ModelInfo(**known, **size, latent=latent, tags=every)


def _list_packed_tags(folder: Folder) -> set[str]:
    """Return `packed` if any component of the checkpoint is quantized."""
    networks = (c for c in folder.components if (folder.path / c / "config.json").is_file())
    packed = any("quantization_config" in folder.config(network) for network in networks)
    return {"packed"} if packed else set()


def get_role(component: str) -> str:
    """Return the role of a pipeline's component: `unet` and `transformer` are the denoiser."""
    return "denoiser" if component in ("unet", "transformer") else component


def count_parameters(folder: Folder) -> dict[str, int]:
    """Return the number of weights by role, from the headers of safetensors files.

    A tensor in several files, such as the variants of a repository, counts once. Empty if any
    component's files are unreadable, since a partial sum would mislead.
    """
    found: dict[str, int] = {}
    for component in folder.components:
        role = get_role(component)
        if role not in ("denoiser", "vae") and not role.startswith("text_encoder"):
            continue  # the safety checker is not loaded, a tokenizer has no weights
        shapes: dict[str, tuple[int, ...]] = {}
        for path in sorted((folder.path / component).glob("*.safetensors")):
            shapes |= _read_shapes(path)
        if not shapes:
            return {}
        found[role] = sum(math.prod(shape) for shape in shapes.values())
    return found


def count_activations(folder: Folder, info: ModelInfo) -> dict[str, int]:
    """Return a lower bound of the numbers that one call of the denoiser and the decoder holds."""
    vae = folder.config("vae")
    channels = vae.get("decoder_block_out_channels") or vae.get("block_out_channels") or [0, 0]
    side = info.size_multiple if "transformer" in info.tags else 2 ** (len(channels) - 1)
    sites = info.width * info.height // side**2
    config = folder.config("unet") or folder.config("transformer")
    heads, size = (
        config.get(f"{key}") or 0 for key in ("num_attention_heads", "attention_head_dim")
    )
    wide = config["block_out_channels"][0] if "block_out_channels" in config else heads * size
    decoded = channels[min(1, len(channels) - 1)] * info.width * info.height
    return {"denoiser": MAPS_OF_DENOISER * sites * int(wide), "vae": MAPS_OF_VAE * decoded}


def describe_size(folder: Folder, info: ModelInfo) -> dict[str, dict[str, int]]:
    """Return the fields of a description about the model's size; empty if its files say nothing."""
    parameters = count_parameters(folder)
    if not parameters:
        return {}
    return {"parameters": parameters, "activations": count_activations(folder, info)}


def _read_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Return no shapes for a damaged file: `verify` reports it."""
    try:
        return read_shapes(path)
    except UsageError:
        return {}
