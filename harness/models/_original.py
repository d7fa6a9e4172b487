"""Checkpoints in one file, in the layout their authors published: which parts it holds, and whether they fit.

The names are those that diffusers' `from_single_file` converts (diffusers/loaders/single_file_utils.py). Only the
header of the file is read.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from harness.models._folder import Folder

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
