"""Checkpoints in one file, in their authors' layout: their parts, and the configurations that fit.

The names are those that diffusers' `from_single_file` converts
(diffusers/loaders/single_file_utils.py). Only the header of the file is read.
"""

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from harness.checkpoints.header import read_shapes
from harness.core.catalog import did_you_mean
from harness.core.errors import UsageError
from harness.core.parsing import expand_user
from harness.models._configurations import find_configuration
from harness.models._folder import Folder
from harness.models._tokenizers import PADS
from harness.models.families import find_family

Shapes = Mapping[str, tuple[int, ...]]

_VAE = r"(first_stage_model|vae)\."
_UNET = r"model\.diffusion_model\."
_CLIP_L, _CLIP_G, _T5 = (rf"text_encoders\.{name}\." for name in ("clip_l", "clip_g", "t5xxl"))
_WHERE: dict[str, dict[str, str]] = {
    "sd": {"unet": _UNET, "vae": _VAE, "text_encoder": r"cond_stage_model\."},
    "sdxl": {
        "unet": _UNET,
        "vae": _VAE,
        "text_encoder": r"conditioner\.embedders\.0\.",
        "text_encoder_2": r"conditioner\.embedders\.1\.",
    },
    "sd3": {
        "transformer": rf"({_UNET})?(?=(joint_blocks|x_embedder|context_embedder)\.)",
        "vae": _VAE,
        "text_encoder": _CLIP_L,
        "text_encoder_2": _CLIP_G,
        "text_encoder_3": _T5,
    },
    "flux": {
        "transformer": rf"({_UNET})?(?=(double_blocks|single_blocks|img_in|txt_in|guidance_in)\.)",
        "vae": _VAE,
        "text_encoder": _CLIP_L,
        "text_encoder_2": _T5,
    },
}
"""Family → component → prefix of its tensors."""


class _Reading(NamedTuple):
    """A key of config.json, the tensor and side that equal it; `place`: index in a list."""

    key: str
    tensor: str
    side: int
    place: int | None = None


_READINGS: dict[str, tuple[_Reading, ...]] = {
    "unet": (
        _Reading("in_channels", r"input_blocks\.0\.0\.weight", 1),
        _Reading("block_out_channels", r"input_blocks\.0\.0\.weight", 0, 0),
        _Reading("out_channels", r"out\.2\.weight", 0),
        _Reading("cross_attention_dim", r".*\.attn2\.to_k\.weight", 1),
        _Reading("projection_class_embeddings_input_dim", r"label_emb\.0\.0\.weight", 1),
    ),
    "vae": (
        _Reading("latent_channels", r"decoder\.conv_in\.weight", 1),
        _Reading("block_out_channels", r"decoder\.conv_in\.weight", 0, -1),
    ),
    "text_encoder": (
        _Reading("vocab_size", r".*(token_embedding|shared)\.weight", 0),
        _Reading("hidden_size", r".*token_embedding\.weight", 1),
        _Reading("d_model", r".*shared\.weight", 1),
    ),
    "transformer": (
        _Reading("in_channels", r"x_embedder\.proj\.weight", 1),
        _Reading("patch_size", r"x_embedder\.proj\.weight", 2),
        _Reading("in_channels", r"img_in\.weight", 1),
        _Reading("joint_attention_dim", r"(context_embedder|txt_in)\.weight", 1),
    ),
}
_COUNTS = {
    "sd3": {"num_layers": r"joint_blocks\.(\d+)\."},
    "flux": {
        "num_layers": r"double_blocks\.(\d+)\.",
        "num_single_layers": r"single_blocks\.(\d+)\.",
    },
}
"""Family → key of the transformer's config.json → pattern of the blocks that it counts."""


SHIPPED = ("sdxl-base", "sdxl-turbo", "sd15")
"""Shipped configurations whose tokenizers can be made without files."""


class FileConfig(NamedTuple):
    """A folder of configurations, and the tokenizers to make because it has none."""

    folder: Folder
    tokenizers: Collection[str] = ()
    guessed: str = ""
    """The name of the shipped configuration, if it was chosen by the file's shapes."""


def split_parts(shapes: Shapes, family: str) -> dict[str, Shapes]:
    """Return component → its tensors, named without its prefix; empty for other families."""
    parts: dict[str, dict[str, tuple[int, ...]]] = {}
    for name, shape in shapes.items():
        for part, prefix in _WHERE.get(family, {}).items():
            if found := re.match(prefix, name):
                parts.setdefault(part, {})[name[found.end() :]] = shape
    return dict(parts)


def find_misfits(parts: Mapping[str, Shapes], folder: Folder, family: str) -> list[str]:
    """Return how a file's components differ from a folder's configurations, in words."""
    misfits = []
    for part, tensors in parts.items():
        config = folder.config(part)
        for (key, place), found in _read_facts(part, tensors, family).items():
            expected = config.get(key)
            if place is not None and isinstance(expected, list):
                expected = expected[place]
            if isinstance(expected, int) and expected != found:
                said = f"{found} in the file, {expected} in the configuration"
                misfits.append(f"{key} of the {part} is {said}")
    return misfits


def _read_facts(part: str, tensors: Shapes, family: str) -> dict[tuple[str, int | None], Any]:
    kind = "text_encoder" if part.startswith("text_encoder") else part
    facts: dict[tuple[str, int | None], Any] = {}
    for reading in _READINGS[kind]:
        matches = [shape for name, shape in tensors.items() if re.fullmatch(reading.tensor, name)]
        if matches and len(matches[0]) > reading.side:
            facts[reading.key, reading.place] = matches[0][reading.side]
    if part == "transformer":
        for key, pattern in _COUNTS[family].items():
            numbers = {found[1] for name in tensors if (found := re.match(pattern, name))}
            facts[key, None] = len(numbers)
        if family == "flux":
            embeds = any(name.startswith("guidance_in.") for name in tensors)
            facts["guidance_embeds", None] = embeds
    return facts


def find_config(named: str, path: Path) -> FileConfig:
    """Return a file's configurations: a folder, a shipped name, or (empty) the first that fits.

    Raises UsageError for an unknown name, and for a file that no shipped configuration fits.
    """
    if named in SHIPPED:
        return _shipped(named)
    folder = expand_user(named)
    if named and folder.is_dir():
        return FileConfig(Folder(folder.resolve()))
    if named:
        what = f'no folder and no shipped configuration is named "{named}"'
        fix = f"{did_you_mean(named, SHIPPED)} Or a folder in diffusers' layout."
        raise UsageError(what, "model.config", fix)
    shapes, why = read_shapes(path), []
    for name in SHIPPED:
        config = _shipped(name)
        family = find_family(config.folder).family
        parts = split_parts(shapes, family)
        misfits = find_misfits(parts, config.folder, family) if "unet" in parts else ["no UNet"]
        if not misfits:
            return config._replace(guessed=name)
        why.append(f"{name}: {misfits[0]}")
    what = "\n  ".join(["the file fits none of the configurations for single files", *why])
    fix = f"Name a folder in diffusers' layout with config = …, or one of {', '.join(SHIPPED)}."
    raise UsageError(what, str(path), fix)


def _shipped(name: str) -> FileConfig:
    folder = Folder(find_configuration(name))
    return FileConfig(folder, [part for part in PADS if part in folder.components])
