"""The axis of losses: linear around the margin, logarithmic beyond, so that 1 % and 100 % share one picture."""

import math
from dataclasses import dataclass

CAP = 2.0
"""Losses above 200 % (or ten margins) are drawn at the edge; tables and tooltips give the true value."""
_TICKS = (
    -1.0, -0.5, -0.2, -0.1, -0.05, -0.02, -0.01, 0.0, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0,
    5.0, 10.0, 20.0, 50.0,
)  # fmt: skip


@dataclass(frozen=True)
class LossScale:
    """Maps losses between `low` and `high` to positions from 0 to 1: linear up to about `knee`, then logarithmic.

    `marked` are the margins, whose ticks come first.
    """

    low: float
    high: float
    knee: float
    marked: tuple[float, ...] = ()

    def warp(self, loss: float) -> float:
        """Return the loss on the warped axis, unbounded."""
        return math.copysign(math.log1p(abs(loss) / self.knee), loss)

    def position(self, loss: float) -> float:
        """Return the position of a loss, held within 0 and 1."""
        start, end = self.warp(self.low), self.warp(self.high)
        return min(max((self.warp(loss) - start) / (end - start), 0.0), 1.0)

    def ticks(self, spacing: float) -> list[float]:
        """Return round losses at least `spacing` (a share of the axis) apart; 0 and the margins come first."""
        wanted = [0.0, *self.marked, *sorted(_TICKS, key=lambda tick: (abs(math.log10(abs(tick) or 1)), tick))]
        chosen: list[float] = []
        for tick in wanted:
            fits = self.low <= tick <= self.high
            if fits and all(abs(self.position(tick) - self.position(other)) >= spacing for other in chosen):
                chosen.append(tick)
        return sorted(chosen)


def loss_scale(losses: list[float], knee: float, marked: tuple[float, ...] = ()) -> LossScale:
    """Return a scale that holds all losses, the margins and twice the knee, with a little air at both ends."""
    cap = max(CAP, 10 * knee)
    low = max(min([0.0, *losses, *marked]), -cap / 2)
    high = min(max([2 * knee, *losses, *marked]), cap)
    return LossScale(low=low * 1.1 - 0.1 * knee, high=min(high * 1.08, cap), knee=knee, marked=marked)
