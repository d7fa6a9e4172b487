"""A model in a local folder in diffusers' layout, as `save_pretrained` or `hf download` writes it."""

from pathlib import Path
from typing import Any, ClassVar

from harness.core.model import ModelInfo, ModelSource, TextToImage
from harness.models._folder import Folder
from harness.models._size import size_facts
from harness.models.families import find_family


class LocalFolder(ModelSource):
    """The family (SD, SDXL, SD3, FLUX, PixArt-Sigma, Sana) is read from model_index.json."""

    summary: ClassVar[str] = "a local folder in diffusers' layout: SD, SDXL, SD3, FLUX, PixArt-Sigma, Sana"

    path: Path
    title: str = ""
    """What reports call it; empty: the folder's name."""

    def describe(self) -> ModelInfo:
        folder = self._folder()
        info = find_family(folder).describe(folder)
        title = self.title or folder.path.name
        known = {"title": title, "digest": folder.digest(), "folder": str(folder.path), **size_facts(folder, info)}
        return info.model_copy(update=known)

    def load(self, device: str, options: dict[str, Any]) -> TextToImage:
        folder = self._folder()
        return find_family(folder).load(folder, device, options)

    def _folder(self) -> Folder:
        return Folder(self.path.expanduser().resolve())
