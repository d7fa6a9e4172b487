"""Every quantity a rule can name: what passes, fails, is inconclusive or missing, and which rule decides a cell."""

import math

import numpy as np
import pytest

from harness.core.matrix import Prices
from harness.core.outcome import NO_MEMORY, ColdStart, Completed
from harness.core.policy import Policy
from harness.core.quality import Interval, Tail
from harness.core.rule import Rule
from harness.core.timing import UNKNOWN, Block, Pairing
from harness.core.trace import Trace
from harness.core.units import Absent
from harness.core.verdict import RuleVerdict
from harness.stats.speedup import speedup
from tests.builders.judged_run import COMPLETED, NO_MORE, Known, Loss, judged, verdicts
from tests.builders.timed_pairs import alone, interleaved

FID, CLIP, LPIPS = "fid:bundled", "clip:bundled", "lpips:bundled"
TRACE = Trace(path="trace.json.gz", size_bytes=1000, steps=3)


def one(rule: Rule, loss: Loss = (0.0, 0.005), known: Known = NO_MORE, metric: str = CLIP) -> RuleVerdict:
    """Judge one cell by one rule."""
    found = verdicts({"a": {metric: loss}}, Policy(gate=(rule,)), known=known)["a"]
    assert found.result == found.rules[0].result or rule.severity == "warning"
    return found.rules[0]


def timed(latencies: tuple[float, ...], memory: int | None = None, batch: int = 1) -> Completed:
    repeats = tuple(COMPLETED.repeats[0].model_copy(update={"latency_s": latency}) for latency in latencies)
    cold = ColdStart(start_s=1, load_s=2, apply_s=0, compile_s=3, first_call_s=4)
    peak = Absent(absent="not measured") if memory is None else memory
    memory = NO_MEMORY.model_copy(update={"resident_bytes": peak})
    update = {"pairing": alone(repeats), "memory": memory, "batch": batch, "cold_start": cold}
    return COMPLETED.model_copy(update=update)


def tail(broken: int, n: int = 256) -> Tail:
    return Tail(cell_id="a", broken=broken, n=n, broken_share_high=0.0, worst_decile={CLIP: 21.5}, worst=())


@pytest.mark.parametrize(
    ("change", "result"),
    [
        ((0.0, 0.002), "pass"),
        ((-0.05, 0.005), "fail"),  # better by 5 % is outside, too
        ((0.05, 0.005), "fail"),
        ((-0.018, 0.005), "inconclusive"),
        ((0.018, 0.005), "inconclusive"),
        ((0.0, 0.02), "inconclusive"),
    ],
)
def test_change_must_stay_within_its_window(change: Loss, result: str) -> None:
    assert one(Rule(quantity="change", metric=FID, margin=0.02), change, metric=FID).result == result


def test_a_change_may_have_one_limit_only() -> None:
    assert one(Rule(quantity="change", metric=CLIP, at_most=0.02), (-0.3, 0.005)).result == "pass"
    assert one(Rule(quantity="change", metric=CLIP, at_most=0.02), (0.3, 0.005)).result == "fail"


def test_score_is_judged_by_fixed_values() -> None:
    rule = Rule(quantity="score", metric=FID, target=23.48046692, margin=0.02)
    low, high = rule.window
    assert (low, high) == pytest.approx((23.01085758, 23.95007626), abs=1e-8)  # MLPerf's own figures
    inside = one(rule, (23.5, 0.05), metric=FID)
    assert inside.result == "pass"
    assert "passes ±2 % of 23.480467 (23.0109 to 23.9501) at 95 % confidence" in inside.sentence
    assert one(rule, (22.5, 0.05), metric=FID).result == "fail"
    assert one(rule, (23.9, 0.05), metric=FID).result == "inconclusive"


@pytest.mark.parametrize(("estimate", "result"), [(0.02, "pass"), (0.05, "inconclusive"), (0.2, "fail")])
def test_paired_scores_may_judge_changed_trajectories(estimate: float, result: str) -> None:
    reported = Known(kept={LPIPS: False})
    assert (
        one(Rule(quantity="score", metric="lpips", at_most=0.05), (estimate, 0.004), reported, LPIPS).result == result
    )
    silent = verdicts({"a": {LPIPS: (0.0, 0.01)}}, Policy(gate=(Rule(metric="lpips", margin=0.05),)), known=reported)
    assert silent["a"].result == "missing"
    assert silent["a"].reason == "no rule judges this cell"


