"""A model folder in diffusers' layout, as written by `save_pretrained` or `hf download`."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field

from harness.checkpoints.digest import digest_files
from harness.checkpoints.header import refuse_pointers
from harness.core.model import CutTexts, ModelInfo, ModelSource, TextToImage
from harness.core.parsing import GivenPath, expand_user
from harness.core.recipe import FamilyLines, ModelLines, NoRecipe
from harness.models._facts import describe_size
from harness.models._files import (
    WantedFiles,
    choose_variant,
    find_weight_files,
    list_read_files,
    select_files,
)
from harness.models._folder import Folder
from harness.models._recipe import write_folder_lines
from harness.models._tokenizers import find_cut
from harness.models._verify import verify_folder
from harness.models.families import find_family


class LocalFolder(ModelSource):
    """The family (SD, SDXL, SD3, FLUX, PixArt-Sigma, Sana) is read from model_index.json."""

    summary: ClassVar[str] = (
        "a local folder in diffusers' layout: SD, SDXL, SD3, FLUX, PixArt-Sigma, Sana"
    )

    path: GivenPath
    variant: Annotated[
        str,
        Field(
            pattern=r"^\w*$",
            description="such as fp16; left out: plain weights, else the only variant",
        ),
    ] = ""
    title: str = ""
    """What reports call it; empty: the folder's name."""

    def describe(self) -> ModelInfo:
        """Return the facts of the model; UsageError if files are missing or Git LFS pointers."""
        folder = self._folder()
        info = find_family(folder).describe(folder)
        wanted = self._wanted(folder)
        files = list_read_files(folder, wanted)
        refuse_pointers(files.values())
        known = {
            "title": self.title or folder.path.name,
            "digest": digest_files(files),
            "folder": str(folder.path),
            **describe_size(folder, info),
        }
        if wanted.variant != self.variant:
            parts = find_weight_files(folder, wanted).items()
            named = ", ".join(name for name, found in parts if found.variant == wanted.variant)
            which = f"the variant {wanted.variant}: there are no plain ones"
            note = f"the weights of {named} are {which}"
            known |= {"notes": (note,), "pins": {"variant": wanted.variant}}
        return info.model_copy(update=known)

    def verify(self) -> tuple[str, ...]:
        folder = self._folder()
        return verify_folder(folder, self._wanted(folder))

    def list_files(self) -> dict[str, Path]:
        folder = self._folder()
        return list_read_files(folder, self._wanted(folder))

    def find_cut(self, texts: Sequence[str]) -> tuple[CutTexts, ...]:
        return find_cut(self._folder(), texts)

    def load(self, device: str, options: dict[str, Any]) -> TextToImage:
        folder = self._folder()
        return find_family(folder).load(folder, device, self._wanted(folder).load_options(options))

    def recipe(self) -> tuple[FamilyLines, ModelLines] | NoRecipe:
        folder = self._folder()
        return write_folder_lines(folder, str(folder.path), self._wanted(folder).variant)

    def _folder(self) -> Folder:
        return Folder(Path(os.path.abspath(expand_user(self.path))))

    def _wanted(self, folder: Folder) -> WantedFiles:
        wanted = select_files(folder, self.variant)
        return wanted if self.variant else wanted._replace(variant=choose_variant(folder, wanted))
