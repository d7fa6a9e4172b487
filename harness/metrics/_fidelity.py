"""What colour, detail and odd-images share.

Fidelity to the baseline's images at native resolution, no weights. Detail features are 18 numbers
that see blur, noise, compression, sharpening and banding: of luma in grey levels, at full, half and
quarter size, how strong edges are, how much fine structure goes with them, and how unevenly both
are distributed. Blur removes fine structure, noise and compression add it everywhere, sharpening
raises it at edges only. The choice is measured in docs/quality.md.
"""

from functools import cache
from typing import Any, ClassVar

from harness.core.quality import MetricKind, Question
from harness.metrics._base import (
    Description,
    FeatureScorer,
    Metric,
    Network,
    Pixels,
    exact,
    to_levels,
)
from harness.metrics._weights import Weights

DETAIL_FEATURES = 18
LEAST_PIXELS = 16
OCTAVES = 3
VISIBLE = 6.0
"""Grey levels below which structure counts little, so that invisible grain has little effect."""
JUST_VISIBLE = 0.1
"""The just-visible change of a feature, a natural logarithm: a tenth more or less structure."""
DETAIL_EXTRACTOR = "gradients and fine structure of luma over three octaves, 18 numbers"
_LUMA = (0.299, 0.587, 0.114)


class FidelityMetric(Metric):
    """Compares image sets with the baseline at other seeds: any trajectory may be judged."""

    question: ClassVar[Question] = "fidelity"
    kind: ClassVar[MetricKind] = "distribution"
    needs_baseline: ClassVar[bool] = True

    @property
    def formula(self) -> str:
        return f"squared Fréchet distance in units of √(variance within prompts + {self.floor:g}²)"


class DetailMetric(FidelityMetric):
    """Reads the 18 detail features."""

    least_pixels: ClassVar[int] = LEAST_PIXELS
    floor: ClassVar[float] = JUST_VISIBLE

    def describe(self) -> Description:
        value_range = "uint8 RGB to luma in grey levels"
        return Description(DETAIL_EXTRACTOR, value_range, ("torch",), formula=self.formula)

    def load(self, weights: Weights) -> FeatureScorer:
        return FeatureScorer(get_detail_network())


class DetailNetwork(Network):
    """Images to detail features (n, 18)."""

    def extract(self, pixels: Pixels) -> Any:
        import torch

        with exact():
            levels = to_levels(pixels)
            luma = sum(weight * levels[:, channel] for channel, weight in enumerate(_LUMA))
            octaves = []
            for _ in range(OCTAVES):
                octaves.append(
                    torch.stack([_spread(_gradient(luma)), _spread(_laplacian(luma).abs())], dim=1)
                )
                luma = _halved(luma)
            spreads = torch.stack(
                octaves, dim=1
            )  # (n, octaves, gradient and fine structure, three means)
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
    """Return ln(6 + M) of the power means M₁, M₂, M₄ over the image, (n, 3)."""
    import torch

    squares = values.square()
    means = (
        values.mean((1, 2)),
        squares.mean((1, 2)).sqrt(),
        squares.square().mean((1, 2)).sqrt().sqrt(),
    )
    return (torch.stack(means, dim=1) + VISIBLE).log()


def _combined(spreads: Any) -> Any:
    """Return strength, slope, fineness, unevenness (18 numbers) of spreads (n, octaves, 2, 3)."""
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


@cache
def get_detail_network() -> DetailNetwork:
    """Return the shared instance: detail and odd-images read the same activations."""
    return DetailNetwork()
