"""Simulated pairings of one speedup on machines that misbehave, each in its own way; times in seconds."""

from collections.abc import Callable, Iterator
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from harness.core.timing import UNKNOWN, Block, Pairing, Repeat, Side

Floats = NDArray[np.float64]
Machine = Literal["quiet", "wandering", "warming", "outliers", "two-clocks"]
MACHINES: tuple[Machine, ...] = ("quiet", "wandering", "warming", "outliers", "two-clocks")
ABBA: tuple[Side, ...] = ("baseline", "cell", "cell", "baseline")
CALL_S = 0.05


def _wandering(rng: np.random.Generator, blocks: int) -> Floats:
    """Return an AR(1) level with a memory of ten blocks and 3 % deviation."""
    level = np.empty(blocks)
    level[0] = 0.03 * rng.standard_normal()
    steps = 0.03 * np.sqrt(1 - 0.9**2) * rng.standard_normal(blocks)
    for place in range(1, blocks):
        level[place] = 0.9 * level[place - 1] + steps[place]
    return level


def _two_clocks(rng: np.random.Generator, blocks: int) -> Floats:
    """Return a clock that is 15 % slower in about half of the blocks, and changes in every fifth."""
    return np.log(1.15) * (np.cumsum(rng.random(blocks) < 0.2) % 2)


_LEVELS: dict[Machine, Callable[[np.random.Generator, int], Floats]] = {
    "wandering": _wandering,
    "warming": lambda _, blocks: np.log(np.linspace(1, 1.15, blocks)),
    "two-clocks": _two_clocks,
}


def latencies(machine: Machine, rng: np.random.Generator, blocks: int, calls: int) -> Floats:
    """Return the seconds (blocks, calls) of calls that take CALL_S: 3 % noise, and what the machine does."""
    logs = 0.03 * rng.standard_normal((blocks, calls))
    if machine in _LEVELS:
        logs += _LEVELS[machine](rng, blocks)[:, None]
    if machine == "outliers":
        logs += np.log(3) * (rng.random((blocks, calls)) < 0.05)
    return CALL_S * np.exp(logs)


def made_blocks(sides: tuple[Side, ...], groups: tuple[int, ...], times: Floats, speedup: float) -> list[Block]:
    """Return blocks of the times (blocks, calls), the cell's divided by the speedup."""
    begun_s, blocks = 0.0, []
    for side, group, row in zip(sides, groups, times, strict=True):
        calls = row if side == "baseline" else row / speedup
        repeats = tuple(Repeat.model_construct(latency_s=seconds) for seconds in calls.tolist())
        blocks.append(Block.model_construct(side=side, group=group, begun_s=begun_s, repeats=repeats,
                                            conditions=UNKNOWN, superseded=""))  # fmt: skip
        begun_s += float(calls.sum())
    return blocks


def growing(machine: Machine, rng: np.random.Generator, groups: int, calls: int, speedup: float) -> Iterator[Pairing]:
    """Yield the interleaved pairing after each of its ABBA groups."""
    places = tuple(group for group in range(groups) for _ in ABBA)
    blocks = made_blocks(ABBA * groups, places, latencies(machine, rng, 4 * groups, calls), speedup)
    for group in range(1, groups + 1):
        yield Pairing.model_construct(kind="interleaved", why="", stopped="", blocks=tuple(blocks[: 4 * group]))


def interleaved(machine: Machine, rng: np.random.Generator, groups: int, calls: int, speedup: float = 1.0) -> Pairing:
    """Return a pairing of so many ABBA groups."""
    *_, last = growing(machine, rng, groups, calls, speedup)
    return last


def sandwich(machine: Machine, rng: np.random.Generator, blocks: tuple[int, int, int], calls: int,
             speedup: float = 1.0) -> Pairing:  # fmt: skip
    """Return a sandwiched pairing with so many blocks before, of the cell, and after."""
    order: tuple[Side, ...] = ("baseline", "cell", "baseline")
    sides = tuple(side for side, count in zip(order, blocks, strict=True) for _ in range(count))
    groups = tuple(group for group, count in enumerate(blocks) for _ in range(count))
    times = latencies(machine, rng, sum(blocks), calls)
    made = tuple(made_blocks(sides, groups, times, speedup))
    return Pairing.model_construct(kind="sandwiched", why="both do not fit", stopped="", blocks=made)


def alone(repeats: tuple[Repeat, ...]) -> Pairing:
    """Return the pairing of a cell that was timed by itself, each call a block."""
    begun = [sum(repeat.latency_s for repeat in repeats[:place]) for place in range(len(repeats))]
    blocks = (
        Block(side="cell", group=group, begun_s=at, repeats=(repeat,))
        for group, (repeat, at) in enumerate(zip(repeats, begun, strict=True))
    )
    return Pairing(kind="alone", blocks=tuple(blocks))