def test_a_worst_decile_is_a_plain_number_and_says_so() -> None:
    known = Known(tails=(tail(0),))
    kept = one(Rule(quantity="worst-decile", metric=CLIP, at_least=20), known=known)
    assert (kept.result, kept.level, kept.p_value) == ("pass", None, None)
    assert kept.sentence == (
        "the worst decile of clip:bundled is 21.5: passes the limit of at least 20 (one measurement, no interval)"
    )
    assert one(Rule(quantity="worst-decile", metric=CLIP, at_least=22), known=known).result == "fail"
    blind = Known(tails=(tail(0),), blind=(CLIP,))
    assert one(Rule(quantity="worst-decile", metric=CLIP, at_least=20), known=blind).result == "inconclusive"


@pytest.mark.parametrize(
    ("broken", "n", "result"), [(0, 256, "pass"), (0, 100, "inconclusive"), (3, 256, "inconclusive"), (30, 256, "fail")]
)
def test_broken_images_have_their_exact_bound(broken: int, n: int, result: str) -> None:
    found = one(Rule(quantity="broken-share", at_most=0.02), known=Known(tails=(tail(broken, n),)))
    assert found.result == result
    if (broken, n) == (0, 100):
        assert found.upper == pytest.approx(1 - 0.05 ** (1 / 100))
        assert found.prompts_needed == 149  # 0.98¹⁴⁹ < 5 %


def test_unpaired_speedup_uses_raw_repeats() -> None:
    slow = tuple(2.0 + 0.01 * i for i in range(5))
    fast = tuple(1.0 + 0.01 * i for i in range(5))
    known = Known(outcomes={"baseline": timed(slow), "a": timed(fast)})
    found = one(Rule(quantity="speedup", at_least=1.5), known=known)
    assert found.result == "pass"
    assert found.sentence.startswith("the speedup is 1.98× [1.9")
    assert found.lower is not None and 1.9 < found.lower <= 1.98
    assert one(Rule(quantity="speedup", at_least=1.98), known=known).result == "inconclusive"
    assert one(Rule(quantity="speedup", at_least=3.0), known=known).result == "fail"


def test_one_block_decides_nothing() -> None:
    once = Known(outcomes={"baseline": timed((2.0,)), "a": timed((1.0,))})
    for rule in (Rule(quantity="speedup", at_least=1.5), Rule(quantity="latency-s", at_most=9)):
        unsure = one(rule, known=once)
        assert (unsure.result, unsure.lower, unsure.upper) == ("inconclusive", 0.0, math.inf)
        assert "with 1 " in unsure.sentence
        assert "raise measure.max_s" in unsure.sentence


def test_paired_speedup_is_judged_by_its_interval() -> None:
    pairing = interleaved("quiet", np.random.default_rng(1), 10, 2, speedup=1.2)
    outcomes = {name: timed((1.0,)).model_copy(update={"pairing": pairing}) for name in ("baseline", "a")}
    shown = speedup(pairing).interval
    assert isinstance(shown, Interval)
    rules = [Rule(quantity="speedup", at_least=low, level=0.975) for low in (shown.low - 1e-9, shown.low + 1e-9)]
    found = [one(rule, known=Known(outcomes=outcomes)) for rule in rules]
    assert [judged.result for judged in found] == ["pass", "inconclusive"]
    assert found[0].lower == pytest.approx(shown.low)
    wanted = "with 10 measurement rounds; a precision of ±0.6 % (measure.precision, measure.max_s)"
    assert wanted in found[1].sentence
    near = one(Rule(quantity="speedup", at_least=shown.estimate * 0.9999), known=Known(outcomes=outcomes))
    assert "with 10 measurement rounds; too close" in near.sentence


def test_speedup_compares_seconds_per_image() -> None:
    known = Known(outcomes={"baseline": timed((1.0,) * 5), "a": timed((2.0,) * 5, batch=4)})
    assert one(Rule(quantity="speedup", at_least=1.9), known=known).observed == 2.0


@pytest.mark.parametrize(
    ("rule", "result"),
    [
        (Rule(quantity="latency-s", at_most=1.2), "pass"),
        (Rule(quantity="latency-s", at_most=1.02), "inconclusive"),
        (Rule(quantity="latency-s", at_most=0.9), "fail"),
        (Rule(quantity="throughput", at_least=0.8), "pass"),
        (Rule(quantity="throughput", at_least=2.0), "fail"),
        (Rule(quantity="peak-memory-gib", at_most=8), "pass"),
        (Rule(quantity="peak-memory-gib", at_most=2), "fail"),
        (Rule(quantity="cold-start-s", at_most=10), "pass"),
        (Rule(quantity="cold-start-s", at_most=9.9), "fail"),
    ],
)
def test_what_the_run_measured_can_gate(rule: Rule, result: str) -> None:
    known = Known(outcomes={"a": timed((1.0, 1.01, 1.02, 1.03, 1.04), memory=4 * 2**30)})
    found = one(rule, known=known)
    assert found.result == result
    assert (found.level is None) == (rule.quantity in ("peak-memory-gib", "cold-start-s"))


