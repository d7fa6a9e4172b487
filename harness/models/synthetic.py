"""A named model at full size with random weights: speed and memory are real, images are noise."""

from functools import cache
from typing import Any, ClassVar

from pydantic import field_validator

from harness.checkpoints.digest import digest_files
from harness.core.errors import UsageError
from harness.core.model import ModelInfo, ModelSource, TextToImage
from harness.core.recipe import NoRecipe
from harness.models._configurations import find_configuration, read_configurations
from harness.models._facts import count_activations
from harness.models._files import select_files
from harness.models._folder import Folder
from harness.models._synthesis import synthesize
from harness.models.families import find_family


class Synthetic(ModelSource):
    """The real architecture from a shipped configuration; nothing is downloaded."""

    summary: ClassVar[str] = (
        "a named model at full size with random weights: speed and memory, no quality, no download"
    )

    name: str
    """Which: sd15, sdxl-base, sdxl-turbo, sd35-medium, sd35-large, flux-dev, flux-schnell,
    pixart-sigma, sana-1600m."""

    @field_validator("name")
    @classmethod
    def _is_known(cls, name: str) -> str:
        try:
            find_configuration(name)
        except UsageError as error:
            raise ValueError(f"{error.what}. {error.fix}") from error
        return name

    def describe(self) -> ModelInfo:
        return _describe(self.name)

    def recipe(self) -> NoRecipe:
        return NoRecipe(reason="random weights are for timing: there is no model to deploy")

    def load(self, device: str, options: dict[str, Any]) -> TextToImage:
        import torch

        folder = Folder(find_configuration(self.name))
        family = find_family(folder)
        dtype = getattr(torch, options.get("dtype", "float32"))
        arguments = {**family.fixed_load_arguments, **options.get("arguments", {})}
        pipeline = synthesize(folder, options.get("place", device), dtype, arguments)
        return family(pipeline, device, dtype)


@cache
def _describe(name: str) -> ModelInfo:
    folder, known = Folder(find_configuration(name)), read_configurations()[name]
    info = find_family(folder).describe(folder)
    files = {name: folder.path / name for name in select_files(folder, "").configurations}
    facts: dict[str, Any] = {
        "title": f"{known.title}, random weights",
        "digest": digest_files(files),
        "folder": str(folder.path),
        "quality_applies": False,
        "parameters": known.parameters,
        "activations": count_activations(folder, info),
    }
    if known.guidance is not None:
        facts["guidance"] = known.guidance
    return info.model_copy(update=facts)
