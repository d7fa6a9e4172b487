"""Simulate timing a baseline against itself on machines that misbehave, each in its own way: is 1.00 in the interval?

python -m tests.benchmarks.simulate_aa [trials] [--quick]: about ten minutes on one core with 1,000 trials. It prints
the table of docs/simulated-rates.md; a smaller version runs in every test run. With --quick: one trial a row.
"""

import argparse
from collections.abc import Iterator
from statistics import median
from typing import NamedTuple

import numpy as np

from harness.core.timing import Pairing
from harness.core.units import Absent
from harness.stats.speedup import precise, speedup
from tests.builders.timed_pairs import MACHINES, Machine, growing, growing_shared, interleaved, sandwich

PRECISION, MAX_ROUNDS = 0.02, 32
UNTIL = f"until ± {100 * PRECISION:g} %, at most {MAX_ROUNDS}"
FIXED = (3, 8, 16)
CALLS = (1, 5)
"""Calls of a block: one of a large model, five of a small one."""
SHARING = (4, 12)
"""Cells that share a round."""
BESIDE = ((8, 16, 8), (8, 80, 32))
"""Blocks before, of the cell and after, where both do not fit into memory: the fewest that are precise, and many."""


class Trial(NamedTuple):
    """One run: whether its interval contains 1.00, half its width, its rounds, and whether it was precise."""

    covered: bool
    half_width: float
    rounds: int
    reached: bool


def fixed(machine: Machine, rng: np.random.Generator, rounds: int, calls: int) -> Trial:
    """Return the trial of a run of so many rounds."""
    return _said(interleaved(machine, rng, rounds, calls))


def stopped(machine: Machine, rng: np.random.Generator, calls: int) -> Trial:
    """Return the trial of a run that stopped after the first round at which it was precise enough."""
    for pairing in growing(machine, rng, MAX_ROUNDS, calls, 1.0):
        if _reached(pairing):
            break
    return _said(pairing)


def shared(machine: Machine, rng: np.random.Generator, cells: int, calls: int) -> Trial:
    """Return what a cell said that shared its rounds with others, stopped once it was precise enough."""
    for pairing in growing_shared(machine, rng, MAX_ROUNDS, calls, cells):
        if _reached(pairing):
            break
    return _said(pairing)


def _said(pairing: Pairing) -> Trial:
    interval = speedup(pairing).interval
    if isinstance(interval, Absent):
        raise ValueError(interval.absent)
    rounds = len({block.round_index for block in pairing.blocks})
    half_width = (interval.high / interval.low) ** 0.5 - 1
    return Trial(interval.low <= 1 <= interval.high, half_width, rounds, _reached(pairing))


def _reached(pairing: Pairing) -> bool:
    found = precise(pairing)
    return found is not None and found <= PRECISION


def rows(trials: int) -> Iterator[str]:
    """Yield the lines of the table as they are made; every row draws its runs anew from the same seed."""
    yield "| machine | calls per block | rounds | trials | 95 % covers 1.00 | half-width | rounds taken | precise |"
    yield "|---|---|---|---|---|---|---|---|"
    for machine in MACHINES:
        for calls in CALLS:
            for rounds in FIXED:
                rng = np.random.default_rng(7)
                yield _row((machine, calls, rounds), [fixed(machine, rng, rounds, calls) for _ in range(trials)])
            rng = np.random.default_rng(7)
            yield _row((machine, calls, UNTIL), [stopped(machine, rng, calls) for _ in range(trials)])
            for cells in SHARING:
                rng = np.random.default_rng(7)
                together = [shared(machine, rng, cells, calls) for _ in range(trials)]
                yield _row((machine, calls, f"{UNTIL}, {cells} cells a round"), together)
            for blocks in BESIDE:
                rng = np.random.default_rng(7)
                beside = [_said(sandwich(machine, rng, blocks, calls)) for _ in range(trials)]
                yield _row((machine, calls, f"sandwiched: {', '.join(map(str, blocks))} blocks"), beside)


def _row(case: tuple[str, int, int | str], found: list[Trial]) -> str:
    covered = float(np.mean([one.covered for one in found]))
    error = (covered * (1 - covered) / len(found)) ** 0.5
    width, taken = median(one.half_width for one in found), median(one.rounds for one in found)
    precisely = float(np.mean([one.reached for one in found]))
    cells = (*case, f"{len(found):,}", f"{covered:.3f} ± {error:.3f}", f"{100 * width:.2f} %", f"{taken:g}",
             f"{100 * precisely:.0f} %")  # fmt: skip
    return f"| {' | '.join(map(str, cells))} |"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="How often the interval of a baseline against itself holds 1.00.")
    parser.add_argument("trials", type=int, nargs="?", default=1000)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    for line in rows(1 if options.quick else options.trials):
        print(line, flush=True)
