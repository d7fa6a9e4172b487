"""Values and features whose truth is known, to simulate error rates with: unit tests and simulate_rates.py."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from harness.stats.frechet import Moments
from harness.stats.mmd import Kernel

TRUE = 0.05
"""The true loss of every scenario of values: exactly the margin."""
Generator = np.random.Generator
Pair = tuple[np.ndarray, np.ndarray]
Draw = Callable[[Generator, int, int], Pair]


def normal(rng: Generator, n: int, k: int) -> Pair:
    """A CLIP score's drop over its range above chance: numerators and denominators (n, k)."""
    return 0.5 + rng.normal(0, 1.5, (n, k)), 10 + rng.normal(0, 2, (n, k))


def heavy(rng: Generator, n: int, k: int) -> Pair:
    """Drops and ranges with Student-t tails of 3 degrees of freedom."""
    return 0.5 + rng.standard_t(3, (n, k)), 10 + rng.standard_t(3, (n, k))


def skewed(rng: Generator, n: int, k: int) -> Pair:
    """Distances as LPIPS has them: positive, lognormal with skewness 3.7."""
    return 0.5 * TRUE * np.exp(rng.normal(0, 0.8, (n, k)) - 0.32), rng.gamma(20, 1 / 20, (n, k)) * 0.5


def very_skewed(rng: Generator, n: int, k: int) -> Pair:
    """Lognormal distances with skewness 6.2."""
    return 0.5 * TRUE * np.exp(rng.normal(0, 1, (n, k)) - 0.5), rng.gamma(20, 1 / 20, (n, k)) * 0.5


def skewed_down(rng: Generator, n: int, k: int) -> Pair:
    """A few prompts gain much, most lose a little."""
    return 0.5 + 1 - np.exp(rng.normal(0, 0.8, (n, k)) - 0.32), 10 + rng.normal(0, 2, (n, k))


def clustered(rng: Generator, n: int, k: int) -> Pair:
    """Four seeds of a prompt that share most of their deviation, averaged."""
    shared = rng.normal(0, 1, (n, 1, k))
    drops = 0.5 + shared + rng.normal(0, 0.5, (n, 4, k))
    ranges = 10 + 0.5 * shared + rng.normal(0, 2, (n, 4, k))
    return drops.mean(axis=1), ranges.mean(axis=1)


VALUES: tuple[Draw, ...] = (normal, heavy, skewed, very_skewed, skewed_down, clustered)


class Features(NamedTuple):
    """Features (prompts × seeds, d) of the same prompts, and of real images of none of them."""

    reference: np.ndarray
    baseline: np.ndarray
    candidate: np.ndarray
    real: np.ndarray


class Kind(NamedTuple):
    """What distinguishes a candidate from the baseline, how prompts are distributed, and how many seeds each has."""

    change: str = "moved"
    prompts: str = "normal"
    seeds: int = 1


KINDS = {
    "moved": Kind(),
    "shrunk": Kind("shrunk"),
    "noisier": Kind("noisier"),
    "heavy": Kind(prompts="heavy"),
    "lognormal": Kind(prompts="lognormal"),
    "clusters": Kind(seeds=4),
}
FEW_KINDS = {
    "shrunk": Kind("shrunk"),
    "noisier": Kind("noisier"),
    "weaker": Kind("weaker"),
    "grainy": Kind("grainy"),
}
"""Changes that few images show badly: the last two are mostly in directions with little variety."""


def draw_features(rng: Generator, n: int, kind: Kind, strength: float, dims: int = 16) -> Features:
    """Draw n prompts with images of the baseline, its other seed, a candidate, and as many real images.

    Features have total variance 1, falling as 1 / k from the first dimension to the last. `strength` is how far the
    candidate moved, by which share it shrank (`weaker`: the half of its variance with the least in each dimension),
    by which share of its spread independent noise widened it, or the spread of noise that is alike in all dimensions.
    """
    scale = 1 / np.sqrt(1 + np.arange(dims))
    scale /= np.linalg.norm(scale)
    prompt = np.repeat(_prompts(rng, n, kind.prompts, dims), kind.seeds, axis=0)
    noise, other, extra = rng.normal(size=(3, n * kind.seeds, dims))
    baseline, reference = ((prompt + part) / np.sqrt(2) * scale for part in (noise, other))
    if kind.change == "moved":
        candidate = baseline + strength * np.eye(dims)[3]
    elif kind.change == "shrunk":
        candidate = baseline * (1 - strength)
    elif kind.change == "weaker":
        candidate = baseline * (1 - strength * _weak(scale))
    elif kind.change == "grainy":
        candidate = baseline + extra * strength / np.sqrt(dims)
    else:
        candidate = baseline + extra * scale * np.sqrt((1 + strength) ** 2 - 1)
    real = (_prompts(rng, n, kind.prompts, dims) + rng.normal(size=(n, dims))) / np.sqrt(2) * scale * 1.2
    return Features(reference, baseline, candidate, real + 0.5 * np.eye(dims)[1])


