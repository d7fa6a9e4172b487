"""What a family's configurations tell an axis value, as tags."""

from typing import Any

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
