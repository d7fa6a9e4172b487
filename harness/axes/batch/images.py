"""A number of images per call."""

import json
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field

from harness.core.axis import AxisValue, Context
from harness.core.recipe import RecipeContext, RecipeLines
from harness.core.units import format_bytes

HALF_BYTES = 2
"""Bytes of a number in the narrowest format that VAEs decode in."""


class Images(AxisValue):
    """Time calls with this many images: latency grows, throughput should grow more."""

    summary: ClassVar[str] = "any whole number from 1"
    affects: ClassVar = "call"

    images: Annotated[int, Field(ge=1, le=1024)] = 1

    @classmethod
    def parse(cls, name: str) -> "Images":
        try:
            return cls(images=int(name))
        except ValueError as error:
            raise ValueError("batch is a whole number from 1 to 1024") from error

    def __str__(self) -> str:
        return str(self.images)

    def label(self, name: str) -> str:
        return f"batch-{self.images}"

    def refuse(self, context: Context) -> str | None:
        gpus = context.machine.gpus
        available = gpus[0].memory_bytes if gpus else context.machine.memory_bytes
        needed = _count_decoder_bytes(context, self.images)
        if needed <= available:
            return None
        return (
            f"decoding {self.images} images at once needs at least {format_bytes(needed)}; "
            f"{gpus[0].name if gpus else 'this machine'} has {format_bytes(available)}"
        )

    def call_options(self) -> dict[str, int]:
        return {"batch": self.images}

    def recipe(self, context: RecipeContext) -> RecipeLines:
        return RecipeLines(batch=self.images)


def _count_decoder_bytes(context: Context, images: int) -> int:
    """Return the least memory that decoding needs: the VAE's last block for all images at once.

    0 for a model without a folder.
    """
    path = Path(context.model.folder) / "vae" / "config.json"
    if not context.model.folder or not path.is_file():
        return 0
    config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    channels = config.get("decoder_block_out_channels") or config.get("block_out_channels") or [3]
    size = context.values["resolution"].call_options()
    return int(images * channels[0] * size["width"] * size["height"] * HALF_BYTES)
