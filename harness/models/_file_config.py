"""Which configurations a model in one file is built by: a folder, a named one that ships, or the one that it fits."""

from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from harness.checkpoints.header import read_shapes
from harness.core.catalog import did_you_mean
from harness.core.errors import UsageError
from harness.core.paths import expand_user
from harness.models._clip_vocabulary import PADS
from harness.models._configurations import configuration_folder
from harness.models._folder import Folder
from harness.models._original import find_misfits, split_parts
from harness.models.families import find_family

SHIPPED = ("sdxl-base", "sdxl-turbo", "sd15")
"""Those whose tokenizers can be made without files."""


class FileConfig(NamedTuple):
    """A folder of configurations, and the tokenizers that are made because it has none."""

    folder: Folder
    tokenizers: Collection[str] = ()
    guessed: str = ""
    """The name of the shipped ones, where they were chosen by the file's shapes."""


def find_config(named: str, path: Path) -> FileConfig:
    """Return the configurations that `named` (a folder or a shipped name; empty: guess) means for a file.

    Raises UsageError for a name that is none, and for a file that fits none of the shipped ones.
    """
    if named in SHIPPED:
        return _shipped(named)
    folder = expand_user(named)
    if named and folder.is_dir():
        return FileConfig(Folder(folder.resolve()))
    if named:
        fix = f"{did_you_mean(named, SHIPPED)} Or a folder in diffusers' layout."
        raise UsageError(f'no folder and no shipped configuration is "{named}"', "model.config", fix)
    return _guess(path)


def _guess(path: Path) -> FileConfig:
    shapes, why = read_shapes(path), []
    for name in SHIPPED:
        config = _shipped(name)
        family = find_family(config.folder).family
        parts = split_parts(shapes, family)
        misfits = find_misfits(parts, config.folder, family) if "unet" in parts else ["it holds no UNet"]
        if not misfits:
            return config._replace(guessed=name)
        why.append(f"{name}: {misfits[0]}")
    fix = f"Name a folder in diffusers' layout with config = …, or one of {', '.join(SHIPPED)}."
    what = "\n  ".join(["the file fits none of the configurations that ship for single files", *why])
    raise UsageError(what, str(path), fix)


def _shipped(name: str) -> FileConfig:
    folder = Folder(configuration_folder(name))
    return FileConfig(folder, [part for part in PADS if part in folder.components])
