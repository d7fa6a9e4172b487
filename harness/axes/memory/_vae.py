"""Decoding in tiles or slices: tile sizes, and a count of the decoder's calls."""

import json
from pathlib import Path
from typing import Any

from harness.core.effect import CallCounter
from harness.core.errors import NoEffect
from harness.core.model import Footprint, ModelInfo, TextToImage
from harness.core.outcome import Figures, Shown
from harness.core.trace import region

QUARTERS = 4
"""Tiles overlap by a quarter, so their sides in latents must be multiples of 4."""


def read_tile_side(model: ModelInfo) -> int | None:
    """Return the default tile side of a model's VAE in pixels; None if its files do not say."""
    path = Path(model.folder) / "vae" / "config.json"
    if not model.folder or not path.is_file():
        return None
    config = json.loads(path.read_text(encoding="utf-8"))
    return 512 if config.get("_class_name") == "AutoencoderDC" else config.get("sample_size")


def set_tiles(vae: Any, side: int) -> None:
    """Let a VAE decode in tiles of `side` pixels (0: its default) that overlap by a quarter."""
    vae.enable_tiling()
    if not side:
        return
    if hasattr(vae, "tile_latent_min_size"):
        scale = 2 ** (len(vae.config.block_out_channels) - 1)
        vae.tile_sample_min_size, vae.tile_latent_min_size = side, side // scale
    else:
        vae.enable_tiling(side, side, side - side // QUARTERS, side - side // QUARTERS)


def drop_vae_activations(without: Footprint) -> Footprint:
    """Return the footprint without the VAE's activations, which tiles or slices make small."""
    return without.model_copy(update={"activations": {**without.activations, "vae": 0.0}})


class DecodedPieces(CallCounter):
    """Counts the VAE's calls, and the pieces (`tile`, `slice`) that its decoder ran on.

    The VAE itself decides whether an image is large enough to be divided.
    """

    def __init__(self, where: str, piece: str, fix: str) -> None:
        super().__init__()
        self.where, self.piece, self.fix = where, piece, fix
        self.decodes = 0

    def start(self, model: TextToImage) -> None:
        super().start(model)
        self.decodes, decode = 0, model.vae.decode

        def counted(*args: Any, **kwargs: Any) -> Any:
            self.decodes += 1
            with region(f"decode in {self.piece}s"):
                return decode(*args, **kwargs)

        model.vae.decode = counted

    def report(self, model: TextToImage, calls: int) -> Shown:
        pieces = self.counts.get("vae", 0)
        if pieces <= self.decodes:
            raise NoEffect(f"the VAE decoded in one {self.piece}", self.where, self.fix)
        each = pieces / self.decodes
        figures: Figures = {f"{self.piece}s": each}
        return Shown(summary=f"the VAE decoded in {each:g} {self.piece}s per call", figures=figures)
