"""The tiles of diffusers' autoencoders: how large they are, and how to make them smaller."""

import json
from pathlib import Path
from typing import Any

from harness.core.model import ModelInfo

LEAST = 4
"""Tiles overlap by a quarter, so their sides must be whole quarters in latents."""


def own_tile(model: ModelInfo) -> int | None:
    """Return the side in pixels of the tiles that a model's VAE makes of itself, or None where nothing tells."""
    path = Path(model.folder) / "vae" / "config.json"
    if not model.folder or not path.is_file():
        return None
    config = json.loads(path.read_text(encoding="utf-8"))
    return 512 if config.get("_class_name") == "AutoencoderDC" else config.get("sample_size")


def set_tiles(vae: Any, side: int) -> None:
    """Let a VAE decode in tiles of `side` pixels (0: its own), each overlapping the next by a quarter."""
    vae.enable_tiling()
    if not side:
        return
    if hasattr(vae, "tile_latent_min_size"):
        scale = 2 ** (len(vae.config.block_out_channels) - 1)
        vae.tile_sample_min_size, vae.tile_latent_min_size = side, side // scale
    else:
        vae.enable_tiling(side, side, side - side // LEAST, side - side // LEAST)
