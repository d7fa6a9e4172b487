"""Checkpoints in one file, in their authors' layout: their parts, and the configurations that fit them."""

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from harness.checkpoints.header import read_shapes
from harness.core.catalog import did_you_mean
from harness.core.errors import UsageError
from harness.core.parsing import expand_user
from harness.models._configurations import configuration_folder
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
"""Family → part → how the names of its tensors begin."""


class _Reading(NamedTuple):
    """A key of a part's config.json and the side of a tensor that tells it; `place`: which item of a list."""

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
    "flux": {"num_layers": r"double_blocks\.(\d+)\.", "num_single_layers": r"single_blocks\.(\d+)\."},
}
"""Family → key of the transformer's config.json → what numbers the blocks it counts."""


def split_parts(shapes: Shapes, family: str) -> dict[str, Shapes]:
    """Return part → its tensors, named without the prefix of the part; empty for a family without such a layout."""
    parts: dict[str, dict[str, tuple[int, ...]]] = {}
    for name, shape in shapes.items():
        for part, prefix in _WHERE.get(family, {}).items():
            if found := re.match(prefix, name):
                parts.setdefault(part, {})[name[found.end() :]] = shape
    return dict(parts)


def find_misfits(parts: Mapping[str, Shapes], folder: Folder, family: str) -> list[str]:
    """Return in words what of a file's parts is not as the configurations of a folder say."""
    misfits = []
    for part, tensors in parts.items():
        config = folder.config(part)
        for key, found in _facts(part, tensors, family).items():
            expected = config.get(key[0])
            expected = expected[key[1]] if key[1] is not None and isinstance(expected, list) else expected
            if isinstance(expected, int) and expected != found:
                misfits.append(f"{key[0]} of the {part} is {found} in the file, {expected} in the configuration")
    return misfits


def _facts(part: str, tensors: Shapes, family: str) -> dict[tuple[str, int | None], Any]:
    kind = "text_encoder" if part.startswith("text_encoder") else part
    facts: dict[tuple[str, int | None], Any] = {}
    for reading in _READINGS[kind]:
        matches = [shape for name, shape in tensors.items() if re.fullmatch(reading.tensor, name)]
        if matches and len(matches[0]) > reading.side:
            facts[reading.key, reading.place] = matches[0][reading.side]
    if part == "transformer":
        for key, pattern in _COUNTS[family].items():
            facts[key, None] = len({found[1] for name in tensors if (found := re.match(pattern, name))})
        if family == "flux":
            facts["guidance_embeds", None] = any(name.startswith("guidance_in.") for name in tensors)
    return facts


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
