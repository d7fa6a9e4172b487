"""Colour: are brightness, contrast and saturation the baseline's?

The Fréchet distance of 30 numbers: quantiles, mean and standard deviation of brightness and of both
colour differences, in units of 16 grey levels where prompts determine the colours. A loss of 5 % is
a change by 3.6 grey levels in all of them. It needs no weights and about 4 ms for 512×512 pixels.
"""

from functools import cache
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from harness.metrics._base import Description, FeatureScorer, Network, Pixels
from harness.metrics._fidelity import FidelityMetric
from harness.metrics._weights import Weights

FEATURES = 30
SHARES = (0.02, 0.10, 0.25, 0.50, 0.75, 0.90, 0.98)
CHROMA_SHARES = (0.50, 0.90, 0.98)
JUST_VISIBLE = 16.0
"""In grey levels: a change by 3.6 grey levels in all numbers is then a loss of 5 %."""
EXTRACTOR = (
    "quantiles, mean and standard deviation of Y, Cb, Cr and of max − min of RGB, 30 numbers"
)
_PER_LEVEL = 4
"""Bins per grey level: whole numbers, so that counts are equal on every machine."""


class ToneNetwork(Network):
    """Images to colour features (n, 30) in grey levels."""

    def extract(self, pixels: Pixels) -> Any:
        return np.stack([_tones(image) for image in pixels])


def _tones(image: Pixels) -> NDArray[np.float32]:
    red, green, blue = (np.ascontiguousarray(image[..., channel]).ravel() for channel in range(3))
    luma = (
        np.int32(299) * red + np.int32(587) * green + np.int32(114) * blue
    )  # thousandths of a grey level
    found: list[float] = []
    for thousandths, scale in (
        (luma, 1.0),
        (np.int32(1000) * blue - luma, 0.564),
        (np.int32(1000) * red - luma, 0.713),
    ):
        found += [scale * value for value in _described(thousandths, 1000 // _PER_LEVEL)]
    chroma = np.maximum(np.maximum(red, green), blue) - np.minimum(np.minimum(red, green), blue)
    found += list(_quantiles(np.bincount(chroma, minlength=256), CHROMA_SHARES))
    return np.array(found, dtype=np.float32)


def _described(thousandths: NDArray[np.int32], width: int) -> list[float]:
    """Return quantiles, mean and standard deviation of thousandths in bins of `width`."""
    lowest = int(thousandths.min()) // width
    counts = np.bincount(thousandths // width - lowest)
    centres = (np.arange(len(counts)) + lowest + 0.5) * width / 1000
    share = counts / counts.sum()
    mean = float(share @ centres)
    deviation = float(np.sqrt(share @ (centres - mean) ** 2))
    places = np.searchsorted(np.cumsum(counts), np.array(SHARES) * counts.sum())
    return [*centres[places].tolist(), mean, deviation]


def _quantiles(counts: NDArray[np.int64], shares: tuple[float, ...]) -> list[float]:
    return (
        np.searchsorted(np.cumsum(counts), np.array(shares) * counts.sum()).astype(float).tolist()
    )


@cache
def get_tone_network() -> ToneNetwork:
    """Return the shared instance."""
    return ToneNetwork()


class Colour(FidelityMetric):
    """Gates every cell: it compares sets, so images may differ as long as their colours agree."""

    floor: ClassVar[float] = JUST_VISIBLE

    @property
    def dimensions(self) -> int:
        return FEATURES

    def describe(self) -> Description:
        value_range = "uint8 RGB, counted in quarters of a grey level"
        return Description(EXTRACTOR, value_range, ("numpy",), formula=self.formula)

    def load(self, weights: Weights) -> FeatureScorer:
        return FeatureScorer(get_tone_network())
