"""The model that ships with the project: a small SDXL-shaped pipeline that draws coloured shapes."""

from functools import cache
from typing import Any, ClassVar

from harness.core.model import ModelInfo, ModelSource, TextToImage
from harness.models import shapes
from harness.models._folder import Folder
from harness.models.families import find_family

_LORAS = {"lcm-lora": shapes.LCM_LORA}


class Bundled(ModelSource):
    """A real latent diffusion model, trained for this project; see harness/models/shapes/MODEL_CARD.md."""

    summary: ClassVar[str] = "small SDXL-shaped model of coloured shapes, ships with the package"
    prompt_set: ClassVar[str] = shapes.PROMPT_SET
    metrics: ClassVar[tuple[str, ...]] = shapes.METRICS

    def describe(self) -> ModelInfo:
        return _describe()

    def load(self, device: str, options: dict[str, Any]) -> TextToImage:
        folder = Folder(shapes.PIPELINE)
        model = find_family(folder).load(folder, device, options)
        model.loras.update(_LORAS)
        return model


@cache
def _describe() -> ModelInfo:
    folder = Folder(shapes.PIPELINE)
    facts = {
        "title": "bundled shapes model",
        "guidance": shapes.GUIDANCE,
        "size_multiple": 16,
        "digest": folder.digest(),
        "folder": str(folder.path),
        "loras": frozenset(_LORAS),
        "image_step_s": 0.0015,
    }
    return find_family(folder).describe(folder).model_copy(update=facts)
