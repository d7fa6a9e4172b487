"""Simulated nights of a matrix: night-to-night noise as real machines have it, and what a retry draws anew."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
CV = 0.015
"""Night-to-night coefficient of variation of a cell."""
WITHIN = 0.5
"""The part of its variance that a second measurement in the same night draws anew."""


class Noise(NamedTuple):
    """What moves the cells of a matrix from night to night."""

    correlation: float = 0.0
    outliers: float = 0.0
    """Share of readings, and of whole nights, that are 5 to 30 % off: most of them slower."""
    speeds: float = 0.0
    """A machine that is this much slower on about half of its nights, in spells; every tenth cell switches between two
    speeds that are a quarter of that apart."""
    shared: float = 0.0
    """The coefficient of variation of the baseline's readings, which move all cells."""


NOISES = {
    "all together": Noise(correlation=0.3, outliers=0.01, speeds=0.15, shared=0.01),
    "independent": Noise(),
    "autocorrelated (0.4)": Noise(correlation=0.4),
    "outliers (1 %)": Noise(outliers=0.01),
    "two speeds (15 %)": Noise(speeds=0.15),
    "shared baseline (1 %)": Noise(shared=0.01),
}


def simulate(noise: Noise, shape: tuple[int, int, int], rng: np.random.Generator) -> Floats:
    """Return logarithms of readings (groups, cells, nights): a group is one quantity of one matrix."""
    groups, cells, nights = shape
    values = _autoregress(noise.correlation, shape, rng) * CV
    values += _autoregress(noise.correlation, (groups, 1, nights), rng) * noise.shared
    if noise.speeds:
        values += noise.speeds * _switch(0.3, (groups, 1, nights), rng) * rng.uniform(0.9, 1.1, (groups, cells, 1))
        has_two = rng.random((groups, cells, 1)) < 0.1
        values += noise.speeds / 4 * has_two * _switch(0.4, shape, rng)
    if noise.outliers:
        values += _outliers(noise.outliers, shape, rng)
        values += _outliers(noise.outliers, (groups, 1, nights), rng) * rng.uniform(0.5, 1.5, shape)
    return values


def retry(values: Floats, rng: np.random.Generator) -> Floats:
    """Return values measured again in their night: a normal part of them is drawn anew."""
    kept = np.sqrt(1 - WITHIN) * CV * rng.standard_normal(values.shape)
    return values + kept - np.sqrt(WITHIN) * CV * rng.standard_normal(values.shape)


def _autoregress(correlation: float, shape: tuple[int, ...], rng: np.random.Generator) -> Floats:
    values = rng.standard_normal(shape)
    for night in range(1, shape[-1] if correlation else 0):
        rest = np.sqrt(1 - correlation**2) * values[..., night]
        values[..., night] = correlation * values[..., night - 1] + rest
    return values


def _switch(rate: float, shape: tuple[int, ...], rng: np.random.Generator) -> Floats:
    """Return 0 or 1, drawn anew at a rate a night."""
    states = np.empty(shape)
    now = rng.random(shape[:-1]) < 0.5
    for night in range(shape[-1]):
        now = np.where(rng.random(shape[:-1]) < rate, rng.random(shape[:-1]) < 0.5, now)
        states[..., night] = now
    return states


def _outliers(share: float, shape: tuple[int, ...], rng: np.random.Generator) -> Floats:
    size = rng.uniform(0.05, 0.3, shape) * np.where(rng.random(shape) < 0.8, 1, -1)
    return np.asarray(size * (rng.random(shape) < share))
