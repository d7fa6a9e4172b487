"""Shares by prompt and rater, and agreement: against published figures, exact bounds and simulation."""

import numpy as np
import pytest

from harness.stats.agreement import krippendorff_alpha
from harness.stats.confidence import lower_bound, upper_bound
from harness.stats.preference import crossed_share
from harness.stats.proportions import share_lower, share_upper

RATINGS = (
    "1 2 3 3 2 1 4 1 2 . . .", "1 2 3 3 2 2 4 1 2 5 . 3", ". 3 3 3 2 3 4 2 2 5 1 .", "1 2 3 3 2 4 4 1 2 5 1 .",
)  # fmt: skip
"""Krippendorff (2011), "Computing Krippendorff's alpha-reliability", section C: 4 raters, 12 units."""


def share(answers: np.ndarray) -> tuple[float, float, float]:
    """Return the share of answers (prompts, raters) with its one-sided 95 % bounds."""
    prompts, raters = (index.ravel() for index in np.indices(answers.shape))
    found = crossed_share(answers.ravel().tolist(), list(map(str, prompts)), list(map(str, raters)))
    return found.value, lower_bound(found.distribution, 0.95), upper_bound(found.distribution, 0.95)


def test_alpha_is_krippendorffs() -> None:
    columns = zip(*(row.split() for row in RATINGS), strict=True)
    units = [[int(value) - 1 for value in column if value != "."] for column in columns]
    assert krippendorff_alpha(units, 5) == pytest.approx(0.815, abs=5e-4)
    assert krippendorff_alpha([(0, 0), (1, 1), (2, 2)], 3) == pytest.approx(1.0)


def test_alpha_is_unknown_without_variation() -> None:
    assert krippendorff_alpha([(1, 1), (1, 1)], 3) is None
    assert krippendorff_alpha([(0,), (2,)], 3) is None


@pytest.mark.parametrize("yes", [0, 1, 30, 59, 60])
def test_one_rater_has_exact_bounds(yes: int) -> None:
    value, low, high = share(np.arange(60)[:, None] < yes)
    assert value == yes / 60
    assert low == pytest.approx(share_lower(yes, 60), abs=1e-9)
    assert high == pytest.approx(share_upper(yes, 60), abs=1e-9)


def test_copied_raters_add_no_precision() -> None:
    one = np.random.default_rng(0).random((60, 1)) < 0.6
    alone, copies = share(one), share(np.repeat(one, 5, axis=1))
    assert copies == pytest.approx(alone, abs=0.01)


def test_independent_answers_add_precision() -> None:
    answers = np.random.default_rng(1).random((60, 8)) < 0.6
    _, low, high = share(answers)
    _, least, most = share(answers[:, :1])
    assert high - low < 0.6 * (most - least)


def test_raters_who_differ_widen_the_interval() -> None:
    answers = np.tile(np.array([[True, True, True, False]]), (60, 1))
    value, low, _ = share(answers)
    assert value == 0.75
    assert low < 0.45  # 4 raters, of whom one always disagrees: nothing is sure about others


@pytest.mark.slow
@pytest.mark.parametrize("raters", [1, 2, 3, 5, 12])
@pytest.mark.parametrize("spread", [(0.0, 0.0), (1.0, 0.0), (1.0, 0.3), (0.7, 0.7), (0.0, 0.6)])
def test_bounds_keep_their_level(raters: int, spread: tuple[float, float]) -> None:
    """At the 45 % limit the lower bound lies above the truth in at most 5 % of studies."""
    from scipy.special import ndtr, ndtri

    rng, prompts, studies = np.random.default_rng(raters), 60, 600
    by_prompt, by_rater = spread
    middle = ndtri(0.45) * np.sqrt(1 + by_prompt**2 + by_rater**2)
    wrong = 0
    for _ in range(studies):
        rater = rng.normal(0, by_rater, (1, raters))
        prompt, answer = rng.normal(0, by_prompt, (prompts, 1)), rng.normal(0, 1, (prompts, raters))
        truth = 0.45 if raters > 1 else ndtr((middle + rater[0, 0]) / np.sqrt(1 + by_prompt**2))
        wrong += share(middle + prompt + rater + answer > 0)[1] > truth
    assert wrong / studies <= 0.05 + 2.5 * (0.05 * 0.95 / studies) ** 0.5
