"""The probability of being on the front, where it is known."""

import numpy as np
import pytest
from scipy.stats import norm

from harness.core.quality import Uncertainty
from harness.stats.confidence import exactly, student
from harness.stats.pareto import Uncertain, front_probability, pareto_front

MANY = 10**6
"""Degrees of freedom that make Student's t normal."""


def at(loss: float, error: float = 0.0) -> Uncertainty:
    return student(loss, error, MANY)


def test_what_is_certain_is_the_hard_front() -> None:
    points = {"fast": (1.0, 0.3), "good": (2.0, 0.0), "beaten": (2.5, 0.2), "twin": (1.0, 0.3)}
    found = front_probability({key: Uncertain(exactly(cost), at(loss)) for key, (cost, loss) in points.items()})
    assert found == {key: float(key in pareto_front(points)) for key in points}


def test_dearer_cell_needs_a_lower_loss_for_the_front() -> None:
    found = front_probability(
        {"cheap": Uncertain(exactly(1.0), at(0.05, 0.01)), "dear": Uncertain(exactly(2.0), at(0.04, 0.01))}
    )
    assert found["cheap"] == 1
    assert found["dear"] == pytest.approx(norm.cdf(1 / np.sqrt(2)), abs=0.02)


def test_equal_noisy_cells_share_the_front() -> None:
    found = front_probability({i: Uncertain(exactly(1.0), at(0.05, 0.01)) for i in range(4)})
    assert list(found.values()) == pytest.approx([0.25] * 4, abs=0.03)


def test_the_noise_of_latency_counts() -> None:
    """Equal losses; times known equally well: the faster draw wins, a coin toss."""
    time, slower = student(1.0, 0.1, MANY), student(3.0, 0.1, MANY)
    found = front_probability({"a": Uncertain(time, at(0.0)), "b": Uncertain(time, at(0.0))})
    assert found["a"] == pytest.approx(0.5, abs=0.06)
    surely = front_probability({"a": Uncertain(time, at(0.0)), "b": Uncertain(slower, at(0.0))})
    assert surely == {"a": 1.0, "b": 0.0}


def test_the_baseline_loses_nothing_and_stays() -> None:
    found = front_probability(
        {"baseline": Uncertain(exactly(2.0), None), "cell": Uncertain(exactly(1.0), at(0.05, 0.01))}
    )
    assert found == {"baseline": 1.0, "cell": 1.0}


def test_it_is_the_same_each_time() -> None:
    points = {i: Uncertain(exactly(1.0), at(0.01 * i, 0.01)) for i in range(3)}
    assert front_probability(points) == front_probability(points)
