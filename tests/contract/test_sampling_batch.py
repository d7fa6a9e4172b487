"""Batches: images do not depend on them, one that cannot fit is refused, the largest that fits is found."""

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.axes.batch.largest import search_largest
from tests.builders.cell_on_model import BUNDLED, distance, plan_cell, run_cell

Tiny = Callable[[str], Path]


@pytest.mark.parametrize("most", [0, 1, 2, 3, 7, 8, 9, 63, 64, 100])
def test_the_largest_number_that_fits_is_found(most: int) -> None:
    tried: list[int] = []

    def fits(number: int) -> bool:
        tried.append(number)
        return number <= most

    assert search_largest(fits, 64) == min(most, 64)
    assert len(tried) == len(set(tried)) <= 14


def test_a_batch_that_cannot_fit_is_refused(tiny: Tiny) -> None:
    reason = str(plan_cell(tiny("sdxl"), {"batch": "1024", "resolution": "16384x16384"}).reason)
    assert "batch 1024: decoding 1024 images at once needs" in reason
    assert plan_cell(tiny("sdxl"), {"batch": "64"}).reason is None


def test_the_largest_batch_is_what_a_timed_call_makes(tiny: Tiny, tmp_path: Path) -> None:
    made = run_cell(plan_cell(tiny("sdxl"), {"batch": "largest+limit=5"}), tmp_path)
    (did,) = [did for did in made.applied if did.axis == "batch"]
    assert did.figures["images"] == 5
    assert "the limit of 5" in did.summary


def test_memory_that_is_short_ends_the_search(tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Free memory is pretended to be small: the search stops where the next batch is expected to go beyond it."""
    from harness.axes.batch import largest

    monkeypatch.setattr(largest, "_read_free_bytes", lambda: 100 * 2**20)
    made = run_cell(plan_cell(BUNDLED, {"batch": "largest", "resolution": "256x256"}), tmp_path)
    (did,) = [did for did in made.applied if did.axis == "batch"]
    assert 1 <= did.figures["images"] < 64
    assert "80 % of the free memory" in did.summary


def test_largest_batch_of_compiled_code_needs_a_number(tiny: Tiny) -> None:
    reason = str(plan_cell(tiny("sdxl"), {"batch": "largest", "compiler": "inductor"}).reason)
    assert "batch largest: compiling each batch size" in reason


def test_a_batch_keeps_the_images(tmp_path: Path) -> None:
    """Neighbours change an image by float noise alone: the trajectory is kept."""
    one = run_cell(plan_cell(BUNDLED, {"batch": "1", "resolution": "64x64", "steps": "10"}), tmp_path)
    from tests.builders.cell_on_model import PROMPTS

    alone = [one.model.generate(one.recipe.call((prompt,), (0,)))[0] for prompt in PROMPTS]
    assert distance(one.first, alone) < 1e-5
