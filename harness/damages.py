"""Damages of known size, to measure what a set of metrics does not notice.

Levels 1 to 5 follow KADID-10k (Lin, Hosu & Saupe 2019), where 3 is "slightly annoying", on images
of 384 pixels. Where KADID has no such damage, or orders its doses by sign, levels are equally
visible as far as we could judge. Level 0 is below what most people notice. Larger images are viewed
fitted to the same screen: blur grows with their side, noise with its square.
"""

import io
import zlib
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.core.policy import MOST_LEVEL

Pixels = NDArray[np.uint8]
IDENTICAL = "identical"
LEVELS = range(MOST_LEVEL + 1)
_SCREEN_PX = 384
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)
_TO_YIQ = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])


class Damage(NamedTuple):
    """One family of damages to single images.

    Its dose at levels 0 to 5, the dose in words, and its function.
    """

    doses: tuple[float, ...]
    words: str
    apply: Callable[[Pixels, float], Pixels]


def apply_damage(images: Pixels, damage: str) -> Pixels:
    """Return images (n, height, width, 3) with a damage such as `blur:3` or `identical` (none)."""
    if damage == IDENTICAL:
        return copied(images)
    family, _, level = damage.partition(":")
    return DAMAGES[family].apply(images, DAMAGES[family].doses[int(level)])


def copied(images: Pixels) -> Pixels:
    """Return a copy of the pixels, to be read a second time."""
    return np.copy(images)


def dose_words(family: str, level: int, side: int) -> str:
    """Return a dose in words, by the images' shorter side in pixels: `σ 1 px`, `quality 24`."""
    dose = DAMAGES[family].doses[level]
    if family == "blur":
        dose *= _on_screen(side)
    if family == "noise":  # said as a standard deviation in grey levels
        dose = 255 * dose**0.5 * _on_screen(side)
    if family in ("contrast", "brightness"):
        dose *= 100
    return DAMAGES[family].words.format(f"{dose:.3g}".replace("-", "−"))


def _on_screen(side: int) -> float:
    return max(1.0, side / _SCREEN_PX)


def _one_by_one(images: Pixels, change: Callable[[NDArray[np.uint8]], NDArray[np.uint8]]) -> Pixels:
    return np.stack([change(image) for image in images])


def _blur(images: Pixels, sigma: float) -> Pixels:
    from PIL import Image, ImageFilter

    soft = ImageFilter.GaussianBlur(sigma * _on_screen(min(images.shape[1:3])))
    return _one_by_one(images, lambda image: np.asarray(Image.fromarray(image).filter(soft)))


def _scale(images: Pixels, factor: float) -> Pixels:
    from PIL import Image

    height, width = images.shape[1:3]
    small = max(1, round(width / factor)), max(1, round(height / factor))

    def change(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        reduced = Image.fromarray(image).resize(small, Image.Resampling.BICUBIC)
        return np.asarray(reduced.resize((width, height), Image.Resampling.BICUBIC))

    return _one_by_one(images, change)


def _jpeg(images: Pixels, quality: float) -> Pixels:
    from PIL import Image

    def change(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "JPEG", quality=int(quality))
        return np.asarray(Image.open(buffer))

    return _one_by_one(images, change)


def _noise(images: Pixels, variance: float) -> Pixels:
    deviation = 255 * variance**0.5 * _on_screen(min(images.shape[1:3]))

    def change(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        own = np.random.default_rng(
            zlib.crc32(image.tobytes())
        )  # every image its own, the same each time
        return _rounded(image + deviation * own.standard_normal(image.shape, dtype=np.float32))

    return _one_by_one(images, change)


def _contrast(images: Pixels, share: float) -> Pixels:
    return _rounded(127.5 + (images - np.float32(127.5)) * np.float32(1 - share))


def _brightness(images: Pixels, share: float) -> Pixels:
    return _rounded(images + np.float32(255 * share))


def _saturation(images: Pixels, factor: float) -> Pixels:
    luma = (images @ _LUMA)[..., None]
    return _rounded(luma + (images - luma) * np.float32(factor))


def _hue(images: Pixels, degrees: float) -> Pixels:
    turn = np.deg2rad(degrees)
    turned = np.array(
        [[1, 0, 0], [0, np.cos(turn), -np.sin(turn)], [0, np.sin(turn), np.cos(turn)]]
    )
    matrix = (np.linalg.inv(_TO_YIQ) @ turned @ _TO_YIQ).astype(np.float32)
    return _rounded(images @ matrix.T)


def _banding(images: Pixels, levels: float) -> Pixels:
    step = np.float32(255 / (levels - 1))
    return _rounded(np.round(images / step) * step)


def _sharpening(images: Pixels, amount: float) -> Pixels:
    soft = _blur(images, 1.0)
    return _rounded(images + np.float32(amount) * (images.astype(np.float32) - soft))


def _rounded(values: NDArray[np.floating]) -> Pixels:
    return np.asarray(np.clip(np.rint(values), 0, 255), dtype=np.uint8)


DAMAGES: dict[str, Damage] = {
    "blur": Damage((0.05, 0.1, 0.5, 1.0, 2.0, 5.0), "σ {} px", _blur),
    "scaling": Damage((1.1, 1.25, 1.5, 2.0, 3.0, 4.0), "{}× down and up", _scale),
    "jpeg": Damage((80, 43, 36, 24, 7, 4), "quality {}", _jpeg),
    "noise": Damage((0.0001, 0.001, 0.002, 0.003, 0.005, 0.01), "sd {} grey levels", _noise),
    "sharpening": Damage((0.3, 1, 2, 3, 6, 12), "amount {}", _sharpening),
    "contrast": Damage((0.03, 0.1, 0.2, 0.4, 0.5, 0.6), "{} % less", _contrast),
    "brightness": Damage((0.02, 0.04, 0.06, 0.08, 0.12, 0.15), "{} % of white more", _brightness),
    "saturation": Damage((0.95, 0.4, 0.2, 0.1, 0.0, -0.4), "{}×", _saturation),
    "hue": Damage((3, 10, 15, 20, 40, 80), "{}°", _hue),
    "banding": Damage((64, 20, 16, 13, 10, 7), "{} levels", _banding),
}
"""Families of damage to every image of a set."""
SHARES = (0.01, 0.03, 0.05, 0.10, 0.20, 0.50)
"""Shares of images, at levels 0 to 5, for damages of some images that leave the others intact."""
SOME = "blur:5"
"""The damage of the images of the family `some-damaged`."""
SET_DAMAGES: dict[str, str] = {
    "wrong-prompt": "{} % show another prompt",
    "collapse": "{} % are one and the same image",
    "some-damaged": "{} % are blurred beyond recognition",
}
"""Families of damage to some images of a set, with their doses in words."""
