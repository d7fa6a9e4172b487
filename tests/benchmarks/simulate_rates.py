"""Simulate every interval at a true loss of exactly the margin and print the table of docs/simulated-rates.md.

python -m tests.benchmarks.simulate_rates [trials] [--quick]: about ten minutes on one core with 1,000 trials. With
--quick: five trials of the first kind of change of each interval, at the lowest number of prompts.
"""

import argparse
from collections.abc import Callable, Iterable
from functools import partial
from typing import NamedTuple

from tests.builders.scenarios import FEW_KINDS, KINDS, MMD_KINDS, VALUES
from tests.builders.simulations import (
    CORRECT,
    ODD,
    Simulate,
    deviation,
    rates,
    simulate_correct,
    simulate_frechet,
    simulate_mean,
    simulate_mmd,
    simulate_odd,
    simulate_ratio,
)


class Group(NamedTuple):
    """Cases of one interval: its simulation by kind of change, and its share of the trials by cost."""

    name: str
    make: Callable[..., Simulate]
    kinds: Iterable[object]
    share: float
    prompts: tuple[int, int] = (100, 500)


GROUPS = (
    Group("ratio", simulate_ratio, VALUES, 4.0),
    Group("mean", simulate_mean, VALUES, 4.0),
    Group("correct or not", simulate_correct, CORRECT, 4.0),
    Group("odd images", simulate_odd, ODD, 1.0),
    Group("Fréchet", simulate_frechet, KINDS, 1.0),
    Group("Fréchet to real", partial(simulate_frechet, real=True), KINDS, 1.0),
    Group("Fréchet in 128 dimensions", partial(simulate_frechet, dims=128), KINDS, 0.2),
    Group("Fréchet of few images in 128 dimensions", partial(simulate_frechet, dims=128), FEW_KINDS, 0.2, (60, 100)),
    Group("KID", partial(simulate_mmd, kernel="cubic"), MMD_KINDS, 0.5),
    Group("CMMD", partial(simulate_mmd, kernel="gaussian"), MMD_KINDS, 0.5),
)


def main(trials: int, quick: bool) -> None:
    """Print one line per case and number of prompts."""
    print("| interval, kind of change | prompts | trials | 95 % covers | passes at 5 % | at 0.5 % | fails at 5 % |")
    print("|---|---|---|---|---|---|---|")
    for group in GROUPS:
        for kind in list(group.kinds)[: 1 if quick else None]:
            simulate = group.make(kind)
            for n in group.prompts[: 1 if quick else None]:
                drawn = simulate(n, int(trials * group.share))
                found = rates(drawn)
                cells = [f"{rate:.3f} ± {deviation(rate, len(drawn)):.3f}" for rate in found]
                name = f"{group.name}, {getattr(kind, '__name__', kind)}"
                print(f"| {name} | {n} | {len(drawn):,} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="How often the intervals of scores are right.")
    parser.add_argument("trials", type=int, nargs="?", default=1000)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    main(5 if options.quick else options.trials, options.quick)
