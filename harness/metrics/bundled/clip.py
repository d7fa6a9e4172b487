"""The small open_clip dual encoder of the shapes world; it shares nothing with the generator."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional

from harness.metrics.bundled.captions import END, LENGTH, token_ids

if TYPE_CHECKING:
    from open_clip import CLIP

WEIGHTS = Path(__file__).with_name("clip.safetensors")
SIDE, WIDTH = 64, 128  # pixels, embedding


def build() -> CLIP:
    """The untrained dual encoder, an open_clip `CLIP` of two small transformers."""
    from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg

    vision = CLIPVisionCfg(
        layers=4, width=WIDTH, head_width=32, patch_size=8, image_size=SIDE, mlp_ratio=2.0
    )
    text = CLIPTextCfg(
        context_length=LENGTH, vocab_size=END + 1, width=WIDTH, heads=4, layers=3, mlp_ratio=2.0
    )
    return CLIP(embed_dim=WIDTH, vision_cfg=vision, text_cfg=text)


def load(device: str | torch.device = "cpu", weights: Path = WEIGHTS) -> CLIP:
    """The trained dual encoder in float32, in evaluation mode."""
    net = build()
    net.load_state_dict(
        {name: value.float() for name, value in load_file(weights).items()}, strict=False
    )
    return net.to(device).eval().requires_grad_(False)


def tokenize(texts: list[str]) -> Tensor:
    """Return token ids, int64 (count, 24); longer texts are truncated."""
    rows = torch.zeros(len(texts), LENGTH, dtype=torch.long)
    for row, text in zip(rows, texts, strict=True):
        ids = [*token_ids(text)[:-1][: LENGTH - 1], END]
        row[: len(ids)] = torch.tensor(ids)
    return rows


def encode_image(net: CLIP, images: Tensor) -> Tensor:
    """Unit embeddings (count, 128) of images in [0, 1], (count, 3, height, width) of any size."""
    if images.shape[-2:] != (SIDE, SIDE):
        images = functional.interpolate(
            images, (SIDE, SIDE), mode="bilinear", antialias=True, align_corners=False
        )
    return net.encode_image(images * 2 - 1, normalize=True)


def encode_text(net: CLIP, texts: list[str]) -> Tensor:
    """Unit embeddings (count, 128) of captions."""
    return net.encode_text(tokenize(texts).to(net.logit_scale.device), normalize=True)
