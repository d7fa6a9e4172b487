"""The model that ships with the package: a small SDXL-shaped pipeline of coloured shapes."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

from harness.checkpoints.digest import digest_files
from harness.core.model import CutTexts, ModelInfo, ModelSource, TextToImage
from harness.core.recipe import FamilyLines, ModelLines, NoRecipe
from harness.models import shapes
from harness.models._files import list_read_files, select_files
from harness.models._folder import Folder
from harness.models._recipe import write_folder_lines
from harness.models._tokenizers import find_cut
from harness.models.families import find_family

_LORAS = {"lcm-lora": shapes.LCM_LORA}


class Bundled(ModelSource):
    """A latent diffusion model trained for this project: harness/models/shapes/MODEL_CARD.md"""

    summary: ClassVar[str] = "small SDXL-shaped model of coloured shapes, ships with the package"
    prompt_set: ClassVar[str] = shapes.PROMPT_SET
    metrics: ClassVar[tuple[str, ...]] = shapes.METRICS

    def describe(self) -> ModelInfo:
        return _describe()

    def list_files(self) -> dict[str, Path]:
        folder = Folder(shapes.PIPELINE)
        return list_read_files(folder, select_files(folder, ""))

    def list_adapters(self) -> dict[str, Path]:
        return dict(_LORAS)

    def find_cut(self, texts: Sequence[str]) -> tuple[CutTexts, ...]:
        return find_cut(Folder(shapes.PIPELINE), texts)

    def load(self, device: str, options: dict[str, Any]) -> TextToImage:
        folder = Folder(shapes.PIPELINE)
        model = find_family(folder).load(folder, device, options)
        model.loras.update(_LORAS)
        return model

    def recipe(self) -> tuple[FamilyLines, ModelLines] | NoRecipe:
        lines = write_folder_lines(Folder(shapes.PIPELINE), "", "")
        if isinstance(lines, NoRecipe):
            return lines
        copied = {"pipeline": str(shapes.PIPELINE)}
        copied |= {name: str(path) for name, path in _LORAS.items()}
        return lines[0], lines[1].model_copy(update={"copied": copied})


@cache
def _describe() -> ModelInfo:
    folder = Folder(shapes.PIPELINE)
    facts = {
        "title": "bundled shapes model",
        "guidance": shapes.GUIDANCE,
        "size_multiple": 16,
        "digest": digest_files(list_read_files(folder, select_files(folder, ""))),
        "folder": str(folder.path),
        "loras": frozenset(_LORAS),
        "image_step_s": 0.0015,
    }
    return find_family(folder).describe(folder).model_copy(update=facts)
