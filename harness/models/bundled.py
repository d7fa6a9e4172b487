"""The model that ships with the project: a small SDXL-shaped pipeline that draws coloured shapes."""

import hashlib
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

from harness.core.model import ModelInfo, ModelSource, TextToImage
from harness.models import shapes


class Bundled(ModelSource):
    """A real latent diffusion model, trained for this project; see harness/models/shapes/MODEL_CARD.md."""

    summary: ClassVar[str] = "small SDXL-shaped model of coloured shapes, ships with the package"

    def describe(self) -> ModelInfo:
        return ModelInfo(
            title="bundled shapes model",
            family="sdxl",
            width=64,
            height=64,
            guidance=shapes.GUIDANCE,
            size_multiple=16,
            digest=_digest(shapes.PIPELINE.parent),
            image_step_s=0.0015,
        )

    def load(self, device: str, options: dict[str, Any]) -> TextToImage:
        from harness.models._sdxl import SdxlModel

        model = SdxlModel.from_folder(shapes.PIPELINE, device, options)
        model.lcm_lora = shapes.LCM_LORA
        return model


@cache
def _digest(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()
