"""Blocks of timed calls as numbers, and which of them were measured after warm-up.

Warm-up often continues after the warm-up calls, or never ends (Barrett, Bolz-Tereick, Killick,
Mount & Tratt 2017, "Virtual Machine Warmup Blows Hot and Cold"). So it is detected: change points
near the beginning of a series, found by a permutation test.
"""

import math
from collections.abc import Sequence
from statistics import fmean, median

import numpy as np
from numpy.typing import ArrayLike, NDArray

from harness.core.timing import Block, Pairing, Side

Floats = NDArray[np.float64]


def latencies(block: Block) -> list[float]:
    """Return the seconds of each call of a block."""
    return [repeat.latency_s for repeat in block.repeats]


def log_medians(blocks: Sequence[Block]) -> Floats:
    """Return the natural logarithm of each block's median seconds of a call (n,)."""
    return np.array([math.log(median(latencies(block))) for block in blocks])


def round_levels(blocks: Sequence[Block]) -> dict[int, float]:
    """Return group → the mean of the log medians of its blocks."""
    grouped: dict[int, list[float]] = {}
    for block, level in zip(blocks, log_medians(blocks), strict=True):
        grouped.setdefault(block.round_index, []).append(float(level))
    return {round_index: fmean(levels) for round_index, levels in grouped.items()}


def brackets(
    baseline: Sequence[Block], cell: Sequence[Block]
) -> tuple[tuple[Block, ...], tuple[Block, ...]]:
    """Return the baseline's blocks before and after the first block of a sandwiched cell."""
    begin_s = cell[0].begun_s
    before = tuple(block for block in baseline if block.begun_s < begin_s)
    return before, tuple(block for block in baseline if block.begun_s >= begin_s)


def middles_s(blocks: Sequence[Block]) -> Floats:
    """Return the seconds (n,) at the middle of each block, since the first block of the pairing."""
    return np.array([block.begun_s + sum(latencies(block)) / 2 for block in blocks])


LEAST = 8
"""With fewer values, different leading ones cannot be distinguished from chance: of 8, 2 come first
in 1 of 28."""
_ALPHA = 0.04
_UNSEEN = 1.8
"""A smaller standardized difference is never significant: no permutations are needed."""
_ORDERS = 499
_CLIP = 10.0
"""Deviations are clipped at this many of the usual size: one outlier is not warm-up."""


def steady_from(values: ArrayLike) -> int:
    """Return the index from which positive values (n,) are steady.

    0 where the beginning does not differ. Values before a change point are left out, repeatedly, at
    most half of them. A change of level is warm-up only where it explains the values better than a
    straight line does: a continuous drift is not warm-up.
    """
    logs = np.log(np.asarray(values, dtype=np.float64))
    start, most = 0, logs.size // 2
    while start < most and (cut := _change(logs[start:], most - start)):
        start += cut
    return start


def _change(logs: Floats, most: int) -> int:
    """Return after how many of the first `most` values the level changes; 0 without a change."""
    if logs.size < LEAST:
        return 0
    deviations = _deviations(logs)
    gaps = _gaps(deviations[None, :], most)[0]
    cut = int(gaps.argmax()) + 1
    gap = gaps.max() * _likeness(deviations, cut)
    if gap <= _UNSEEN * deviations.std():
        return 0
    dearer = logs.size ** (
        1 / logs.size
    )  # BIC: where the step lies is a number more than a line has
    if _remainder(deviations, cut) * dearer >= _remainder_of_line(deviations):
        return 0
    orders = np.random.default_rng(0).permuted(np.tile(deviations, (_ORDERS, 1)), axis=1)
    chance = (1 + int((_gaps(orders, most).max(axis=1) >= gap - 1e-9).sum())) / (_ORDERS + 1)
    return cut if chance <= _ALPHA else 0


def _deviations(logs: Floats) -> Floats:
    """Return each value's distance from the later half's median, in usual deviations, clipped."""
    apart = logs - np.median(logs[logs.size // 2 :])
    usual = float(np.median(np.abs(np.diff(logs)))) or float(np.abs(apart).mean())
    return np.asarray(np.clip(apart / usual, -_CLIP, _CLIP)) if usual > 0 else apart


def _gaps(rows: Floats, most: int) -> Floats:
    """Return standardized differences (rows, most): the first 1 … most values and the rest."""
    n = rows.shape[1]
    first = np.arange(1, most + 1)
    sums = rows.cumsum(axis=1)
    apart = sums[:, :most] / first - (sums[:, -1:] - sums[:, :most]) / (n - first)
    return np.asarray(np.abs(apart) * np.sqrt(first * (n - first) / n))


def _likeness(deviations: Floats, cut: int) -> float:
    """Return the factor for correlated neighbours, √((1 − ρ) / (1 + ρ)), without the step."""
    rest = np.concatenate([part - part.mean() for part in (deviations[:cut], deviations[cut:])])
    power = float(rest @ rest)
    alike = min(max(float(rest[1:] @ rest[:-1]) / power, 0.0), 0.95) if power > 0 else 0.0
    return float(((1 - alike) / (1 + alike)) ** 0.5)


def _remainder(deviations: Floats, cut: int) -> float:
    return float(
        sum(((part - part.mean()) ** 2).sum() for part in (deviations[:cut], deviations[cut:]))
    )


def _remainder_of_line(deviations: Floats) -> float:
    places = np.arange(deviations.size) - (deviations.size - 1) / 2
    slope = places @ deviations / (places @ places)
    return float(((deviations - deviations.mean() - slope * places) ** 2).sum())


def warming(pairing: Pairing) -> int:
    """Return how many rounds at the beginning were warm-up.

    Of a cell measured alone, how many blocks. An interleaved round counts once both sides are
    steady. A sandwiched cell and the baseline on either side of it warm up separately, which a
    number of rounds cannot express: 0 (see `steady_blocks`).
    """
    baseline, cell = pairing.of("baseline"), pairing.of("cell")
    if pairing.kind == "alone":
        return steady_from(np.exp(log_medians(cell))) if cell else 0
    theirs, mine = round_levels(baseline), round_levels(cell)
    rounds = sorted(theirs.keys() & mine.keys())
    if pairing.kind == "sandwiched" or not rounds:
        return 0
    return max(
        steady_from(np.exp([side[round_index] for round_index in rounds]))
        for side in (theirs, mine)
    )


def steady(blocks: Sequence[Block]) -> tuple[Block, ...]:
    """Return consecutive blocks without those at the beginning that differ from the rest."""
    return tuple(blocks[steady_from(np.exp(log_medians(blocks))) :]) if blocks else ()


def steady_blocks(pairing: Pairing, side: Side = "cell") -> tuple[Block, ...]:
    """Return the warm blocks of one side, in order of time."""
    blocks, left_out = pairing.of(side), warming(pairing)
    if pairing.kind == "sandwiched":
        cell = pairing.of("cell")
        parts = brackets(blocks, cell) if side == "baseline" and cell else (blocks,)
        return tuple(block for part in parts for block in steady(part))
    if not left_out or pairing.kind == "alone":
        return blocks[left_out:]
    rounds = sorted(
        {block.round_index for block in pairing.of("baseline")}
        & {block.round_index for block in pairing.of("cell")}
    )
    return tuple(block for block in blocks if block.round_index >= rounds[left_out])
