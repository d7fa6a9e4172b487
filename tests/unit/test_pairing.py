"""Cells timed by turns with the baseline: who is asked when, when it ends, and what is done where it cannot be."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.core.errors import MachineError
from harness.core.outcome import Completed, Failed
from harness.core.plan import Plan
from harness.core.timing import UNKNOWN, Conditions, ForeignProcess, Pairing
from harness.core.trace import Trace
from harness.core.units import Absent
from harness.execution import pairing
from harness.execution.baseline_worker import BaselineWorker
from harness.execution.cell import TRACING, Measurement, check_memory, ignore
from harness.execution.stopping_rule import count_calls
from harness.stats.speedup import MIN_ROUNDS_FOR_VERDICT, precise, speedup
from harness.store.layout import TRACE
from tests.builders.scripted_workers import (
    BASELINE,
    CELL,
    IMAGE,
    Script,
    ScriptedLauncher,
    completed,
    failed,
    measured,
    paired,
    plan_of,
    task_of,
    worker_of,
)

HOT = UNKNOWN.model_copy(update={"throttle": ("hw_thermal_slowdown",)})
OTHER = ForeignProcess(pid=77, name="game", used_bytes=2**30)
VISITED = UNKNOWN.model_copy(update={"foreign_processes": (OTHER,)})


@pytest.fixture
def plan(tmp_path: Path, states: object) -> Plan:
    return plan_of(tmp_path)


def test_both_take_turns_in_groups_that_favour_neither(plan: Plan) -> None:
    script = Script()
    pairing = completed(measured(script, task_of(plan, CELL), plan)).pairing
    assert script.blocks() == "b" + "bccb" * MIN_ROUNDS_FOR_VERDICT  # the first wakes the baseline up
    assert pairing.kind == "interleaved"
    assert pairing.why == ""
    assert [block.round_index for block in pairing.blocks] == [
        round_index for round_index in range(MIN_ROUNDS_FOR_VERDICT) for _ in range(4)
    ]
    assert speedup(pairing).estimate == pytest.approx(4)
    assert pairing.stopped == "±0.0 %, ±2.0 % requested"
    begun = [block.begun_s for block in pairing.blocks]
    assert begun == sorted(begun)
    assert begun[0] == 0


def test_baseline_is_ready_before_the_cell_starts(plan: Plan) -> None:
    script = Script()
    measured(script, task_of(plan, CELL), plan)
    steps = [f"{'b' if who == BASELINE else 'c'} {command}" for who, command in script.asked if command != "block"]
    assert steps == ["b open", "b prepare", "b rest", "c open", "c prepare", "b rest", "c finish", "c close", "b close"]


def test_a_block_lasts_a_quarter_of_a_second(plan: Plan) -> None:
    pairing = completed(measured(Script(), task_of(plan, CELL), plan)).pairing
    assert {len(block.repeats) for block in pairing.of("baseline")} == {1}
    assert {len(block.repeats) for block in pairing.of("cell")} == {3}
    measure = plan.matrix.measure
    assert count_calls(1e-5, measure) == 50
    assert count_calls(0.0, measure) == 1  # not known: nothing was warmed up
    assert count_calls(0.001, measure.model_copy(update={"max_s": 0.8})) < 15  # else eight groups take too long


def test_blocks_are_added_until_precise(tmp_path: Path, states: object) -> None:
    def taken(measure: str) -> int:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        plan, script = plan_of(folder, measure), Script()
        script.factors = iter(np.random.default_rng(1).lognormal(0, 0.1, 100_000).tolist())
        pairing = completed(measured(script, task_of(plan, CELL), plan)).pairing
        assert "requested" in pairing.stopped
        return len(pairing.blocks) // 4

    coarse, fine = (taken(f"max_s = 10000\nprecision = '{share}%'") for share in (5, 2))
    assert MIN_ROUNDS_FOR_VERDICT <= coarse < fine
    assert taken("max_s = 10000\nprecision = '5%'\nmin_s = 60") > 30


def test_time_that_is_up_ends_it_after_the_group(tmp_path: Path, states: object) -> None:
    plan, script, told = plan_of(tmp_path, "min_s = 0\nmax_s = 10\nprecision = '0.1%'"), Script(), []
    script.factors = iter(np.random.default_rng(1).lognormal(0, 0.3, 100_000).tolist())
    pairing = completed(measured(script, task_of(plan, CELL), plan, told)).pairing
    assert len(pairing.blocks) % 4 == 0
    spent = sum(repeat.latency_s for block in pairing.blocks for repeat in block.repeats)
    assert 10 <= spent < 13
    assert pairing.stopped.endswith("measure.max_s = 10 s is over")
    notes = [step.note for step in told if step.note.startswith("block")]
    assert notes[0] == "block 4, wants ±0.1 %"
    assert notes[-1].startswith(f"block {len(pairing.blocks)}, ±")


def test_a_baseline_is_timed_by_itself(plan: Plan) -> None:
    script = Script()
    pairing = completed(measured(script, task_of(plan, BASELINE), plan)).pairing
    assert (pairing.kind, pairing.why) == ("alone", "")
    assert len(pairing.blocks) >= MIN_ROUNDS_FOR_VERDICT
    assert script.most_alive == 1


def test_rerun_is_interleaved_and_other_seed_is_not(plan: Plan) -> None:
    again = completed(measured(Script(), task_of(plan, "baseline-rerun"), plan)).pairing
    assert again.kind == "interleaved"
    assert speedup(again).estimate == pytest.approx(1)
    script = Script()
    other = completed(measured(script, task_of(plan, "baseline-other-seed"), plan))
    assert other.pairing.blocks == ()
    assert [command for _, command in script.asked] == ["open", "prepare", "finish", "close"]


@pytest.mark.parametrize("state", [HOT, UNKNOWN.model_copy(update={"cpu_throttled": 3}), VISITED])
def test_disturbed_block_is_repeated_and_both_are_kept(
    plan: Plan, states: dict[int, Conditions], state: Conditions
) -> None:
    states[2] = states[9] = states[10] = state  # the tenth is no better the second time
    pairing = completed(measured(Script(), task_of(plan, CELL), plan)).pairing
    superseded = [place for place, block in enumerate(pairing.blocks) if block.superseded]
    assert superseded == [2, 9]
    assert [pairing.blocks[place].side for place in (2, 3)] == ["cell", "cell"]
    assert pairing.blocks[2].round_index == pairing.blocks[3].round_index
    assert pairing.blocks[10].conditions == state
    assert len(pairing.of("cell")) == 2 * MIN_ROUNDS_FOR_VERDICT


def test_allowed_foreign_processes_repeat_no_block(tmp_path: Path, states: dict[int, Conditions]) -> None:
    states[2] = VISITED
    plan = plan_of(tmp_path, "allow_foreign_processes = true")
    assert not any(b.superseded for b in completed(measured(Script(), task_of(plan, CELL), plan)).pairing.blocks)


def test_foreign_processes_before_a_cell_are_an_error(
    tmp_path: Path, states: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pairing, "find_foreign_processes", lambda device, ours: (OTHER,))
    plan = plan_of(tmp_path)
    with pytest.raises(MachineError, match=r"game \(pid 77, 1 GiB\)") as caught:
        measured(Script(), task_of(plan, CELL), plan)
    assert "measure.allow_foreign_processes" in caught.value.fix
    (tmp_path / "allowed").mkdir()
    allowed = plan_of(tmp_path / "allowed", "allow_foreign_processes = true")
    completed(measured(Script(), task_of(allowed, CELL), allowed))


def test_low_memory_times_the_baseline_around_the_cell(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    change = paired(monkeypatch, free=30e9, needs=20e9)
    script = Script()
    launcher = ScriptedLauncher(script)
    baseline_worker = BaselineWorker(launcher, task_of(plan, BASELINE, change))
    outcome = Measurement(task_of(plan, CELL, change), launcher, lambda step: None, ignore).measure(baseline_worker)
    assert isinstance(outcome, Completed)
    pairing = outcome.pairing
    assert pairing.kind == "sandwiched"
    assert pairing.why == "it and the baseline need about 37.3 GiB together, 27.9 GiB is free"
    assert script.most_alive == 1
    sides = "".join(block.side[0] for block in pairing.blocks)
    assert sides == "b" * MIN_ROUNDS_FOR_VERDICT + "c" * 2 * MIN_ROUNDS_FOR_VERDICT + "b" * MIN_ROUNDS_FOR_VERDICT
    rounds = [block.round_index for block in pairing.blocks]
    assert rounds[0] == 0
    assert {block.round_index for block in pairing.of("baseline")} == {0, rounds[-1]}
    assert rounds[-1] == max(rounds) == 2 * MIN_ROUNDS_FOR_VERDICT + 1
    assert speedup(pairing).estimate == pytest.approx(4)
    assert outcome.phases_s["baseline_worker"] > 0
    assert baseline_worker.alive  # the next cell begins with it


@pytest.fixture
def crowded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.execution.cell.check_memory", lambda *_: "no room")


def test_images_and_trace_follow_the_second_baseline(traced: Plan, crowded: None) -> None:
    script, kept = Script(), []
    launcher = ScriptedLauncher(script)
    baseline_worker = BaselineWorker(launcher, task_of(traced, BASELINE))
    outcome = Measurement(task_of(traced, CELL), launcher, lambda step: None, kept.append).measure(baseline_worker)
    assert isinstance(outcome, Completed)
    baseline_worker.close()
    assert script.most_alive == 1
    steps = [
        f"{'b' if who == BASELINE else 'c'} {command}"
        for who, command in script.asked
        if command not in ("block", "rest")
    ]
    assert steps == [
        "b open", "b prepare", "b close", "c open", "c prepare", "c finish", "c close",
        "b open", "b prepare", "b close", "c open", "c prepare", "c finish", "c trace", "c close",
    ]  # fmt: skip
    (before,) = kept
    assert before.trace == TRACING
    assert before.pairing == outcome.pairing
    assert before.pairing.kind == "sandwiched"
    assert before.images == outcome.images == (IMAGE,)
    assert outcome.phases_s["load"] == 2  # of both workers
    assert isinstance(outcome.trace, Trace)
    assert [caution.kind for caution in outcome.warnings] == ["limit"]


@pytest.mark.parametrize("command", ["prepare", "block"])
def test_lost_baseline_leaves_the_blocks_before(plan: Plan, crowded: None, command: str) -> None:
    script = Script()
    well = 1 if command == "prepare" else 2 + MIN_ROUNDS_FOR_VERDICT + 3
    script.breaks[BASELINE, command] = [None] * well + [failed("crash"), failed("crash", "gone again")]
    if command == "block":
        script.breaks[BASELINE, "prepare"] = [None, None, failed("crash", "gone again")]
    pairing = completed(measured(script, task_of(plan, CELL), plan)).pairing
    assert (pairing.kind, pairing.why) == ("sandwiched", "no room")
    assert "gone again" in pairing.stopped
    assert len(pairing.of("baseline")) == MIN_ROUNDS_FOR_VERDICT + (3 if command == "block" else 0)
    assert speedup(pairing).estimate == pytest.approx(4)


def test_sandwich_ends_when_precise_or_out_of_time(tmp_path: Path, states: object, crowded: None) -> None:
    def taken(folder: str, measure: str) -> tuple[Pairing, list[int]]:
        (tmp_path / folder).mkdir()
        plan, script = plan_of(tmp_path / folder, measure), Script()
        script.factors = iter(np.random.default_rng(4).lognormal(0, 0.03, 100_000).tolist())
        pairing = completed(measured(script, task_of(plan, CELL), plan)).pairing
        sides = "".join(block.side[0] for block in pairing.blocks)
        return pairing, [len(side) for side in sides.replace("bc", "b c").replace("cb", "c b").split()]

    long, counts = taken("long", "max_s = 90\nprecision = '3%'")
    assert long.stopped.endswith("±3.0 % requested")
    width = precise(long)
    assert width is not None
    assert width <= 0.03
    assert sum(counts) > 4 * MIN_ROUNDS_FOR_VERDICT
    brief, counts = taken("brief", "max_s = 12\nprecision = '0.1%'")
    assert brief.stopped.endswith("measure.max_s = 12 s is over")
    spent = [sum(r.latency_s for r in block.repeats) for block in brief.blocks]
    ends = np.cumsum(spent)[np.cumsum(counts) - 1]
    assert ends == pytest.approx([3, 9, 12], abs=0.8)


def test_waiting_baseline_needs_working_memory(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    change = paired(monkeypatch, free=30e9, needs=20e9)
    cell, baseline = task_of(plan, CELL, change), worker_of(plan, change)
    assert check_memory(cell, baseline) == ""
    paired(monkeypatch, free=29e9, needs=20e9)
    assert "together" in check_memory(cell, baseline)


def test_measured_surplus_counts_for_both_sides(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    change = paired(monkeypatch, free=34e9, needs=20e9)
    cell, baseline = task_of(plan, CELL, change), worker_of(plan, change)
    baseline.used_bytes = int(22e9)  # 2 GB more than its footprint: the cell will need as much more
    assert check_memory(cell, baseline) == ""
    baseline.used_bytes = int(22.1e9)
    assert "together" in check_memory(cell, baseline)


def test_drawing_processes_spoil_no_block() -> None:
    drawing = UNKNOWN.model_copy(update={"foreign_processes": (OTHER.model_copy(update={"graphics_only": True}),)})
    assert pairing._spoilt(drawing, allow_foreign_processes=False) == ""
    assert "other processes" in pairing._spoilt(VISITED, allow_foreign_processes=False)


def test_largest_batch_search_has_all_the_memory(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    from harness.axes.batch.images import Images

    monkeypatch.setattr(Images, "tags", frozenset({"tries-batches"}))
    pairing = completed(measured(Script(), task_of(plan, CELL), plan)).pairing
    assert (pairing.kind, pairing.why) == ("sandwiched", "it searches for the largest batch that fits into memory")


@pytest.mark.parametrize("command", ["prepare", "block", "finish"])
def test_out_of_memory_cell_is_retried_alone(plan: Plan, command: str) -> None:
    script = Script()
    script.breaks[CELL, command] = [failed("out-of-memory", "no room")]
    outcome = completed(measured(script, task_of(plan, CELL), plan))
    assert outcome.pairing.kind == "sandwiched"
    assert outcome.pairing.why == "next to the baseline: no room"
    assert script.blocks()[-MIN_ROUNDS_FOR_VERDICT:] == "b" * MIN_ROUNDS_FOR_VERDICT


def test_a_cell_that_does_not_fit_at_all_has_failed(plan: Plan) -> None:
    script = Script()
    script.breaks[CELL, "prepare"] = [failed("out-of-memory"), failed("out-of-memory")]
    outcome = measured(script, task_of(plan, CELL), plan)
    assert isinstance(outcome, Failed)
    assert outcome.kind == "out-of-memory"


def test_other_errors_are_not_retried(plan: Plan) -> None:
    script = Script()
    script.breaks[CELL, "block"] = [None, failed("crash")]
    outcome = measured(script, task_of(plan, CELL), plan)
    assert isinstance(outcome, Failed)
    assert outcome.kind == "crash"
    assert script.asked.count((CELL, "open")) == 1


def test_a_baseline_that_dies_is_started_once_more(plan: Plan) -> None:
    script = Script()
    script.breaks[BASELINE, "block"] = [None, None, None, failed("crash")]
    pairing = completed(measured(script, task_of(plan, CELL), plan)).pairing
    assert pairing.kind == "interleaved"
    assert len(pairing.blocks) == 4 * MIN_ROUNDS_FOR_VERDICT
    assert script.asked.count((BASELINE, "open")) == 2


def test_baseline_that_dies_twice_ends_interleaving(plan: Plan) -> None:
    script = Script()
    script.breaks[BASELINE, "block"] = [None, None, failed("crash"), failed("crash", "died of SIGSEGV")]
    pairing = completed(measured(script, task_of(plan, CELL), plan)).pairing
    assert pairing.kind == "alone"
    assert pairing.of("baseline") == ()
    assert "the baseline's process failed" in pairing.why
    assert "died of SIGSEGV" in pairing.why
    shown = [block for block in pairing.blocks if block.side == "baseline"]
    assert shown  # but they count no more
    assert all("died of SIGSEGV" in block.superseded for block in shown)


def test_baseline_that_dies_late_keeps_the_rounds(plan: Plan) -> None:
    script = Script()
    script.factors = iter(np.random.default_rng(2).lognormal(0, 0.5, 100_000).tolist())
    enough = 1 + 2 * MIN_ROUNDS_FOR_VERDICT + 3  # all but the last one of a group
    script.breaks[BASELINE, "block"] = [None] * enough + [failed("crash"), failed("crash")]
    pairing = completed(measured(script, task_of(plan, CELL), plan)).pairing
    assert pairing.kind == "interleaved"
    assert "the baseline's process failed" in pairing.stopped
    *_, last = pairing.blocks
    unfinished = [block for block in pairing.blocks if block.superseded]
    assert {block.round_index for block in unfinished} == {last.round_index}
    assert "its round is incomplete" in last.superseded
    assert {block.round_index for block in pairing.of("cell")} == set(range(last.round_index))


def test_baseline_out_of_memory_makes_a_sandwich(plan: Plan) -> None:
    script = Script()
    script.breaks[BASELINE, "block"] = [failed("out-of-memory", "no room")]
    pairing = completed(measured(script, task_of(plan, CELL), plan)).pairing
    assert pairing.kind == "sandwiched"
    assert "no room" in pairing.why


def test_without_a_baseline_a_cell_is_timed_by_itself(plan: Plan) -> None:
    script = Script()
    outcome = Measurement(task_of(plan, CELL), ScriptedLauncher(script), lambda step: None, ignore).measure(None)
    assert isinstance(outcome, Completed)
    assert (outcome.pairing.kind, outcome.pairing.why) == ("alone", "the baseline did not complete")


@pytest.fixture
def traced(tmp_path: Path, states: object) -> Plan:
    return plan_of(tmp_path, "trace = true")


def test_results_are_delivered_before_the_trace(traced: Plan) -> None:
    script, kept = Script(), []
    launcher = ScriptedLauncher(script)

    def keep(outcome: Completed) -> None:
        assert (CELL, "trace") not in script.asked
        kept.append(outcome)

    baseline_worker = BaselineWorker(launcher, task_of(traced, BASELINE))
    outcome = Measurement(task_of(traced, CELL), launcher, lambda step: None, keep).measure(baseline_worker)
    assert isinstance(outcome, Completed)
    (before,) = kept
    assert before.trace == TRACING
    assert before.pairing == outcome.pairing
    assert isinstance(outcome.trace, Trace)
    assert outcome.phases_s["trace"] > 0
    assert "not-traced" not in {caution.kind for caution in outcome.warnings}


@pytest.mark.parametrize("kind", ["crash", "timeout", "disk-full", "out-of-memory"])
def test_worker_broken_while_tracing_keeps_its_timings(traced: Plan, tmp_path: Path, kind: Any) -> None:
    script = Script()
    script.breaks[CELL, "trace"] = [failed(kind, "the end")]
    left = tmp_path / f".{TRACE}.writing"
    left.mkdir()
    task = task_of(traced, CELL, lambda task: task.model_copy(update={"folder": tmp_path}))
    outcome = completed(measured(script, task, traced))
    assert not left.exists()
    assert outcome.pairing.kind == "interleaved"
    assert outcome.trace == Absent(absent=f"{kind} during the trace: the end")
    (caution,) = [caution for caution in outcome.warnings if caution.kind == "not-traced"]
    assert "harness profile" in caution.advice
