"""Group-sequential tests: several interim analyses with the error rate of one.

The error rate is spent over the analyses by the Pocock-type function of Lan & DeMets (1983), α·ln(1
+ (e − 1)·t), where t is the share of prompts seen: even enough that a clear case is decided early.
Boundaries come from the recursion of Armitage, McPherson & Rowe (1969) as in Jennison & Turnbull,
"Group Sequential Methods" (2000), ch. 7 and 19: test statistics at analyses i < j are normal with
correlation √(nᵢ / nⱼ).

A bound at level 1 − nominal_alpha(…) is a repeated confidence bound (ibid., ch. 9): it holds
whenever a run stops.
"""

from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
InterimAnalyses = tuple[int, ...]

_RANGE = 8.0
"""Standard normal values beyond this many deviations count as impossible (1e-15)."""
_NODES_PER_WIDTH = 6


def nominal_alpha(alpha: float, interim_analyses: InterimAnalyses, prompts: int) -> float:
    """Return the one-sided level of the test at the analysis with `prompts` prompts.

    `alpha` is the whole test's. `interim_analyses` are cumulative prompts, rising; with none or one
    the level is `alpha`. A number of prompts between two analyses is tested as the next one: errors
    of neighbouring analyses are then more alike than planned, which can only make the whole test
    stricter. Raises ValueError for numbers that do not rise or for more prompts than the last
    analysis.
    """
    analysis = _analysis(interim_analyses, prompts)
    return (
        alpha if len(interim_analyses) < 2 else _nominal(float(alpha), interim_analyses)[analysis]
    )


def bounds(alpha: float, interim_analyses: InterimAnalyses) -> Floats:
    """Return the standard normal value that the statistic must exceed at each analysis."""
    shares = np.asarray(interim_analyses, dtype=np.float64) / interim_analyses[-1]
    spent = alpha * np.log1p((np.e - 1) * shares)
    return _Walk(shares, 0.0).bounds_for(np.diff(spent, prepend=0.0))


def stopping(limits: Floats, interim_analyses: InterimAnalyses, drift: float = 0.0) -> Floats:
    """Return the probability (looks,) that each analysis is the first to exceed its limit.

    `drift` is the expected value of the standard normal statistic at the last analysis; it grows as
    √prompts.
    """
    return _Walk(
        np.asarray(interim_analyses, dtype=np.float64) / interim_analyses[-1], drift
    ).crossings(limits)


def _analysis(interim_analyses: InterimAnalyses, prompts: int) -> int:
    if any(second <= first for first, second in pairwise(interim_analyses)):
        raise ValueError(f"looks must rise: {interim_analyses}")
    if interim_analyses and prompts > interim_analyses[-1]:
        raise ValueError(f"{prompts} prompts are more than the last look's {interim_analyses[-1]}")
    return next(
        (index for index, analysis in enumerate(interim_analyses) if analysis >= prompts), 0
    )


@lru_cache(maxsize=4096)
def _nominal(alpha: float, interim_analyses: InterimAnalyses) -> tuple[float, ...]:
    from scipy.special import ndtr

    return tuple(float(x) for x in ndtr(-bounds(alpha, interim_analyses)))


class _Walk:
    """The path of the statistic: its density below all limits, on quadrature nodes."""

    def __init__(self, shares: Floats, drift: float) -> None:
        self.shares, self.drift = shares, drift

    def crossings(self, limits: Floats) -> Floats:
        found = np.empty(len(limits))
        nodes = mass = np.empty(0)
        for k, limit in enumerate(limits):
            found[k] = self._beyond(k, limit, nodes, mass)
            nodes, mass = self._step(k, limit, nodes, mass)
        return found

    def bounds_for(self, wanted: Floats) -> Floats:
        """Return the limits whose crossing probabilities are those wanted."""
        from scipy.optimize import brentq

        limits = np.empty(len(wanted))
        nodes = mass = np.empty(0)
        for k, share in enumerate(wanted):
            state = (k, nodes, mass)
            limits[k] = brentq(
                lambda x, s=state, w=share: self._beyond(s[0], x, s[1], s[2]) - w, -_RANGE, _RANGE
            )
            nodes, mass = self._step(k, limits[k], nodes, mass)
        return limits

    def _move(self, k: int, values: Floats, nodes: Floats) -> Floats:
        """Return standard normal values (values, nodes) of `values` at analysis k from `nodes`."""
        step = np.sqrt(self.shares[k] - self.shares[k - 1])
        gone = np.sqrt(self.shares[k]) * values[:, None] - np.sqrt(self.shares[k - 1]) * nodes
        return np.asarray(gone / step - self.drift * step)

    def _beyond(self, k: int, limit: float, nodes: Floats, mass: Floats) -> float:
        from scipy.special import ndtr

        if k == 0:
            return float(ndtr(self.drift * np.sqrt(self.shares[0]) - limit))
        return float(mass @ ndtr(-self._move(k, np.array([limit]), nodes)[0]))

    def _step(self, k: int, limit: float, nodes: Floats, mass: Floats) -> tuple[Floats, Floats]:
        """Return nodes below the limit and each one's probability (density × weight)."""
        centre = self.drift * np.sqrt(self.shares[k])
        low, high = centre - _RANGE, max(centre - _RANGE + 1e-3, min(limit, centre + _RANGE))
        new, weights = _quadrature(low, high, self._resolution(k, high - low))
        if k == 0:
            density = np.exp(-0.5 * (new - centre) ** 2) / np.sqrt(2 * np.pi)
        else:
            moved = self._move(k, new, nodes)
            stretch = np.sqrt(self.shares[k] / (self.shares[k] - self.shares[k - 1]))
            density = stretch * (np.exp(-0.5 * moved**2) / np.sqrt(2 * np.pi)) @ mass
        return new, density * weights

    def _resolution(self, k: int, span: float) -> int:
        """Return how many nodes resolve the narrowest kernel into or out of analysis k."""
        steps = np.diff(self.shares, prepend=0.0)[k : k + 2] / self.shares[k]
        width = float(np.sqrt(min(1.0, *steps))) if len(steps) > 1 else float(np.sqrt(steps[0]))
        return int(np.clip(_NODES_PER_WIDTH * span / width, 64, 1500))


def _quadrature(low: float, high: float, count: int) -> tuple[Floats, Floats]:
    nodes, weights = _legendre(count)
    half = (high - low) / 2
    return low + half * (nodes + 1), half * weights


@lru_cache(maxsize=64)
def _legendre(count: int) -> tuple[Floats, Floats]:
    nodes, weights = np.polynomial.legendre.leggauss(count)
    return np.asarray(nodes, dtype=np.float64), np.asarray(weights, dtype=np.float64)
