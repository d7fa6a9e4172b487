"""What would decide open verdicts on times: a finer measurement, and how fine."""

from types import SimpleNamespace
from typing import Any

import pytest

from harness.core.matrix import Measure
from harness.core.rule import Rule
from harness.core.verdict import CellVerdict, RuleVerdict
from harness.reporting.verdicts import say_what_decides, write_required_samples

MATRIX = SimpleNamespace(measure=Measure(precision=0.02, max_s=60))
PLAN = SimpleNamespace(matrix=MATRIX, interim_analyses=())


def open_rule(rule: Rule, observed: float) -> RuleVerdict:
    return RuleVerdict(rule=rule, result="inconclusive", observed=observed, level=0.95, sentence="x")


def cell(*rules: RuleVerdict) -> Any:
    verdict = CellVerdict(cell_id="a", result="inconclusive", rules=rules, reason="")
    run = SimpleNamespace(plan=PLAN)
    run.candidates = (SimpleNamespace(id="a", standing="inconclusive", verdict=verdict, run=run),)
    return run.candidates[0]


def words(*rules: RuleVerdict) -> str:
    lines = write_required_samples(cell(*rules).run)
    assert lines[0].startswith("1 cell is inconclusive")
    return lines[1]


@pytest.mark.parametrize(
    ("observed", "asked"),
    [
        (2.02, "measure.precision = 0.6 % (now 2 %) and measure.max_s over 60"),
        (2.5, "measure.max_s over 60"),  # 2 % would do: the time was up before
        (2.0001, "measure.max_s over 60"),  # nothing would do: too close
    ],
)
def test_speedup_near_its_limit_needs_more_precision(observed: float, asked: str) -> None:
    assert words(open_rule(Rule(quantity="speedup", at_least=2.0), observed)) == f"For speedup: {asked}."


def test_the_finest_of_several_is_asked_for() -> None:
    both = (
        open_rule(Rule(quantity="latency-s", at_most=1.0), 0.97),
        open_rule(Rule(quantity="timing-precision", at_most=0.01), 0.02),
    )
    asked = "measure.precision = 1 % (now 2 %) and measure.max_s over 60"
    assert words(*both) == f"For latency-s, timing-precision: {asked}."
    assert say_what_decides(cell(*both)) == f"{asked} for latency-s, timing-precision"
