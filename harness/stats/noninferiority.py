"""Non-inferiority: Holm's correction, and how many prompts a verdict requires.

Normal planning formulas: an estimate at distance δ from a bound, with standard error s, is on the
right side of it with probability `power` once δ = (z_level + z_power) · s, and s falls as 1 /
√prompts. `level` is the one-sided level of the test, 1 − alpha. In a group-sequential test the
factor is the drift that it needs instead.
"""

import math
from collections.abc import Callable, Hashable, Iterable
from functools import lru_cache
from typing import NamedTuple, TypeVar

import numpy as np

from harness.stats.confidence import normal_quantiles
from harness.stats.sequential import InterimAnalyses, bounds, stopping

Key = TypeVar("Key", bound=Hashable)


def holm_shares(keys: Iterable[Key], rejects: Callable[[Key, float], bool]) -> dict[Key, float]:
    """Return the share of alpha at which each hypothesis is tested (Holm 1979).

    `rejects(key, share)` returns whether a hypothesis is rejected at that share of its alpha;
    larger shares may only reject more. With k hypotheses left each is tested at 1 / k; those
    rejected leave, and the rest are tested at more; where none is rejected all that are left stay
    there. `rejects(key, result[key])` then decides exactly as Holm does.
    """
    left = list(keys)
    shares: dict[Key, float] = {}
    while left:
        share = 1 / len(left)
        rejected = {key for key in left if rejects(key, share)}
        shares |= dict.fromkeys(rejected or left, share)
        left = [key for key in left if key not in rejected] if rejected else []
    return shares


def least_prompts(margin: float, alpha: float) -> int:
    """Return the fewest prompts with which a pass is possible: 59 for 5 % at 95 % confidence.

    If a share `margin` of prompts were destroyed, a sample of n would contain none of them with
    probability (1 − margin)ⁿ; below this n that is more than `alpha`, however clean the sample is
    (the rule of three, exactly).
    """
    return math.ceil(math.log(alpha) / math.log1p(-margin))


POWER = 0.9
FINEST = 0.001
MOST = 10_000_000
"""Above this number of prompts the answer is None."""


class Pilot(NamedTuple):
    """The standard error of a loss measured over some number of prompts."""

    error: float
    prompts: int

    def error_at(self, prompts: float) -> float:
        """Return the expected standard error over another number of prompts."""
        return self.error * math.sqrt(self.prompts / prompts)


class Forecast(NamedTuple):
    """The expected power of a sequential test, and the prompts it uses on average."""

    power: float
    prompts: float


def prompts_needed(
    distance: float, error: float, prompts: int, level: float, power: float = POWER
) -> int | None:
    """Return the prompts at which a one-sided test at `level` decides with probability `power`.

    `distance` is the distance of the loss from the margin, `error` its standard error at `prompts`
    prompts: n = prompts · ((z_level + z_power) · error / distance)², the usual normal planning
    formula. None: more than MOST.
    """
    return _needed(distance, Pilot(error, prompts), _quantiles(level, power))


def sequential_needed(
    distance: float,
    pilot: Pilot,
    alpha: float,
    interim_analyses: InterimAnalyses,
    power: float = POWER,
) -> int | None:
    """Return the last analysis's prompts for a sequential test of this power.

    The shares are those of `interim_analyses`. A few percent more than `prompts_needed`, since
    early looks cost error rate; on average far fewer are used.
    """
    return _needed(distance, pilot, drift_needed(alpha, interim_analyses, power))


def forecast(
    distance: float, pilot: Pilot, alpha: float, interim_analyses: InterimAnalyses
) -> Forecast:
    """Return how surely a sequential test decides at `distance` from the margin, and when.

    Prompts are those used on average; a test that never decides uses all of the last look's.
    """
    drift = abs(distance) / pilot.error_at(interim_analyses[-1]) if pilot.error > 0 else math.inf
    if math.isinf(drift):
        return Forecast(1.0, float(interim_analyses[0]))
    stops = stopping(bounds(alpha, interim_analyses), interim_analyses, drift)
    used = (
        float(stops @ np.asarray(interim_analyses, dtype=np.float64))
        + (1 - float(stops.sum())) * interim_analyses[-1]
    )
    return Forecast(float(stops.sum()), used)


def precision_needed(
    observed: float, limit: float, level: float, power: float = POWER
) -> float | None:
    """Return the 95 % interval's relative half-width that separates a quantity from a limit.

    With it a one-sided test at `level` decides with probability `power`, on logarithms, if the
    quantity is as observed: a half-width is z₀.₉₇₅ standard errors, and the limit must be z_level +
    z_power of them away. Rounded down to one digit; None below 0.1 %, since no machine is that
    steady.
    """
    away = abs(math.log(observed / limit)) if observed > 0 and limit > 0 else math.inf
    width = away * float(normal_quantiles(0.975)) / _quantiles(level, power)
    if not FINEST <= width < 1:
        return None
    digit = 10.0 ** math.floor(math.log10(width))
    return float(f"{math.floor(width / digit + 1e-9) * digit:.1g}")


@lru_cache(maxsize=1024)
def drift_needed(alpha: float, interim_analyses: InterimAnalyses, power: float = POWER) -> float:
    """Return the expected last statistic with which a sequential test has power `power`.

    With one look it is z_level + z_power.
    """
    from scipy.optimize import brentq

    if len(interim_analyses) < 2:
        return _quantiles(1 - alpha, power)
    limits = bounds(alpha, interim_analyses)
    return float(
        brentq(
            lambda drift: stopping(limits, interim_analyses, drift).sum() - power,
            0.0,
            20.0,
            xtol=1e-6,
        )
    )


def _quantiles(level: float, power: float) -> float:
    return float(normal_quantiles(level) + normal_quantiles(power))


def _needed(distance: float, pilot: Pilot, quantiles: float) -> int | None:
    if distance == 0 or not math.isfinite(pilot.error):
        return None
    needed = pilot.prompts * (quantiles * pilot.error / abs(distance)) ** 2
    return max(2, math.ceil(needed)) if needed < MOST else None
