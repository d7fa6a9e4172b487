"""OpenVINO computes in the precision that the cell says, not in its own."""

from collections.abc import Callable
from pathlib import Path

from tests.builders.cell_on_model import distance, plan_cell, run_cell


def test_fp32_stays_fp32_unless_the_cell_says_bf16(tiny: Callable[[str], Path], cache: Path) -> None:
    """Left to itself its CPU plugin computes in BF16, 0.025 away, wherever the processor can."""
    settings = {"compiler": "openvino"}
    single, half = (
        run_cell(plan_cell(tiny("sd"), {**settings, "precision": name}), cache) for name in ("fp32", "bf16")
    )
    shown = [made.applied[-1].figures for made in (single, half)]
    assert [figures["inference_precision"] for figures in shown] == ["f32", "bf16"]
    errors = [float(figures["parity_error"]) for figures in shown]
    assert errors[0] < 1e-5 < 1e-4 < errors[1] < 5e-2
    assert distance(half.first, single.first) < 0.1
