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


def made_blocks(sides: tuple[Side, ...], rounds: tuple[int, ...], times: Floats, speedup: float) -> list[Block]:
    """Return blocks of the times (blocks, calls), the cell's divided by the speedup."""
    begun_s, blocks = 0.0, []
    for side, round_index, row in zip(sides, rounds, times, strict=True):
        calls = row if side == "baseline" else row / speedup
        repeats = tuple(Repeat.model_construct(latency_s=seconds) for seconds in calls.tolist())
        blocks.append(Block.model_construct(side=side, round_index=round_index, begun_s=begun_s, repeats=repeats,
                                            conditions=UNKNOWN, superseded=""))  # fmt: skip
        begun_s += float(calls.sum())
    return blocks


def growing(machine: Machine, rng: np.random.Generator, rounds: int, calls: int, speedup: float) -> Iterator[Pairing]:
    """Yield the interleaved pairing after each of its ABBA groups."""
    places = tuple(round_index for round_index in range(rounds) for _ in ABBA)
    blocks = made_blocks(ABBA * rounds, places, latencies(machine, rng, 4 * rounds, calls), speedup)
    for round_index in range(1, rounds + 1):
        yield Pairing.model_construct(kind="interleaved", why="", stopped="", blocks=tuple(blocks[: 4 * round_index]))


def growing_shared(
    machine: Machine, rng: np.random.Generator, rounds: int, calls: int, cells: int
) -> Iterator[Pairing]:
    """Yield a cell's pairing after each round that it shared with others: everyone in a random order, and back.

    The baseline is place 0, the cell place 1; the others take time in which the machine changes.
    """
    size = 2 * (cells + 1)
    orders = [rng.permutation(cells + 1) for _ in range(rounds)]
    places = np.concatenate([np.concatenate([order, order[::-1]]) for order in orders])
    times = latencies(machine, rng, size * rounds, calls)
    begun = np.concatenate([[0.0], np.cumsum(times.sum(axis=1))])
    made: list[Block] = []
    for number, (place, row) in enumerate(zip(places.tolist(), times, strict=True)):
        if place < 2:
            repeats = tuple(Repeat.model_construct(latency_s=seconds) for seconds in row.tolist())
            side: Side = "cell" if place else "baseline"
            made.append(Block.model_construct(side=side, round_index=number // size, begun_s=float(begun[number]),
                                              repeats=repeats, conditions=UNKNOWN, superseded=""))  # fmt: skip
        if number % size == size - 1:
            yield Pairing.model_construct(kind="interleaved", why="", stopped="", blocks=tuple(made))


def interleaved(machine: Machine, rng: np.random.Generator, rounds: int, calls: int, speedup: float = 1.0) -> Pairing:
    """Return a pairing of so many ABBA groups."""
    *_, last = growing(machine, rng, rounds, calls, speedup)
    return last


def sandwich(machine: Machine, rng: np.random.Generator, blocks: tuple[int, int, int], calls: int,
             speedup: float = 1.0) -> Pairing:  # fmt: skip
    """Return a sandwiched pairing with so many blocks before, of the cell, and after."""
    order: tuple[Side, ...] = ("baseline", "cell", "baseline")
    sides = tuple(side for side, count in zip(order, blocks, strict=True) for _ in range(count))
    rounds = tuple(round_index for round_index, count in enumerate(blocks) for _ in range(count))
    times = latencies(machine, rng, sum(blocks), calls)
    made = tuple(made_blocks(sides, rounds, times, speedup))
    return Pairing.model_construct(kind="sandwiched", why="both do not fit", stopped="", blocks=made)


def alone(repeats: tuple[Repeat, ...]) -> Pairing:
    """Return the pairing of a cell that was timed by itself, each call a block."""
    begun = [sum(repeat.latency_s for repeat in repeats[:place]) for place in range(len(repeats))]
    blocks = (
        Block(side="cell", round_index=round_index, begun_s=at, repeats=(repeat,))
        for round_index, (repeat, at) in enumerate(zip(repeats, begun, strict=True))
    )
    return Pairing(kind="alone", blocks=tuple(blocks))