MMD_KINDS = {
    "moved": Kind(),
    "noisier": Kind("noisier"),
    "heavy": Kind(prompts="less heavy"),
    "lognormal": Kind(prompts="lognormal"),
    "clusters": Kind(seeds=2),
}
"""For the cubic kernel the sixth moment must exist, so tails are less heavy here; shrinking loses at most 2.6 %."""
AMPLITUDE: dict[Kernel, float] = {"cubic": 2.0, "gaussian": 1.0}
"""Features are scaled so that x·x / d is about as for Inception (0.25), and x·x as for unit vectors (1)."""
MMD_STRENGTH: dict[Kernel, dict[str, float]] = {
    "cubic": {"moved": 0.25443, "noisier": 0.54431, "heavy": 0.25890, "lognormal": 0.30520, "clusters": 0.25443},
    "gaussian": {"moved": 0.22427, "noisier": 1.24542, "heavy": 0.22411, "lognormal": 0.22397, "clusters": 0.22427},
}
"""With these a candidate's true loss in 16 dimensions is 5 %: from moments up to the third for the cubic kernel, from
the closed form for normal features and a million pairs of images for the Gaussian one."""


def real_moments(dims: int = 16) -> Moments:
    """Return the true moments of the real images of `draw_features`, as from very many of them."""
    scale = 1 / np.sqrt(1 + np.arange(dims))
    return Moments(0.5 * np.eye(dims)[1], np.diag((1.2 * scale / np.linalg.norm(scale)) ** 2))


def _weak(scale: np.ndarray) -> np.ndarray:
    """Return which dimensions hold the half of the variance with the least in each."""
    return np.asarray(np.cumsum(scale**2) > 0.5)


def _prompts(rng: Generator, n: int, shape: str, dims: int) -> np.ndarray:
    """Return prompts (n, dims) of unit variance: normal, multivariate t of 5 or 9 degrees of freedom, or lognormal."""
    values = rng.normal(size=(n, dims))
    if shape in ("heavy", "less heavy"):
        freedom = 5 if shape == "heavy" else 9
        values *= np.sqrt((freedom - 2) / rng.chisquare(freedom, size=(n, 1)))
    if shape == "lognormal":
        values = (np.exp(0.7 * values) - np.exp(0.245)) / np.sqrt((np.exp(0.49) - 1) * np.exp(0.49))
    return values


def frechet_loss(kind: Kind, strength: float, dims: int = 16, real: bool = False) -> float:
    """Return the true loss of a candidate, from the moments its features are drawn with.

    Without real images D(b, b′) is 0 and 100 % is the total variance, 1; with them the loss is the relative change.
    """
    scale = 1 / np.sqrt(1 + np.arange(dims))
    scale /= np.linalg.norm(scale)
    axis = np.eye(dims)
    mean = strength * axis[3] if kind.change == "moved" else 0 * axis[0]
    spread = {
        "moved": scale,
        "shrunk": scale * (1 - strength),
        "noisier": scale * (1 + strength),
        "weaker": scale * (1 - strength * _weak(scale)),
        "grainy": np.sqrt(scale**2 + strength**2 / dims),
    }[kind.change]
    if not real:
        return float(mean @ mean + ((spread - scale) ** 2).sum())
    before = 0.25 + (0.2**2 * scale**2).sum()
    after = ((mean - 0.5 * axis[1]) ** 2).sum() + ((spread - 1.2 * scale) ** 2).sum()
    return float(abs(after / before - 1))


def strength_for(loss: Callable[[float], float], wanted: float = TRUE) -> float:
    """Return the least strength with a true loss as wanted; losses rise with the strength from 0."""
    from scipy.optimize import brentq

    grid = np.linspace(1e-6, 1.5, 151)
    above = next(x for x in grid if loss(x) > wanted)
    return float(brentq(lambda x: loss(x) - wanted, 1e-9, above))
