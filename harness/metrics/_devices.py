"""Where metric networks run, and at what precision: always float32, so that a score means the same everywhere."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from harness.metrics._base import Pixels


def device() -> str:
    """Return `cuda` where there is a card, else `cpu`."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


@contextmanager
def exact() -> Iterator[None]:
    """Inference without gradients and without TF32, which would change features in the third digit."""
    import torch

    with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        yield


def to_unit(pictures: Pixels) -> Any:
    """Return a float32 tensor (n, 3, height, width) in [0, 1] of uint8 pictures (n, height, width, 3)."""
    return to_levels(pictures).div_(255)


def to_levels(pictures: Pixels) -> Any:
    """Return a float32 tensor (n, 3, height, width) of levels 0 … 255; read-only pictures, as Pillow's, are copied."""
    import torch

    writable = np.require(pictures, requirements=["C", "W"])  # torch warns of others
    return torch.from_numpy(writable).to(device()).permute(0, 3, 1, 2).float().contiguous()


def in_batches(extract: Callable[[Pixels], Any], pictures: Pixels, size: int) -> Any:
    """Return what `extract` makes of pictures, `size` of them at a time, as one tensor."""
    import torch

    return torch.cat([extract(pictures[start : start + size]) for start in range(0, len(pictures), size)])


def to_array(tensor: Any) -> Any:
    """Return a tensor as a numpy array on the CPU."""
    return tensor.detach().cpu().numpy()


def library(*names: str) -> str:
    """Return names with their installed versions, such as `torch 2.14.1`."""
    from importlib.metadata import version

    return ", ".join(f"{name} {version(name)}" for name in names)
