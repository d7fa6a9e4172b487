"""The Pareto front: what no other point beats in every respect."""

from collections.abc import Hashable, Mapping
from typing import TypeVar

Key = TypeVar("Key", bound=Hashable)


def pareto_front(points: Mapping[Key, tuple[float, float]]) -> tuple[Key, ...]:
    """Return the keys on the front of (cost, cost) pairs, both to be minimised, ordered by the first.

    A point is on the front unless another is at least as good in both and better in one; equal points stay together.
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
