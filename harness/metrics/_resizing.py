"""How FID programs bring a picture to Inception's 299×299: they disagree, and that alone moves FID by several points.

Parmar et al. 2022 (clean-fid) measured by how much. Each rule here is tested pixel by pixel against its program.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from os import cpu_count
from typing import Any, NamedTuple

import numpy as np

from harness.metrics._base import Pixels
from harness.metrics._devices import device, to_levels, to_unit

SIDE = 299
_ZERO_TO_ONE = "uint8 RGB to [-1, 1] as 2·x/255 − 1"
_AROUND_128 = "uint8 RGB to [-1, 1) as (x − 128)/128"


class Resizing(NamedTuple):
    """One rule in words, and the function that makes (n, 3, 299, 299) float32 of uint8 pictures."""

    resize: str
    value_range: str
    prepare: Callable[[Pixels], Any]


def _mlperf(pictures: Pixels) -> Any:
    from torch.nn import functional

    images = functional.interpolate(to_unit(pictures), (SIDE, SIDE), mode="bilinear", align_corners=False)
    return images * 2 - 1


def _clean(pictures: Pixels) -> Any:
    import torch

    def resized(picture: Pixels) -> Any:
        return np.stack([_bicubic(picture[..., channel]) for channel in range(3)])

    with ThreadPoolExecutor(cpu_count()) as pool:  # Pillow lets go of the interpreter while it resizes
        images = np.stack(list(pool.map(resized, pictures)))
    return (torch.from_numpy(images).to(device()) - 128) / 128


def _bicubic(channel: Pixels) -> Any:
    """Resize one channel as float32, since rounding to uint8 in between is one of the errors clean-fid found."""
    from PIL import Image

    image = Image.fromarray(channel.astype(np.float32)).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    return np.asarray(image).clip(0, 255)


def _tf1(pictures: Pixels) -> Any:
    from torch_fidelity.interpolate_compat_tensorflow import interpolate_bilinear_2d_like_tensorflow1x as resize

    return (resize(to_levels(pictures), size=(SIDE, SIDE), align_corners=False) - 128) / 128


def _torchmetrics(pictures: Pixels) -> Any:
    from torch.nn import functional

    size = (SIDE, SIDE)
    images = functional.interpolate(to_levels(pictures), size, mode="bilinear", align_corners=False, antialias=True)
    return (images - 128) / 128


RESIZINGS: dict[str, Resizing] = {
    "mlperf": Resizing(
        "to 299×299, bilinear without antialias, half-pixel centres (pytorch-fid)", _ZERO_TO_ONE, _mlperf
    ),
    "clean": Resizing(
        "to 299×299, Pillow bicubic with antialias on float channels, clipped (clean-fid)", _AROUND_128, _clean
    ),
    "tf1": Resizing(
        "to 299×299, bilinear without antialias, no half-pixel centres (TensorFlow 1, torch-fidelity)",
        _AROUND_128,
        _tf1,
    ),
    "torchmetrics": Resizing(
        "to 299×299, bilinear with antialias, half-pixel centres (torchmetrics ≥ 1.8)", _AROUND_128, _torchmetrics
    ),
}
