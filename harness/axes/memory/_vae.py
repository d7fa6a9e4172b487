"""Tiled and sliced decoding: tile sizes, and a count of the pieces a VAE really decoded."""

import json
from pathlib import Path
from typing import Any

from harness.core.effect import CallCounter
from harness.core.errors import NoEffect
from harness.core.model import ModelInfo, TextToImage
from harness.core.outcome import Shown
from harness.core.region import region


class Decoded(CallCounter):
    """Counts the calls of the VAE, and those of its decoder that they took: `piece` is what one of these was."""

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
        figures: dict[str, float | int | str] = {f"{self.piece}s": each}
        return Shown(summary=f"the VAE decoded in {each:g} {self.piece}s a call", figures=figures)


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