def test_what_was_not_measured_is_missing_never_a_pass() -> None:
    found = one(Rule(quantity="peak-memory-gib", at_most=8), known=Known(outcomes={"a": timed((1.0,))}))
    assert (found.result, found.sentence) == ("missing", "peak-memory-gib is missing: not measured")
    for rule in (Rule(metric="fid:mlperf", margin=0.05), Rule(quantity="score", metric="psnr", at_least=30)):
        absent = one(rule)
        assert absent.result == "missing"
        assert "it was not evaluated" in absent.sentence
    why = one(Rule(metric="fid", margin=0.05), known=Known(missing={"fid:mlperf": "weights not found"}))
    assert (why.metric, why.sentence) == ("fid:mlperf", "fid:mlperf is missing: weights not found")


def test_speed_gates_models_without_quality() -> None:
    known = Known(quality_applies=False, outcomes={"a": timed((1.0,) * 5)})
    rules = (Rule(margin=0.05), Rule(quantity="latency-s", at_most=2.0))
    found = verdicts({"a": {CLIP: (0.5, 0.01)}}, Policy(gate=rules), known=known)["a"]
    assert [judged.rule.quantity for judged in found.rules] == ["latency-s"]
    assert found.result == "pass"
    assert judged({"a": {}}, Policy(gate=rules[:1]), known=known).cells == ()


def test_a_warning_is_shown_and_changes_nothing() -> None:
    rules = (Rule(margin=0.05), Rule(margin=0.001, severity="warning"))
    found = judged({"a": {CLIP: (0.01, 0.002)}}, Policy(gate=rules))
    assert found.result == "pass"
    assert [warned.result for warned in found.cells[0].warnings] == ["fail"]
    lonely = judged({"a": {CLIP: (0.0, 0.001)}}, Policy(gate=rules[1:]))
    assert lonely.result == "missing"  # warnings alone let nothing ship


def test_last_matching_rule_wins() -> None:
    loss: Loss = (0.08, 0.005)
    policy = Policy(gate=(Rule(margin=0.05), Rule(margin=0.2, where="4-*"), Rule(metric=LPIPS, margin=0.3)))
    found = verdicts({"4-steps": {CLIP: loss, LPIPS: (0.25, 0.005)}, "8-steps": {CLIP: loss}}, policy)
    assert {cell.cell_id: cell.result for cell in found.values()} == {"4-steps": "pass", "8-steps": "fail"}
    assert {rule.metric: rule.rule.margin for rule in found["4-steps"].rules} == {CLIP: 0.2, LPIPS: 0.3}


@pytest.mark.parametrize(
    ("where", "cells"),
    [
        ("4-*", {"4-steps_bf16"}),
        (("4-*", "*fp32"), {"4-steps_bf16", "8-steps_fp32"}),
        ({"steps": 8}, {"8-steps_fp32"}),
        ({"steps": "*"}, {"4-steps_bf16", "8-steps_fp32"}),
        ({"precision": "bf16"}, set()),
        ((), {"4-steps_bf16", "8-steps_fp32"}),
    ],
)
def test_where_takes_globs_on_ids_or_values_of_axes(where: object, cells: set[str]) -> None:
    rule = Rule.model_validate({"margin": 0.05, "where": where})
    losses: dict[str, dict[str, Loss]] = {name: {CLIP: (0.0, 0.001)} for name in ("4-steps_bf16", "8-steps_fp32")}
    found = judged(losses, Policy(gate=(rule,)))
    assert {cell.cell_id for cell in found.cells if cell.rules} == cells
    assert len(found.notes) == (not cells)


def test_a_rule_that_fits_no_cell_is_a_note() -> None:
    found = judged({"a": {CLIP: (0.0, 0.001)}}, Policy(gate=(Rule(margin=0.05), Rule(margin=0.01, where="*fp8*"))))
    assert found.notes == ("rule 2 of the policy fits no cell: loss of every gating metric below 1 %, where '*fp8*'",)


