"""Simulate every interval at a true loss of exactly the margin and print the table of docs/quality.md.

python -m tests.benchmarks.simulate_rates [trials] [--quick]: about ten minutes on one core with 1,000 trials. With
--quick: five trials of every case.
"""

import argparse

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


def cases() -> dict[str, tuple[Simulate, float]]:
    """Return every case with the share of the trials it is given: a Fréchet distance costs more than a mean."""
    found = {f"ratio, {draw.__name__}": (simulate_ratio(draw), 4.0) for draw in VALUES}
    found |= {f"mean, {draw.__name__}": (simulate_mean(draw), 4.0) for draw in VALUES}
    found |= {f"correct or not, {kind}": (simulate_correct(kind), 4.0) for kind in CORRECT}
    found |= {f"odd pictures, {kind}": (simulate_odd(kind), 1.0) for kind in ODD}
    found |= {f"Fréchet, {kind}": (simulate_frechet(kind), 1.0) for kind in KINDS}
    found |= {f"Fréchet to real, {kind}": (simulate_frechet(kind, real=True), 1.0) for kind in KINDS}
    found |= {f"Fréchet in 128 dimensions, {kind}": (simulate_frechet(kind, dims=128), 0.2) for kind in KINDS}
    few = {f"Fréchet of few images in 128 dimensions, {kind}": kind for kind in FEW_KINDS}
    found |= {name: (simulate_frechet(kind, dims=128), 0.2) for name, kind in few.items()}
    found |= {f"KID, {kind}": (simulate_mmd(kind, "cubic"), 0.5) for kind in MMD_KINDS}
    found |= {f"CMMD, {kind}": (simulate_mmd(kind, "gaussian"), 0.5) for kind in MMD_KINDS}
    return found


def main(trials: int) -> None:
    """Print one line per case and number of prompts."""
    print("| interval, kind of change | prompts | trials | 95 % covers | passes at 5 % | at 0.5 % | fails at 5 % |")
    print("|---|---|---|---|---|---|---|")
    for name, (simulate, share) in cases().items():
        for n in (60, 100) if "few images" in name else (100, 500):
            drawn = simulate(n, int(trials * share))
            found = rates(drawn)
            cells = [f"{rate:.3f} ± {deviation(rate, len(drawn)):.3f}" for rate in found]
            print(f"| {name} | {n} | {len(drawn):,} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="How often the intervals of scores are right.")
    parser.add_argument("trials", type=int, nargs="?", default=1000)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    main(5 if options.quick else options.trials)
