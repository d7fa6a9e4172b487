"""What a cell's values really did is asked after the timed calls; a value that did nothing fails its cell."""

from copy import copy
from pathlib import Path
from typing import Any

import pytest

from harness import api
from harness.axes.compiler.eager import Eager
from harness.axes.guidance.scale import Scale
from harness.core.axis import Context, Setup
from harness.core.effect import CallCounter, Effect, FixedEffect
from harness.core.errors import NoEffect
from harness.core.outcome import Caution, ColdStart, Completed, Failed, Shown
from harness.core.units import Absent
from harness.store import read_outcomes, read_plan
from tests.builders.fake_run import MATRIX, finished_run, write_matrix


class Denoisings(CallCounter):
    """Counts denoiser calls."""

    def report(self, model: Any, calls: int) -> Shown:
        return Shown(summary="counted", figures={"denoiser_calls": self.counts["denoiser"] / calls})


class Idle(Effect):
    """Finds that nothing happened."""

    def report(self, model: Any, calls: int) -> Shown:
        raise NoEffect("skipped 0 of 40 blocks", "caching nothing", "Raise the threshold.")


def eager_does(monkeypatch: pytest.MonkeyPatch, effect: Effect) -> list[Setup]:
    """Make the default compiler have this effect; return what it is told when applied."""
    told: list[Setup] = []

    def apply(self: Eager, model: Any, setup: Setup) -> Effect:
        told.append(setup)
        return copy(effect)  # the baseline waits in the same process: its effects are its own

    monkeypatch.setattr(Eager, "apply", apply)
    return told


def test_applied_effects_name_axis_and_value(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    told = eager_does(monkeypatch, FixedEffect("did it", {"bytes_before": 4, "bytes_after": 1}))
    outcomes = read_outcomes(finished_run(tmp_path))
    cell = outcomes["4-steps_fp32"]
    assert isinstance(cell, Completed)
    assert [(did.axis, did.value, did.summary) for did in cell.applied] == [
        ("steps", "4", "4 denoiser calls"),
        ("compiler", "eager", "did it"),
    ]
    assert cell.applied[1].figures == {"bytes_before": 4, "bytes_after": 1}
    assert {len(setup.call.prompts) for setup in told} <= {4, 6}  # every prompt of the cell, for calibration
    assert {setup.call.steps for setup in told} == {50, 20, 4}
    assert all(setup.batch == 1 for setup in told)


def test_an_effect_counts_the_timed_calls_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    eager_does(monkeypatch, Denoisings())
    cell = read_outcomes(finished_run(tmp_path))["4-steps_fp32"]
    assert isinstance(cell, Completed)
    assert {did.axis: did.figures["denoiser_calls"] for did in cell.applied} == {"steps": 4, "compiler": 4}


def test_a_value_without_effect_fails_its_cell(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    eager_does(monkeypatch, Idle())
    cell = read_outcomes(finished_run(tmp_path))["4-steps_fp32"]
    assert isinstance(cell, Failed)
    assert cell.kind == "no-effect"
    assert cell.phase == "repeats"
    assert "skipped 0 of 40 blocks" in cell.message
    assert cell.hint == "Raise the threshold."


def test_a_first_call_is_timed_only_with_a_warning(tmp_path: Path) -> None:
    cold = read_outcomes(finished_run(tmp_path, MATRIX.replace("max_s = 0.1", "max_s = 0.1\nwarmup = 0")))
    for cell_id in ("50-steps_fp32", "4-steps_fp32"):
        cell = cold[cell_id]
        assert isinstance(cell, Completed)
        assert not cell.warmup_s
        assert len(cell.repeats) >= 2
        assert isinstance(cell.cold_start, ColdStart)
        assert cell.cold_start.first_call_s == cell.repeats[0].latency_s
        (warning,) = [caution for caution in cell.warnings if caution.kind == "first-call"]
        assert "measure.warmup = 0" in warning.message
        assert "1 or more" in warning.advice


def test_a_warmed_up_cell_carries_no_such_warning(tmp_path: Path) -> None:
    cell = read_outcomes(finished_run(tmp_path))["4-steps_fp32"]
    assert isinstance(cell, Completed)
    assert isinstance(cell.cold_start, ColdStart)
    assert (cell.cold_start.first_call_s,) == cell.warmup_s
    assert "first-call" not in {caution.kind for caution in cell.warnings}


def test_a_caution_of_the_plan_stays_with_the_cell(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def cautions(self: Scale, context: Context) -> tuple[Caution, ...]:
        assert context.model.family == "fake"
        few = context.values["steps"].count < 10  # type: ignore[attr-defined]
        return (Caution(kind="few-steps", message="few steps", advice="Take more."),) if few else ()

    monkeypatch.setattr(Scale, "cautions", cautions)
    run = finished_run(tmp_path)
    warned = {planned.id for planned in read_plan(run).cells if planned.cautions}
    assert warned == {"4-steps_fp32"}
    cell = read_outcomes(run)["4-steps_fp32"]
    assert isinstance(cell, Completed)
    assert "few-steps" in {caution.kind for caution in cell.warnings}


def test_a_value_may_refuse_a_cell_in_the_plan(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(self: Scale, context: Context) -> str | None:
        few = context.values["steps"].count < 10  # type: ignore[attr-defined]
        return f"does not go with {context.values['steps']} steps" if few else None

    monkeypatch.setattr(Scale, "refuse", refuse)
    plan = api.plan(api.load(write_matrix(tmp_path)), results=tmp_path)
    assert {planned.id: planned.skip for planned in plan.compared} == {
        "50-steps_fp32": None,
        "20-steps_fp32": None,
        "4-steps_fp32": "guidance 1: does not go with 4 steps",
    }


def test_inline_cells_have_no_known_memory(tmp_path: Path) -> None:
    cell = read_outcomes(finished_run(tmp_path))["4-steps_fp32"]
    assert isinstance(cell, Completed)
    assert cell.memory.peak() == Absent(absent="ran in the harness's own process")