def test_rules_of_different_levels_share_holm() -> None:
    strict, lax = Rule(margin=0.05, level=0.99), Rule(quantity="change", metric=CLIP, at_most=0.05, level=0.9)
    cells: dict[str, dict[str, Loss]] = {"a": {CLIP: (0.0, 0.001)}, "b": {CLIP: (0.04, 0.006)}}
    found = verdicts(cells, Policy(gate=(strict, lax)))
    assert [rule.level for rule in found["a"].rules] == pytest.approx([0.995, 0.95])
    assert [rule.result for rule in found["b"].rules] == ["inconclusive", "pass"]


def test_several_looks_make_each_stricter() -> None:
    loss: Loss = (0.04, 0.0058)  # p = 0.043
    assert verdicts({"a": {CLIP: loss}})["a"].result == "pass"
    known = Known(interim_analyses=(128, 256, 512))
    found = verdicts({"a": {CLIP: loss}}, known=known)["a"]
    assert found.result == "inconclusive"
    assert found.rules[0].level == pytest.approx(0.95)
    plain = verdicts({"a": {CLIP: loss}})["a"].rules[0]
    assert found.rules[0].upper > plain.upper  # type: ignore[operator]


def test_absent_value_takes_alpha_only_if_it_may_come() -> None:
    cells: dict[str, dict[str, Loss]] = {"a": {CLIP: (0.0, 0.001)}, "b": {CLIP: "too few prompts"}}
    assert verdicts(cells)["a"].rules[0].level == pytest.approx(0.95)
    assert verdicts(cells, known=Known(interim_analyses=(256, 512)))["a"].rules[0].level == pytest.approx(0.975)


@pytest.mark.parametrize("rule", [Rule(margin=0.05), Rule(quantity="change", metric=CLIP, margin=0.05)])
def test_sweep_on_the_margin_passes_at_most_alpha(rule: Rule) -> None:
    """Five cells, each losing exactly the margin: whole sweeps judged by the gate itself, errors Student-t."""
    rng, sweeps, wrong = np.random.default_rng(3), 600, 0
    for _ in range(sweeps):
        found = judged(
            {f"c{i}": {CLIP: (0.05 + 0.01 * rng.standard_t(255), 0.01)} for i in range(5)}, Policy(gate=(rule,))
        )
        wrong += any(cell.result == "pass" for cell in found.cells)
    assert wrong / sweeps <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / sweeps)
    assert wrong > 0  # not merely by never passing anything


def test_early_stopping_keeps_the_error_rate() -> None:
    """Three cells exactly on the margin, looked at three times, each stopped as soon as it passes or fails."""
    rng, sweeps, interim_analyses, wrong = np.random.default_rng(5), 400, (128, 256, 512), 0
    for _ in range(sweeps):
        walks = {f"c{i}": np.cumsum(rng.normal(0.05, 0.16, 512)) for i in range(3)}
        at = dict.fromkeys(walks, interim_analyses[0])
        for analysis in interim_analyses:
            cells: dict[str, dict[str, Loss]] = {
                name: {CLIP: (walk[at[name] - 1] / at[name], 0.16 / at[name] ** 0.5)} for name, walk in walks.items()
            }
            found = judged(cells, known=Known(interim_analyses=interim_analyses, prompts=at)).cells
            later = min((n for n in interim_analyses if n > analysis), default=analysis)
            at |= {cell.cell_id: later for cell in found if cell.result == "inconclusive"}
        wrong += any(cell.result == "pass" for cell in found)
    assert 0 < wrong / sweeps <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / sweeps)


def test_harmless_cells_pass_with_the_planned_power() -> None:
    """Five cells that lose nothing, margin 3.6 standard errors away: Holm's first step alone has power 90 %."""
    rng, sweeps, passed = np.random.default_rng(4), 100, 0
    for _ in range(sweeps):
        found = judged({f"c{i}": {CLIP: (0.05 / 3.6 * rng.standard_t(255), 0.05 / 3.6)} for i in range(5)})
        passed += sum(cell.result == "pass" for cell in found.cells)
    assert passed / (5 * sweeps) >= 0.9


def told(update: dict[str, object]) -> Known:
    """A run whose cell `a` had this told of it: conditions of its two blocks, or a trace."""
    conditions = UNKNOWN.model_copy(update=update)
    blocks = [block.model_copy(update={"conditions": conditions}) for block in timed((2.0, 2.0)).pairing.blocks]
    pairing = Pairing(kind="alone", blocks=(*blocks[:1], blocks[1].model_copy(update={"conditions": UNKNOWN})))
    trace = update.get("trace", COMPLETED.trace)
    return Known(outcomes={"a": timed((2.0,)).model_copy(update={"pairing": pairing, "batch": 2, "trace": trace})})


