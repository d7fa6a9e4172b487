"""A pass counts only where the rules that judge would have failed the damages that the policy names."""

from pathlib import Path

import pytest

from harness.core.errors import PolicyError
from harness.core.policy import LADDER_IMAGES, Policy, Sees
from harness.core.quality import Rung
from harness.core.rule import Rule
from harness.core.units import Absent
from harness.core.verdict import CellVerdict
from harness.matrix import load_policy, parse_policy
from harness.planning.interim_analyses import is_decided
from harness.stats.confidence import interval, student
from harness.stats.noticing import fails, passes
from tests.builders.judged_run import Known, verdicts

GOOD = (0.001, 0.002)
NONE = Absent(absent="not a paired metric")
DEMAND = Policy(sees=(Sees(damage="blur", level=3),))


def rung(level: int, loss: float, error: float = 0.005, metric: str = "fid:bundled", damage: str = "blur") -> Rung:
    spread = student(loss, error, 255)
    return Rung(
        damage=damage, level=level, dose=f"σ {level} px", metric=metric, images=256, prompts=256,
        loss=interval(spread, loss, "test"), loss_uncertainty=spread, score=NONE, score_uncertainty=NONE,
    )  # fmt: skip


def judged(ladder: tuple[Rung, ...], policy: Policy = DEMAND, known: Known = Known()) -> CellVerdict:  # noqa: B008
    return verdicts({"a": {"fid:bundled": GOOD}}, policy, known=known._replace(ladder=ladder))["a"]


def test_a_pass_that_would_notice_the_damage_counts() -> None:
    assert judged((rung(3, 0.2),)).result == "pass"


def test_a_damage_that_passes_makes_it_inconclusive() -> None:
    found = judged((rung(3, 0.01), rung(5, 0.4)))
    assert found.result == "inconclusive"
    assert found.blind_to == ("blur",)
    assert found.reason.startswith("blind to blur: ")
    assert "level 3, σ 3 px" in found.reason


def test_an_interval_too_wide_to_pass_sees_nothing() -> None:
    assert judged((rung(3, 0.06, error=0.05),)).blind_to == ("blur",)


def test_noticing_a_smaller_dose_is_enough() -> None:
    assert judged((rung(1, 0.2),)).result == "pass"


def test_metric_that_does_not_judge_does_not_detect() -> None:
    assert judged((rung(3, 0.2, metric="clip:bundled"),)).blind_to == ("blur",)


def test_metric_that_is_not_monotone_does_not_detect() -> None:
    known = Known(not_monotone={"fid:bundled": ("blur",)})
    assert judged((rung(3, 0.2),), known=known).blind_to == ("blur",)


def test_a_damage_that_was_not_scored_is_not_seen() -> None:
    found = judged(())
    assert found.blind_to == ("blur",)
    assert "not scored" in found.reason


def test_without_a_demand_nothing_need_be_seen() -> None:
    assert judged((), Policy()).result == "pass"


def test_blind_pass_waits_for_the_whole_ladder() -> None:
    found = judged((rung(3, 0.01),))
    few = rung(3, 0.01).model_copy(update={"images": LADDER_IMAGES - 1})
    from harness.core.quality import Evaluation

    def evaluation(one: Rung) -> Evaluation:
        return Evaluation(run_id="r", scores=(), deltas=(), ladder=(one,), tails=(), blind={}, missing={}, seconds=0)

    assert not is_decided(found, evaluation(few))
    assert is_decided(found, evaluation(rung(3, 0.01)))


def test_every_means_all_families_but_those_named() -> None:
    policy = Policy(sees=(Sees(damage="every", level=3), Sees(damage="blur", level=1)))
    assert policy.demanded["blur"] == 1
    assert policy.demanded["collapse"] == 3
    assert len(policy.demanded) == 13


@pytest.mark.parametrize("name", ["five-percent", "sign-off", "survey"])
def test_shipped_policies_demand_level_3(name: str) -> None:
    assert set(load_policy(name).demanded.values()) == {3}
    assert len(load_policy(name).demanded) == 13


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('damage = "blurr"\nlevel = 3', "blurr"),
        ('damage = "blur"\nlevel = 6', "sees.0.level"),
        ('damage = "blur"', "sees.0.level"),
        ('damage = "blur"\nlevel = 3\n[[sees]]\ndamage = "blur"\nlevel = 2', '"blur" stands there twice'),
    ],
)
def test_mistakes_in_a_demand_are_named(text: str, expected: str, tmp_path: Path) -> None:
    with pytest.raises(PolicyError) as caught:
        parse_policy(f"[[gate]]\nmargin = 0.05\n[[sees]]\n{text}\n", "mine")
    assert expected in str(caught.value)


def test_failing_and_passing_are_not_the_whole() -> None:
    rules = [Rule(margin=0.05)]
    assert fails(rung(3, 0.2), rules)
    assert passes(rung(3, 0.01), rules)
    unsure = rung(3, 0.05, error=0.02)
    assert not fails(unsure, rules)
    assert not passes(unsure, rules)
    assert not passes(rung(3, 0.01), [])
    score = Rule(quantity="score", metric="fid:bundled", at_most=1.0)
    assert not fails(rung(3, 9.0), [score])  # the ladder keeps scores of paired metrics only
