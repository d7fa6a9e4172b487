"""Facts about a model from its configurations and weight headers: tags, sizes. Without torch."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.checkpoints.header import read_shapes
from harness.core.errors import UsageError
from harness.core.model import ModelInfo
from harness.models._folder import Folder


def vae_scale(folder: Folder) -> int:
    """Return how many pixels wide one latent is; each VAE block but the first halves the picture."""
    config = folder.config("vae")
    blocks = config.get("block_out_channels") or config.get("encoder_block_out_channels") or [0] * 4
    return 2 ** (len(blocks) - 1)


def scheduler_tags(folder: Folder) -> set[str]:
    """Return what the scheduler tells of the training.

    `flow` for flow matching, `diffusion` for a model that predicts noise or v; `zero-snr` where the last timestep is
    pure noise (Lin et al. 2023): its sigma is infinite, which Karras sigmas cannot express. `cosine-noise` where it is
    almost pure noise (Nichol & Dhariwal 2021). `steps-offset` where timesteps are counted from 1, so that 1000 of them
    exceed the 1000 of the training; `own-steps-offset` where the model's own solver does so.
    """
    config = folder.config("scheduler")
    kind = str(config.get("_class_name"))
    flow = "FlowMatch" in kind or config.get("prediction_type") == "flow_prediction"
    offset = bool(config.get("steps_offset")) and config.get("timestep_spacing", "leading") == "leading"
    found = {
        "flow": flow or bool(config.get("use_flow_sigmas")),
        "zero-snr": bool(config.get("rescale_betas_zero_snr")),
        "cosine-noise": config.get("beta_schedule") == "squaredcos_cap_v2",
        "steps-offset": offset,
        "own-steps-offset": offset and kind.startswith(("DDIM", "DDPM", "PNDM")),
    }
    tags = {tag for tag, holds in found.items() if holds}
    return tags if found["flow"] else {"diffusion", *tags}


def unet_tags(config: dict[str, Any]) -> set[str]:
    """Return what a UNet's configuration tells; one distilled with guidance (LCM) takes it beside the timestep."""
    embedded = {"embedded-guidance"} if config.get("time_cond_proj_dim") else set()
    return {"unet", "cross-attention", "no-block-cache", *embedded}


def facts(family: str, folder: Folder, guidance: float, sizes: tuple[int, int], tags: set[str]) -> ModelInfo:
    """Return the description of a folder's model; `sizes` are its own side in pixels and what divides all sides."""
    side, multiple = sizes
    known: dict[str, Any] = {"title": "", "digest": "", "family": family, "guidance": guidance}
    latent = (int(folder.config("vae").get("latent_channels") or 4), vae_scale(folder))
    every = frozenset({family, *tags, *scheduler_tags(folder)})
    return ModelInfo(**known, width=side, height=side, size_multiple=multiple, latent=latent, tags=every)


MAPS_OF_DENOISER, MAPS_OF_VAE = 12, 2
"""Feature maps that are alive at once in the widest place; tests/unit/test_model_size.py compares with the meta device.

A denoiser: its input, normalized input, queries, keys, values, the wider layers of its feed-forward and what waits on
skip connections, in units of its first width at every site. A VAE's decoder: input and output of the
first block at full resolution, as wide as the block before it.
"""


def get_role(component: str) -> str:
    """Return the role of a pipeline's component: `unet` and `transformer` are the denoiser."""
    return "denoiser" if component in ("unet", "transformer") else component


def stored_parameters(folder: Folder) -> dict[str, int]:
    """Return the numbers in each part's weights by role, from the headers of its safetensors files.

    A tensor that several files hold, such as the variants of a repository, counts once. Empty where the files of any
    part tell nothing, since a part of the truth would mislead.
    """
    found: dict[str, int] = {}
    for component in filter(_has_weights, folder.components):
        shapes: dict[str, tuple[int, ...]] = {}
        for path in sorted((folder.path / component).glob("*.safetensors")):
            shapes |= _shapes(path)
        if not shapes:
            return {}
        found[get_role(component)] = sum(math.prod(shape) for shape in shapes.values())
    return found


def activations(folder: Folder, info: ModelInfo) -> dict[str, int]:
    """Return the numbers that one call of the denoiser and of the VAE's decoder surely hold, for one image."""
    vae = folder.config("vae")
    channels = vae.get("decoder_block_out_channels") or vae.get("block_out_channels") or [0, 0]
    side = info.size_multiple if "transformer" in info.tags else 2 ** (len(channels) - 1)
    sites = info.width * info.height // side**2
    width = _width(folder.config("unet") or folder.config("transformer"))
    decoded = channels[min(1, len(channels) - 1)] * info.width * info.height
    return {"denoiser": MAPS_OF_DENOISER * sites * width, "vae": MAPS_OF_VAE * decoded}


def size_facts(folder: Folder, info: ModelInfo) -> dict[str, dict[str, int]]:
    """Return the fields of a description that tell how large a folder's model is; empty where its files do not tell."""
    parameters = stored_parameters(folder)
    return {"parameters": parameters, "activations": activations(folder, info)} if parameters else {}


def _has_weights(component: str) -> bool:
    """Whether a component is a network that is called: the safety checker is not loaded, a tokenizer has no weights."""
    return component.startswith("text_encoder") or component in ("unet", "transformer", "vae")


def _width(config: Mapping[str, Any]) -> int:
    if "block_out_channels" in config:
        return int(config["block_out_channels"][0])
    return int(config.get("num_attention_heads") or 0) * int(config.get("attention_head_dim") or 0)


def _shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Return the shape of every tensor in a safetensors file; none for one that is damaged, which `verify` refuses."""
    try:
        return read_shapes(path)
    except UsageError:
        return {}
