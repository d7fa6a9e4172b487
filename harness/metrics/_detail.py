"""Eighteen numbers of a picture that see blur, noise, compression, sharpening and banding, at its own resolution.

Of the luma in grey levels, at full, half and quarter size: how strong edges are, how much finer structure goes with
them, and how unevenly both are spread. Blur takes fine structure away, noise and compression add it everywhere,
sharpening raises it at edges only. No network and no weights; the choice is measured in docs/quality.md.
"""

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.metrics._base import FeatureScorer, Network, Pixels
from harness.metrics._devices import exact, to_array, to_levels

FEATURES = 18
LEAST_PIXELS = 16
OCTAVES = 3
VISIBLE = 6.0
"""Grey levels below which structure counts little: grain that nobody sees stays small."""
JUST_VISIBLE = 0.1
"""The change of a feature, a natural logarithm, that is just visible: a tenth more or less structure."""
EXTRACTOR = "gradients and fine structure of luma over three octaves, 18 numbers"
_LUMA = (0.299, 0.587, 0.114)


class DetailNetwork(Network):
    """Pictures to detail features (n, 18)."""

    def extract(self, pictures: Pixels) -> Any:
        import torch

        with exact():
            levels = to_levels(pictures)
            luma = sum(weight * levels[:, channel] for channel, weight in enumerate(_LUMA))
            octaves = []
            for _ in range(OCTAVES):
                octaves.append(torch.stack([_spread(_gradient(luma)), _spread(_laplacian(luma).abs())], dim=1))
                luma = _halved(luma)
            spreads = torch.stack(octaves, dim=1)  # (n, octaves, gradient and fine structure, three means)
        return _combined(spreads)


def _gradient(luma: Any) -> Any:
    """Return the length of the forward gradient (n, height − 1, width − 1)."""
    here = luma[:, :-1, :-1]
    return ((luma[:, :-1, 1:] - here).square() + (luma[:, 1:, :-1] - here).square()).sqrt()


def _laplacian(luma: Any) -> Any:
    """Return each inner pixel minus the mean of its four neighbours (n, height − 2, width − 2)."""
    around = luma[:, :-2, 1:-1] + luma[:, 2:, 1:-1] + luma[:, 1:-1, :-2] + luma[:, 1:-1, 2:]
    return luma[:, 1:-1, 1:-1] - around / 4


def _halved(luma: Any) -> Any:
    from torch.nn import functional

    return functional.avg_pool2d(luma[:, None], 2)[:, 0]


def _spread(values: Any) -> Any:
    """Return ln(6 + M) of the power means M₁, M₂, M₄ over the picture, (n, 3)."""
    import torch

    squares = values.square()
    means = (values.mean((1, 2)), squares.mean((1, 2)).sqrt(), squares.square().mean((1, 2)).sqrt().sqrt())
    return (torch.stack(means, dim=1) + VISIBLE).log()


def _combined(spreads: Any) -> Any:
    """Return the 18 numbers of spreads (n, octaves, 2, 3): strength, its slope, fineness, and unevenness."""
    import torch

    first, second, fourth = spreads.unbind(-1)
    edges = second[:, :, 0]
    parts = (
        edges.mean(1, keepdim=True),
        edges.diff(dim=1),
        second[:, :, 1] - edges,
        (fourth - second).flatten(1),
        (second - first).flatten(1),
    )
    return torch.cat(parts, dim=1)


class DetailScorer(FeatureScorer):
    """Reads detail features as they are."""

    def __init__(self) -> None:
        self.network = detail_network()

    def features(self, activations: Any) -> NDArray[np.float32]:
        found: NDArray[np.float32] = to_array(activations)
        return found


@cache
def detail_network() -> DetailNetwork:
    """Return the one shared instance."""
    return DetailNetwork()
