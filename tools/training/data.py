"""Images, labels and captions of the shapes world as tensors."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from harness import shapes_world as world


def to_tensor(renders: np.ndarray) -> Tensor:
    """Convert uint8 (count, height, width, 3) to float32 (count, 3, height, width) in [-1, 1]."""
    return torch.from_numpy(renders).permute(0, 3, 1, 2).float().div_(127.5).sub_(1)


def to_images(images: Tensor) -> np.ndarray:
    """Convert float (count, 3, height, width) in [-1, 1] to uint8 (count, height, width, 3)."""
    scaled = images.detach().float().clamp(-1, 1).add(1).mul(127.5).round()
    return scaled.permute(0, 2, 3, 1).to(torch.uint8).cpu().numpy()


def draw_examples(
    seed: int, count: int, split: str = "train", pixels: int = 64
) -> tuple[np.ndarray, Tensor, list[str]]:
    """Return images, labels and captions of random scenes.

    Images are uint8 (count, pixels, pixels, 3), labels int64 (count, 8).
    """
    rng = np.random.default_rng(seed)
    drawn = world.draw_scenes(rng, count, split)
    renders = np.concatenate(
        [world.render(drawn[i : i + 2000], rng, pixels) for i in range(0, count, 2000)]
    )
    return renders, torch.tensor([s.labels for s in drawn]), [s.caption for s in drawn]
