"""Planning: the power promised is the power reached, by the tests that are really done."""

import numpy as np
import pytest

from harness.stats.bootstrap import ratio_quantiles
from harness.stats.confidence import LEVELS
from harness.stats.noninferiority import (
    Pilot,
    drift_needed,
    forecast,
    precision_needed,
    prompts_needed,
    sequential_needed,
)
from harness.stats.sequential import nominal_alpha

MARGIN = 0.05
SHARES = (64, 128, 256, 512)
TRIALS = 1000
SPREAD = 2 * np.sqrt(0.9 * 0.1 / TRIALS)


def upper(drops: np.ndarray, ranges: np.ndarray, alpha: float) -> np.ndarray:
    """Upper bounds (k,) of losses by the interval that verdicts use."""
    _, found = ratio_quantiles(drops, ranges, resamples=200)
    return np.array([np.interp(1 - alpha, LEVELS, column) for column in found.T])


def values(rng: np.random.Generator, n: int, loss: float) -> tuple[np.ndarray, np.ndarray]:
    """A metric whose loss has a standard error of 0.1 / √n."""
    return 10 * loss + rng.normal(0, 1, (n, TRIALS)), np.full((n, TRIALS), 10.0)


@pytest.mark.parametrize("alpha", [0.05, 0.01])
def test_planned_prompts_pass_as_often_as_promised(alpha: float) -> None:
    needed = prompts_needed(MARGIN - 0.03, 0.01, 100, 1 - alpha)
    assert needed is not None
    passed = upper(*values(np.random.default_rng(1), needed, 0.03), alpha) < MARGIN
    print(f"\nalpha {alpha}: {needed} prompts, power {passed.mean():.3f}")
    assert passed.mean() == pytest.approx(0.9, abs=SPREAD)


def test_sequential_plan_reaches_its_power() -> None:
    pilot, loss = Pilot(0.01, 100), 0.03
    needed = sequential_needed(MARGIN - loss, pilot, 0.05, SHARES)
    fixed = prompts_needed(MARGIN - loss, *pilot, level=0.95)
    assert needed is not None
    assert fixed is not None
    assert fixed < needed < 1.3 * fixed
    interim_analyses = tuple(round(needed * analysis / SHARES[-1]) for analysis in SHARES)
    expected = forecast(MARGIN - loss, pilot, 0.05, interim_analyses)
    drops, ranges = values(np.random.default_rng(2), interim_analyses[-1], loss)
    used = np.full(TRIALS, interim_analyses[-1])
    passed = np.zeros(TRIALS, dtype=bool)
    for analysis in interim_analyses:
        now = ~passed & (
            upper(drops[:analysis], ranges[:analysis], nominal_alpha(0.05, interim_analyses, analysis)) < MARGIN
        )
        used[now] = analysis
        passed |= now
    print(
        f"\nsequential: {interim_analyses}, power {passed.mean():.3f}, "
        f"prompts {used.mean():.0f} for {expected.prompts:.0f}"
    )
    assert passed.mean() == pytest.approx(0.9, abs=SPREAD)
    assert expected.power == pytest.approx(0.9, abs=0.01)
    assert used.mean() == pytest.approx(expected.prompts, rel=0.05)
    assert expected.prompts < 0.75 * fixed


def test_one_look_is_the_fixed_plan() -> None:
    assert drift_needed(0.05, (100,)) == pytest.approx(1.6449 + 1.2816, abs=1e-3)
    assert sequential_needed(0.03, Pilot(0.01, 100), 0.05, (100,)) == prompts_needed(0.03, 0.01, 100, 0.95)
    assert sequential_needed(0.0, Pilot(0.01, 100), 0.05, SHARES) is None


def test_without_spread_the_first_look_decides() -> None:
    assert forecast(0.03, Pilot(0.0, 100), 0.05, SHARES) == (1.0, 64)


def test_precision_separates_a_time_from_its_limit() -> None:
    """A limit of 1.9 is 5.1 % below 2.0: 1.96 / (1.645 + 1.282) of that is 3.4 %."""
    assert precision_needed(2.0, 1.9, 0.95) == 0.03
    assert precision_needed(1.9, 2.0, 0.95) == 0.03
    assert precision_needed(2.0, 1.9, 0.999) == 0.02
    assert precision_needed(2.0, 1.9999, 0.95) is None, "no machine is that steady"
    assert precision_needed(2.0, 0.1, 0.95) is None, "no width is that wide"
