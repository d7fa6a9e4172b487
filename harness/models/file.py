"""A model in one .safetensors file, in its authors' layout, with the configurations it needs."""

import math
import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from harness.checkpoints.digest import digest_files
from harness.checkpoints.header import read_shapes
from harness.core.errors import UsageError
from harness.core.model import CutTexts, ModelInfo, ModelSource, TextToImage
from harness.core.parsing import GivenPath, expand_user
from harness.core.recipe import FamilyLines, ModelLines, NoRecipe
from harness.models._facts import count_activations, count_parameters, get_role
from harness.models._files import WantedFiles, list_missing_files, list_read_files, list_small_files
from harness.models._folder import Folder
from harness.models._original import Shapes, find_config, find_misfits, split_parts
from harness.models._tokenizers import find_cut, make_clip_tokenizer
from harness.models._verify import verify_file, verify_folder
from harness.models.families import find_family

FAMILIES = ("sd", "sdxl", "sd3", "flux")
"""Families that diffusers can load from one file."""
UNUSED = ("safety_checker",)
OTHERWISE = "A model with another scheduler, such as v-prediction, needs its own folder as config"


class SingleFile(ModelSource):
    """The file holds the weights; what to build of them, and the tokenizers, come from `config`."""

    summary: ClassVar[str] = "one .safetensors file of SD, SDXL, SD3 or FLUX"

    path: GivenPath
    config: str = ""
    """A folder in diffusers' layout (parts missing in the file are loaded from it), or sdxl-base,
    sdxl-turbo or sd15; left out: the first of these that fits."""
    title: str = ""
    """What reports call it; empty: the file's name."""

    def describe(self) -> ModelInfo:
        """Return the facts of the model; UsageError if file and configurations do not fit."""
        path = self._path()
        folder, tokenizers, guessed = find_config(self.config, path)
        family = find_family(folder)
        parts = _checked_parts(path, folder, family.family, tokenizers)
        info = family.describe(folder)
        known = {
            "title": self.title or path.stem,
            "digest": digest_files(_list_files(path, folder, parts)),
            "folder": str(folder.path),
            "parameters": _count(parts, folder),
            "activations": count_activations(folder, info),
            "pins": {"config": guessed} if guessed else {},
        }
        if guessed:
            note = f"{path.name} has the shapes of {guessed} and is built as that. {OTHERWISE}"
            known |= {"notes": (note,)}
        return info.model_copy(update=known)

    def verify(self) -> tuple[str, ...]:
        path = self._path()
        folder, tokenizers, _ = find_config(self.config, path)
        parts = _checked_parts(path, folder, find_family(folder).family, tokenizers)
        rest = _siblings(folder, {*tokenizers, *parts})
        return verify_file(path, folder, tuple(parts)) + verify_folder(folder, rest)

    def list_files(self) -> dict[str, Path]:
        path = self._path()
        folder, tokenizers, _ = find_config(self.config, path)
        parts = _checked_parts(path, folder, find_family(folder).family, tokenizers)
        return _list_files(path, folder, parts)

    def find_cut(self, texts: Sequence[str]) -> tuple[CutTexts, ...]:
        return find_cut(find_config(self.config, self._path()).folder, texts)

    def load(self, device: str, options: dict[str, Any]) -> TextToImage:
        import diffusers
        import torch

        path = self._path()
        folder, tokenizers, _ = find_config(self.config, path)
        family, dtype = find_family(folder), getattr(torch, options.get("dtype", "float32"))
        made = {name: make_clip_tokenizer(name) for name in tokenizers}
        arguments = {**family.fixed_load_arguments, **made, **options.get("arguments", {})}
        pipeline = getattr(diffusers, family.pipeline_class).from_single_file(
            str(path), config=str(folder.path), dtype=dtype, local_files_only=True, **arguments
        )
        for name, part in pipeline.components.items():
            weights = part.named_parameters() if isinstance(part, torch.nn.Module) else ()
            if missing := [key for key, weight in weights if weight.is_meta]:
                count = f"{len(missing)} tensors of the {name}"
                raise UsageError(f"the file lacks {count}, such as {missing[0]}", str(path))
        pipeline.set_progress_bar_config(disable=True)
        return family(pipeline.to(options.get("place", device)), device, dtype)

    def recipe(self) -> tuple[FamilyLines, ModelLines] | NoRecipe:
        folder, tokenizers, _ = find_config(self.config, self._path())
        if tokenizers:
            reason = f"harness makes the {' and '.join(tokenizers)}, which {folder.path} lacks"
            return NoRecipe(reason=reason, hint="set config to a folder that has them")
        return find_family(folder).recipe(), ModelLines(
            method="from_single_file",
            place=str(self._path()),
            arguments={"config": repr(str(folder.path))},
        )

    def _path(self) -> Path:
        return Path(os.path.abspath(expand_user(self.path)))


def _checked_parts(
    path: Path, folder: Folder, family: str, made: Collection[str]
) -> dict[str, Shapes]:
    if family not in FAMILIES:
        what = f"a {family} model cannot be loaded from one file"
        raise UsageError(what, str(path), "Use its folder.")
    parts = split_parts(read_shapes(path), family)
    if not parts.keys() & {"unet", "transformer"}:
        fix = f"Name a whole {family} model; a LoRA is a value of the axis distillation."
        raise UsageError(f"the file has no denoiser of the {family} family", str(path), fix)
    misfits = find_misfits(parts, folder, family)
    if misfits:
        fix = f"Set config to the configurations of its base model, instead of {folder.path}."
        raise UsageError("; ".join(misfits), str(path), fix)
    absent_files = list_missing_files(
        folder.path, WantedFiles(folder.index, "", {*UNUSED, *made, *parts})
    )
    if absent_files:
        fix = "Set `config` to a folder that has them, such as that of the whole model."
        what = f"{', '.join(absent_files)} is neither in the file nor in {folder.path}"
        raise UsageError(what, str(path), fix)
    return parts


def _list_files(path: Path, folder: Folder, parts: Collection[str]) -> dict[str, Path]:
    """Return name → path of the file and of all that is read from the folder."""
    small = list_small_files(folder, WantedFiles(folder.index))
    return {path.name: path, **small, **list_read_files(folder, _siblings(folder, parts))}


def _siblings(folder: Folder, parts: Collection[str]) -> WantedFiles:
    """Return what to load from the folder: the components that are missing in the file."""
    return WantedFiles(folder.index, "", {*UNUSED, *parts})


def _count(parts: Mapping[str, Shapes], folder: Folder) -> dict[str, int]:
    """Return the number of weights by role, of file and folder; empty if one is unknown."""
    parameters = count_parameters(folder)
    for part, tensors in parts.items():
        parameters[get_role(part)] = sum(math.prod(shape) for shape in tensors.values())
    weighty = [
        part for part in WantedFiles(folder.index, "", UNUSED).components if part.has_weights
    ]
    return parameters if len(parameters) == len(weighty) else {}
