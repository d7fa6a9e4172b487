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
    pure noise (Lin et al. 2023): its sigma is infinite, which Karras sigmas cannot express.
    """
    config = folder.config("scheduler")
    flow = "FlowMatch" in str(config.get("_class_name")) or config.get("prediction_type") == "flow_prediction"
    tags = {"flow" if flow or config.get("use_flow_sigmas") else "diffusion"}
    return tags | ({"zero-snr"} if config.get("rescale_betas_zero_snr") else set())


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