@pytest.mark.parametrize(
    ("rule", "update", "result", "said"),
    [
        (Rule(quantity="energy-j", at_most=40), {"energy_j": 50.0}, "pass", "an image takes 25 J"),
        (Rule(quantity="energy-j", at_most=20), {"energy_j": 50.0}, "fail", "fails the limit of at most 20 J"),
        (Rule(quantity="energy-j", at_most=20), {}, "missing", "energy-j is missing: not asked"),
        (Rule(quantity="image-cost", at_most=1), {"energy_j": 50.0}, "missing", "no prices: add [prices]"),
        (Rule(quantity="throttled-share", at_most=0), {"throttle": ()}, "pass", "at most 0 %"),
        (Rule(quantity="throttled-share", at_most=0), {"throttle": ("sw_power_cap",)}, "pass", "at most 0 %"),
        (
            Rule(quantity="throttled-share", at_most=0.5),
            {"throttle": ("hw_thermal_slowdown",)},
            "fail",
            "100.0 % of the timed blocks were throttled: fails",
        ),
        (Rule(quantity="throttled-share", at_most=0), {"cpu_throttled": 3, "throttle": ()}, "fail", "fails"),
        (Rule(quantity="throttled-share", at_most=0), {}, "missing", "not asked"),
        (Rule(quantity="traced-steps", at_least=1), {}, "missing", "take one with harness profile r a"),
        (
            Rule(quantity="traced-steps", at_least=1),
            {"trace": TRACE},
            "pass",
            "steps in its trace: 3: passes the limit of at least 1",
        ),
    ],
)
def test_energy_throttling_and_traces_can_gate(rule: Rule, update: dict[str, object], result: str, said: str) -> None:
    found = one(rule, known=told(update))
    assert (found.result, found.level) == (result, None)
    assert said in found.sentence


@pytest.mark.parametrize(
    ("rounds", "most", "result", "said"),
    [
        (10, 0.02, "pass", "passes the limit of at most 2 %"),
        (10, 0.0001, "inconclusive", "misses the limit of at most 0.01 %; raise measure.max_s"),
        (3, 0.02, "inconclusive", "at most 2 % with 3 measurement rounds; raise measure.max_s"),
    ],
)
def test_imprecise_speedup_fails_no_cell(rounds: int, most: float, result: str, said: str) -> None:
    sides = ("baseline", "cell", "cell", "baseline")
    took = {"baseline": lambda round_index: 1.0, "cell": lambda round_index: 1 + 0.002 * (round_index % 3)}
    blocks = [
        Block(
            side=side,
            round_index=round_index,
            begun_s=4.0 * round_index + place,
            repeats=timed((took[side](round_index),)).repeats,
        )
        for round_index in range(rounds)
        for place, side in enumerate(sides)
    ]
    pairing = Pairing(kind="interleaved", blocks=tuple(blocks))
    known = Known(outcomes={"a": COMPLETED.model_copy(update={"pairing": pairing})})
    found = one(Rule(quantity="timing-precision", at_most=most), known=known)
    assert found.result == result
    assert said in found.sentence


@pytest.mark.parametrize("counter", ["reserved_bytes", "device_used_bytes"])
def test_peak_memory_uses_the_counter_of_the_baseline(counter: str) -> None:
    memory = NO_MEMORY.model_copy(update={counter: 6 * 2**30})
    held = NO_MEMORY.model_copy(update={"device_used_bytes": 7 * 2**30})
    outcomes = {name: COMPLETED.model_copy(update={"memory": had}) for name, had in (("baseline", held), ("a", memory))}
    found = one(Rule(quantity="peak-memory-gib", at_most=8), known=Known(outcomes=outcomes))
    if counter == "device_used_bytes":
        assert found.result == "pass"
        assert found.sentence.startswith("peak memory is 6 GiB used on the device: passes")
    else:
        assert found.result == "missing"
        assert "reserved by torch" in found.sentence and "used on the device" in found.sentence


def test_an_images_cost_is_as_sure_as_its_latency() -> None:
    known = Known(outcomes={"a": timed((0.9, 0.95, 1.0, 1.05, 1.1, 1.02), batch=2)}, prices=Prices(per_hour={"*": 7.2}))
    found = one(Rule(quantity="image-cost", at_most=0.0012), known=known)
    assert (found.result, found.observed) == ("pass", pytest.approx(0.00101))
    assert found.level == 0.95
    assert "an image costs 0.00101 [" in found.sentence
