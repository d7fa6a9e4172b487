"""The Pareto front: points that no other point dominates, and how certain that is."""

from collections.abc import Hashable, Mapping
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from harness.core.quality import Uncertainty

Floats = NDArray[np.float64]
Key = TypeVar("Key", bound=Hashable)

DRAWS = 4000


class Uncertain(NamedTuple):
    """The confidence distributions of a point's cost and loss; None: a loss of exactly 0."""

    cost: Uncertainty
    loss: Uncertainty | None


def pareto_front(points: Mapping[Key, tuple[float, float]]) -> tuple[Key, ...]:
    """Return the keys on the front of (cost, cost) pairs, both minimised, ordered by the first.

    A point is on the front unless another is at least as good in both and better in one; equal
    points stay together.
    """
    ordered = sorted(points.items(), key=lambda item: item[1])
    front: list[Key] = []
    best = float("inf")
    last: tuple[float, float] | None = None
    for key, point in ordered:
        if point[1] < best or point == last:
            front.append(key)
            best, last = point[1], point
    return tuple(front)


def front_probability(
    points: Mapping[Key, Uncertain], draws: int = DRAWS, seed: int = 0
) -> dict[Key, float]:
    """Return the probability of each key to be on the front, by drawing costs and losses.

    Draws come from the confidence distributions, independent of each other. Losses measured on the
    same prompts err together, so the true order among cells is, if anything, more certain.
    """
    rng = np.random.default_rng(seed)
    costs = np.stack([_draw(rng, point.cost, draws) for point in points.values()], axis=1)
    losses = np.stack([_draw(rng, point.loss, draws) for point in points.values()], axis=1)
    shares = [float(_unbeaten(costs, losses, index).mean()) for index in range(len(points))]
    return dict(zip(points, shares, strict=True))


def _draw(rng: np.random.Generator, spread: Uncertainty | None, draws: int) -> Floats:
    if spread is None:
        return np.zeros(draws)
    return np.asarray(np.interp(rng.uniform(size=draws), spread.levels, spread.quantiles))


def _unbeaten(costs: Floats, losses: Floats, index: int) -> NDArray[np.bool_]:
    """Return the draws (draws,) in which no other point dominates this one."""
    cost, loss = costs[:, index, None], losses[:, index, None]
    beaten = (costs <= cost) & (losses <= loss) & ((costs < cost) | (losses < loss))
    return np.asarray(~beaten.any(axis=1))
