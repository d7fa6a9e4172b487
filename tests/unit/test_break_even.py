"""From how many images on a compilation has paid for itself."""

import pytest

from harness.core.outcome import Applied, ColdStart, Completed
from harness.core.timing import Block, Pairing, Repeat
from harness.core.units import Absent
from harness.results.timing import break_even, build_cost_s
from tests.builders.timed_pairs import alone

NONE = Absent(absent="not measured")


def cell(latency_s: float, compile_s: float, batch: int = 1, **figures: float) -> Completed:
    timed = alone((Repeat(latency_s=latency_s),) * 3)
    cold = ColdStart(start_s=9, load_s=9, apply_s=1, compile_s=compile_s, first_call_s=99)
    applied = (Applied(axis="compiler", value="x", summary="x", figures=dict(figures)),) if figures else ()
    rest = {"images": (), "denoiser_calls": 1, "weights_bytes": {}, "threads": 1}
    return Completed(cold_start=cold, warmup_s=(), pairing=timed, batch=batch, phases_s={}, applied=applied, **rest)


def test_images_until_the_cost_is_won_back() -> None:
    """45 s more at 0.5 s less an image: 90 images; the 90th makes both equal, so it is enough."""
    assert break_even(cell(1.5, 45), cell(2.0, 0), "x", None).images == 90
    assert break_even(cell(3.0, 45, batch=2), cell(2.0, 0), "x", None).images == 90, "per image, whatever the batch"
    assert break_even(cell(1.5, 0), cell(2.0, 0), "x", None).images == 0


def test_the_time_saved_is_that_of_the_paired_speedup() -> None:
    """The machine was faster while the eager cell was timed; beside the baseline the compiled one is twice as fast."""
    blocks = (
        Block(
            side=side,
            round_index=round_index,
            begun_s=4.0 * round_index + place,
            repeats=(Repeat(latency_s=latency_s),),
        )
        for round_index in range(3)
        for place, (side, latency_s) in enumerate([("baseline", 2.0), ("cell", 1.0), ("cell", 1.0), ("baseline", 2.0)])
    )
    baseline = cell(1.0, 0)
    beside = cell(1.0, 45).model_copy(update={"pairing": Pairing(kind="interleaved", blocks=tuple(blocks))})
    assert break_even(beside, baseline, "baseline", baseline).images == 45


@pytest.mark.parametrize("latency_s", [2.0, 2.5])
def test_what_is_not_faster_never_pays(latency_s: float) -> None:
    assert isinstance(break_even(cell(latency_s, 45), cell(2.0, 0), "x", None).images, Absent)


def test_a_warm_cache_hides_no_cost() -> None:
    assert build_cost_s(cell(1, 2, build_s=30, cache_hits=0)) == 3, "building was part of applying"
    assert build_cost_s(cell(1, 2, build_s=30, cache_hits=1)) == 33, "another run paid"
    assert build_cost_s(cell(1, 2, build_s=30, onnx_export_s=4, cache_hits=1)) == 37, "of the graph too"
