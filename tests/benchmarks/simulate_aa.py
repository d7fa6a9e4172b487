"""Simulate timing a baseline against itself on machines noisy in different ways: does 1.00 lie in the interval?

python -m tests.benchmarks.simulate_aa [trials]: about half an hour on one core with 400 trials. It prints the table of
docs/simulated-rates.md. Calls take a second, so a clock that changes by the minute changes within a few groups.
"""

import sys
from collections.abc import Callable, Iterator
from statistics import median
from typing import NamedTuple

import numpy as np
from numpy.random import Generator

from harness.core.timing import Block, Pairing, Repeat, Side
from harness.core.units import Absent
from harness.stats.speedup import precise, speedup

TURNS: tuple[Side, ...] = ("baseline", "cell", "cell", "baseline")
PRECISION, MOST_GROUPS = 0.02, 24
FIXED = (3, 8, 16)
CALLS = 4 * MOST_GROUPS
Noise = Callable[[Generator], np.ndarray]
"""From a generator to the logarithm of what each call of a run takes, in the order in which they are timed."""


class Trial(NamedTuple):
    """What one simulated run said: whether its interval held 1.00, how wide it was, and after how many groups."""

    covered: bool
    half_width: float
    groups: int
    reached: bool


def steady(rng: Generator) -> np.ndarray:
    """1 % of normal noise."""
    return rng.normal(0, 0.01, CALLS)


def heavy_tails(rng: Generator) -> np.ndarray:
    """Student's t with 3 degrees of freedom, 1 %."""
    return 0.01 * rng.standard_t(3, CALLS)


def outliers(rng: Generator) -> np.ndarray:
    """1 % of noise; every twentieth call takes half as long again."""
    return steady(rng) + 0.4 * (rng.random(CALLS) < 0.05)


def drift(rng: Generator) -> np.ndarray:
    """A clock that falls steadily by 15 % from first to last."""
    return steady(rng) + np.linspace(0, 0.15, CALLS)


def wandering(rng: Generator) -> np.ndarray:
    """A clock that walks at random, about 7 % in 24 groups."""
    return steady(rng) + np.cumsum(rng.normal(0, 0.007, CALLS))


def two_clocks(rng: Generator) -> np.ndarray:
    """A clock that jumps between two states 15 % apart, each held for twenty calls on average."""
    return steady(rng) + 0.15 * (np.cumsum(rng.random(CALLS) < 0.05) % 2)


def two_modes(rng: Generator) -> np.ndarray:
    """Calls of two kinds 8 % apart, three in ten the slower one, at random."""
    return steady(rng) + 0.08 * (rng.random(CALLS) < 0.3)


def warming(rng: Generator) -> np.ndarray:
    """Calls that begin 20 % slower and settle in the first three groups."""
    return steady(rng) + 0.2 * np.exp(-np.arange(CALLS) / 4)


NOISES = (steady, heavy_tails, outliers, drift, wandering, two_clocks, two_modes, warming)


def pairing(logs: np.ndarray, groups: int) -> Pairing:
    """Return the run's first groups, each baseline, cell, cell, baseline."""
    begun = np.concatenate([[0.0], np.cumsum(np.exp(logs))])
    blocks = (
        Block(
            side=TURNS[place % 4],
            group=place // 4,
            begun_s=float(begun[place]),
            repeats=(Repeat(latency_s=float(np.exp(logs[place]))),),
        )
        for place in range(4 * groups)
    )
    return Pairing(kind="interleaved", blocks=tuple(blocks))


def trial(logs: np.ndarray, groups: int | None) -> Trial:
    """Return what a run said after so many groups, or as soon as it was precise enough (None)."""
    stop = groups or next((n for n in range(1, MOST_GROUPS) if _enough(logs, n)), MOST_GROUPS)
    timed = pairing(logs, stop)
    interval = speedup(timed).interval
    if isinstance(interval, Absent):
        raise ValueError(f"no interval after {stop} groups: {interval.absent}")
    return Trial(
        covered=interval.low <= 1 <= interval.high,
        half_width=(interval.high / interval.low) ** 0.5 - 1,
        groups=stop,
        reached=_enough(logs, stop),
    )


def _enough(logs: np.ndarray, groups: int) -> bool:
    found = precise(pairing(logs, groups))
    return found is not None and found <= PRECISION


def rows(trials: int) -> Iterator[str]:
    """Return the lines of the table as they are made."""
    yield "| noise | groups | trials | 95 % covers 1.00 | median half-width | stopped after, median | reached ± 2 % |"
    yield "|---|---|---|---|---|---|---|"
    for noise in NOISES:
        for groups in (*FIXED, None):
            rng = np.random.default_rng(7)
            found = [trial(noise(rng), groups) for _ in range(trials)]
            covered = float(np.mean([one.covered for one in found]))
            error = (covered * (1 - covered) / trials) ** 0.5
            width, stopped = median(one.half_width for one in found), median(one.groups for one in found)
            reached = f"{100 * float(np.mean([one.reached for one in found])):.0f} %" if groups is None else ""
            name, asked = noise.__name__.replace("_", " "), groups or f"until ± 2 %, at most {MOST_GROUPS}"
            yield (
                f"| {name} | {asked} | {trials} | {covered:.3f} ± {error:.3f} | {100 * width:.2f} %"
                f" | {stopped:.0f} | {reached} |"
            )


if __name__ == "__main__":
    for line in rows(int(sys.argv[1]) if len(sys.argv) > 1 else 400):
        print(line, flush=True)
