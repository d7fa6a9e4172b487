"""Sizes and cascades: stages are drawn, counted and timed apart; sizes that cannot be are refused in the plan."""

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.axes import read_entry, resolve_setting
from tests.builders.cell_on_model import BUNDLED, distance, plan_cell, run_cell

Tiny = Callable[[str], Path]


@pytest.mark.parametrize("family", ["sd", "sdxl", "sd3", "flux"])
def test_stages_are_timed_and_counted_apart(family: str, tiny: Tiny, tmp_path: Path) -> None:
    entry = "progressive+stages=16-32-64+strengths=0.75-0.5+steps=4-6"
    made = run_cell(plan_cell(tiny(family), {"resolution": entry}), tmp_path)
    assert made.first.shape == (2, 64, 64, 3)
    assert distance(made.second, made.first) == 0
    figures = {did.axis: did.figures for did in made.applied}
    calls = {stage: figures["resolution"][f"{stage}_denoiser_calls"] for stage in ("16x16", "32x32", "64x64")}
    more = family == "sd"  # its scheduler is PNDM: one call more than steps
    assert calls == {"16x16": 4 + more, "32x32": 3 + more, "64x64": 3 + more}
    assert figures["steps"]["denoiser_calls"] == sum(calls.values())
    assert all(figures["resolution"][f"{stage}_s"] > 0 for stage in calls)


def test_the_last_stage_keeps_what_the_first_composed(tmp_path: Path) -> None:
    """On the bundled model: the less noise is put on the enlarged image, the nearer it stays to it."""
    apart = {}
    for strength in ("0.2", "0.9"):
        entry = f"progressive+stages=32-64+strengths={strength}"
        settings = {"resolution": entry, "steps": "10"}
        made = run_cell(plan_cell(BUNDLED, settings), tmp_path)
        small = run_cell(plan_cell(BUNDLED, {"resolution": "32x32", "steps": "10"}), tmp_path)
        assert made.first.shape == (2, 64, 64, 3)
        halved = made.first.reshape(2, 32, 2, 32, 2, 3).mean(axis=(2, 4))
        apart[strength] = distance(halved, small.first)
    assert apart["0.2"] < apart["0.9"]
    assert apart["0.2"] < 0.15


def test_cascade_image_does_not_depend_on_its_batch(tiny: Tiny, tmp_path: Path) -> None:
    made = run_cell(plan_cell(tiny("sdxl"), {"resolution": "progressive+stages=16-32"}), tmp_path)
    from tests.builders.cell_on_model import PROMPTS

    alone = made.model.generate(made.recipe.call(PROMPTS[1:], (0,)))
    assert distance(alone[0], made.first[1]) < 1e-5


WRONG = [
    ("progressive", "name at least two sizes"),
    ("progressive+stages=32", "name at least two sizes"),
    ("progressive+stages=64-32", "larger than the previous"),
    ("progressive+stages=16-33", "stage 33x33: both sides must be multiples of 8"),
    ("progressive+stages=16-32+strengths=2", "above 0, at most 1"),
    ("progressive+stages=16-32-64+strengths=0.5-0.5-0.5", "2 stages follow the first"),
    ("progressive+stages=16-32+steps=many", "expected numbers"),
    ("progressive+stages=16-32+strengths=0.1", "0.1 × 4 steps make less than one denoiser call"),
    ("36x36", "both sides must be multiples of 8"),
]


@pytest.mark.parametrize(("entry", "words"), WRONG)
def test_the_plan_refuses_stages_that_make_no_sense(entry: str, words: str, tiny: Tiny) -> None:
    reason = plan_cell(tiny("sdxl"), {"resolution": entry}).reason
    assert reason is not None
    assert reason.startswith(f"resolution {entry.split('+', maxsplit=1)[0]}")
    assert words in reason


def test_a_model_without_image_to_image_has_no_cascade(tiny: Tiny) -> None:
    reason = str(plan_cell(tiny("pixart"), {"resolution": "progressive+stages=16-32"}).reason)
    assert "does not work with the pixart (no-image-to-image)" in reason


def test_cascade_estimate_sums_the_work_of_its_stages() -> None:
    """4 steps at 16x16, then 8 × 0.5 at 32x32, where a single pass makes 4 at 32x32: a quarter of them, and all."""
    value = resolve_setting(read_entry("resolution", "progressive+stages=16-32+strengths=0.5+steps=8"))
    assert value.workload(4) == pytest.approx(0.25 + 1)
    assert resolve_setting(read_entry("resolution", "32x32")).workload(4) == 1


def test_stages_read_the_same_however_they_are_written(tiny: Tiny) -> None:
    cells = [
        plan_cell(tiny("sdxl"), {"resolution": f"progressive+stages={words}"}).cell for words in ("16-32", "16,32")
    ]
    assert cells[0].id == cells[1].id
    assert "progressive+stages=16-32" in cells[0].id
