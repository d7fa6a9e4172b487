"""Error rates of the whole adaptive rule, simulated: looks, Holm across cells that share prompts, early stopping."""

import numpy as np
import pytest
from scipy.special import stdtr

from harness.core.policy import Policy
from harness.core.rule import Rule
from harness.stats.confidence import p_value, student
from harness.stats.proportions import difference
from harness.stats.sequential import nominal_alpha
from tests.builders.judged_run import Known, verdicts

MARGIN, ALPHA = 0.05, 0.05
ANALYSES = (42, 104, 140, 190, 256)
SHARED = 0.5
"""Correlation of the losses of two cells on one prompt."""


class Outcome:
    """What became of every simulated cell: `passed`, `failed` (runs, cells) and the prompts it took."""

    def __init__(self, runs: int, cells: int) -> None:
        self.passed = np.zeros((runs, cells), dtype=bool)
        self.failed = np.zeros((runs, cells), dtype=bool)
        self.prompts = np.full((runs, cells), ANALYSES[-1])


def simulate(
    losses: tuple[float, ...], error: float, runs: int = 2000, interim_analyses: tuple[int, ...] = ANALYSES
) -> Outcome:
    """Run the adaptive rule on normal losses whose mean has standard error `error` with all prompts."""
    rng = np.random.default_rng(sum(map(ord, str((losses, error, interim_analyses)))))
    cells, most = len(losses), interim_analyses[-1]
    spread = error * np.sqrt(most)
    common = rng.normal(size=(runs, 1, most))
    drawn = np.sqrt(SHARED) * common + np.sqrt(1 - SHARED) * rng.normal(size=(runs, cells, most))
    values = np.asarray(losses)[:, None] + spread * drawn
    found = Outcome(runs, cells)
    for analysis in interim_analyses:
        _decide(found, values[:, :, :analysis], interim_analyses)
    return found


def _decide(found: Outcome, values: np.ndarray, interim_analyses: tuple[int, ...]) -> None:
    """Settle what can be settled at one look."""
    cells, analysis = values.shape[1:]
    t = (values.mean(axis=2) - MARGIN) / values.std(axis=2, ddof=1) * np.sqrt(analysis)
    p_pass, p_fail = stdtr(analysis - 1, t), stdtr(analysis - 1, -t)
    still = ~found.passed & ~found.failed
    failing = still & (p_fail <= nominal_alpha(ALPHA, interim_analyses, analysis))
    found.failed |= failing
    still &= ~failing
    levels = np.array([nominal_alpha(ALPHA / (cells - done), interim_analyses, analysis) for done in range(cells)])
    for _ in range(cells):  # Holm: each pass leaves more of alpha to the others
        done = np.minimum(found.passed.sum(axis=1, keepdims=True), cells - 1)
        found.passed |= still & (p_pass <= levels[done])
    settled = (found.passed | found.failed) & (found.prompts == ANALYSES[-1])
    found.prompts[settled] = np.minimum(found.prompts[settled], analysis)


def bound(runs: int) -> float:
    """The rate that a true rate of alpha exceeds in 2 % of simulations."""
    return float(ALPHA + 2 * np.sqrt(ALPHA * (1 - ALPHA) / runs))


@pytest.mark.parametrize("losses", [(0.05,), (0.05, 0.05, 0.05, 0.05), (0.05, 0.05, 0.0, 0.0), (0.05, 0.06, 0.01, 0.2)])
def test_margin_loss_passes_in_at_most_alpha_of_runs(losses: tuple[float, ...]) -> None:
    found = simulate(losses, error=0.01)
    lost = np.array([loss >= MARGIN for loss in losses])
    rate = found.passed[:, lost].any(axis=1).mean()
    print(f"false pass of any cell: {rate:.4f}")
    assert rate <= bound(2000)
    if len(losses) == 1:
        assert rate > 0.03  # the error rate is spent, not thrown away


def test_margin_loss_fails_in_at_most_alpha_of_runs() -> None:
    rates = simulate((0.05, 0.05, 0.0, 0.0), error=0.01).failed.mean(axis=0)
    print("false fail by cell:", rates)
    assert rates[:2].max() <= bound(2000)
    assert rates[:2].min() > 0.03
    assert rates[2:].max() == 0


def test_clear_cells_take_under_half_the_prompts() -> None:
    rows = []
    for loss in (0.0, 0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.08, 0.1, 0.2):
        adaptive, fixed = (
            simulate((loss,) * 4, 0.01, 500, interim_analyses) for interim_analyses in (ANALYSES, ANALYSES[-1:])
        )
        settled = [float((found.passed | found.failed).mean()) for found in (adaptive, fixed)]
        rows.append((loss, float(adaptive.prompts.mean()), *settled))
        print("loss {:.2f}: {:5.1f} of 256 prompts, settled {:.2f} (fixed {:.2f})".format(*rows[-1]))
    by_loss = {row[0]: row for row in rows}
    assert all(by_loss[loss][1] < 128 for loss in (0.0, 0.1, 0.2))
    assert all(by_loss[loss][2] > 0.95 for loss in (0.0, 0.01, 0.1, 0.2))
    assert all(fixed - adaptive < 0.2 for _, _, adaptive, fixed in rows)


def test_the_gate_decides_as_the_simulation_does() -> None:
    rng = np.random.default_rng(0)
    policy = Policy(gate=(Rule(margin=MARGIN, level=1 - ALPHA),))
    agreed: set[str] = set()
    for _ in range(4):
        at = {name: int(rng.choice(ANALYSES[1:])) for name in "abcd"}
        losses = {name: {"clip:bundled": (float(rng.uniform(0.0, 0.09)), 0.009)} for name in at}
        gate = verdicts(losses, policy, known=Known(interim_analyses=ANALYSES, prompts=at))
        p = {name: p_value(student(*losses[name]["clip:bundled"], 255), MARGIN) for name in at}
        passed: set[str] = set()
        for _ in at:
            alpha = ALPHA / max(1, len(at) - len(passed))
            passed |= {name for name in at if p[name] <= nominal_alpha(alpha, ANALYSES, at[name])}
        failed = {name for name in at if 1 - p[name] <= nominal_alpha(ALPHA, ANALYSES, at[name])}
        assert {name for name in at if gate[name].result == "pass"} == passed
        assert {name for name in at if gate[name].result == "fail"} == failed
        agreed |= {cell.result for cell in gate.values()}
    assert agreed == {"pass", "fail", "inconclusive"}


@pytest.mark.slow
@pytest.mark.parametrize(("right", "gained"), [(0.97, 0.0), (0.97, 0.02), (0.6, 0.05)])
def test_correctness_keeps_its_rates_over_analyses(right: float, gained: float) -> None:
    """Each prompt is right or wrong; a true loss of exactly the margin passes at some look in at most alpha of runs."""
    lost = MARGIN * right + gained
    rng, runs = np.random.default_rng(int(1000 * right + 100 * gained)), 400
    kinds = rng.choice(4, p=[right - lost, lost, gained, 1 - right - gained], size=(runs, ANALYSES[-1]))
    passed = np.zeros(runs, dtype=bool)
    for run, kind in enumerate(kinds):
        for analysis in ANALYSES:
            both, before, after, _ = np.bincount(kind[:analysis], minlength=4)
            spread = difference(before, after, analysis)
            span = (both + before) / analysis
            passed[run] |= analysis >= 59 and p_value(spread, MARGIN * span) <= nominal_alpha(ALPHA, ANALYSES, analysis)
    assert passed.mean() <= bound(runs)
