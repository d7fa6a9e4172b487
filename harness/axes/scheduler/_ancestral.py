"""Find the steps at which rounding breaks ancestral noise.

Euler's step down is √(σ₂² − σ_up²), which float32 can round below zero. Computed as diffusers does,
without torch: the sign of a difference of two nearly equal numbers depends on every digit.
"""

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.core.axis import Context

CLASS = "EulerAncestralDiscreteScheduler"
Floats = NDArray[np.float32]
_ONE = np.float32(1)
_LEAST_SIGNAL = 2.0**-24
"""The signal of pure noise in diffusers (zero terminal SNR)."""


def refuse_broken(context: Context, trailing: bool = False) -> str | None:
    """Return why ancestral Euler cannot take the cell's steps, or None if it can."""
    config, steps = context.model.scheduler, context.steps
    trailing |= bool(config.get("rescale_betas_zero_snr"))
    spacing = "trailing" if trailing else config.get("timestep_spacing", "linspace")
    if not config or "flow" in context.model.tags or not is_broken(config, spacing, steps):
        return None
    where = f"{CLASS} takes the root of a difference that rounding makes negative"
    fix = "use one more, or another scheduler"
    return f"{where} at {steps} steps of the {context.model.title}: {fix}"


def is_broken(config: Mapping[str, Any], spacing: str, steps: int) -> bool:
    """Return whether a step down is not a number, by a scheduler's configuration."""
    signal = _compute_signals(config)
    sigmas = np.sqrt((_ONE - signal) / signal)
    places = _list_timesteps(spacing, len(sigmas), steps, int(config.get("steps_offset", 0)))
    walked = np.interp(places, np.arange(len(sigmas)), sigmas).astype(np.float32)
    start, end = walked[:-1] ** 2, walked[1:] ** 2
    with np.errstate(invalid="ignore"):
        up = np.sqrt(end * (start - end) / start)
        down = np.sqrt(end - up**2)
    return bool(np.isnan(down).any())


def _list_timesteps(spacing: str, trained: int, steps: int, offset: int) -> Floats:
    if spacing == "leading":
        return (np.arange(steps)[::-1] * (trained // steps)).astype(np.float32) + np.float32(offset)
    if spacing == "trailing":
        return np.arange(trained, 0, -trained / steps).round().astype(np.float32) - _ONE
    return np.linspace(0, trained - 1, steps, dtype=np.float32)[::-1]


def _compute_signals(config: Mapping[str, Any]) -> Floats:
    """Return ᾱ of every training timestep."""
    signals = _multiply_up(_ONE - _read_betas(config))
    if not config.get("rescale_betas_zero_snr"):
        return signals
    roots = np.sqrt(signals)
    roots = (roots - roots[-1]) * (roots[0] / (roots[0] - roots[-1]))
    kept = roots**2
    alphas = np.concatenate([kept[:1], kept[1:] / kept[:-1]])
    signals = _multiply_up(_ONE - (_ONE - alphas))
    signals[-1] = _LEAST_SIGNAL
    return signals


def _multiply_up(alphas: Floats) -> Floats:
    return np.cumprod(alphas.astype(np.float64)).astype(np.float32)


def _read_betas(config: Mapping[str, Any]) -> Floats:
    trained = int(config.get("num_train_timesteps", 1000))
    if (given := config.get("trained_betas")) is not None:
        return np.asarray(given, dtype=np.float32)
    kind = config.get("beta_schedule", "linear")
    if kind == "squaredcos_cap_v2":
        places = (step / trained for step in range(trained + 1))
        bars = [math.cos((place + 0.008) / 1.008 * math.pi / 2) ** 2 for place in places]
        betas = [min(1 - after / before, 0.999) for before, after in pairwise(bars)]
        return np.array(betas, dtype=np.float32)
    first, last = float(config.get("beta_start", 0.0001)), float(config.get("beta_end", 0.02))
    if kind == "scaled_linear":
        return _space_evenly(first**0.5, last**0.5, trained) ** 2
    return _space_evenly(first, last, trained)


def _space_evenly(first: float, last: float, count: int) -> Floats:
    """Return torch's linspace, which counts from the nearer end and rounds each sum once."""
    begin, end = np.float32(first), np.float32(last)
    step, places = np.float64((end - begin) / np.float32(count - 1)), np.arange(count)
    near, far = np.float64(begin) + step * places, np.float64(end) - step * places[::-1]
    return np.where(places < count // 2, near, far).astype(np.float32)
