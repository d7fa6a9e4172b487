"""Whatever the plan calls ready also runs: combinations of all axes drawn at random, on the tiny pipelines."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.axes import all_axes, read_entry, resolve_setting, value_names
from harness.core.errors import NoEffect
from harness.measure.machine import describe_machine
from tests.contract.cell_on_model import plan_cell, run_cell
from tests.tiny import FAMILIES

OPEN = {
    "steps": ["1", "2", "5"],
    "guidance": ["1", "3"],
    "resolution": ["32x32", "64x32", "36x36"],
    "batch": ["1", "2"],
}


@cache
def entries(axis: str) -> list[str]:
    """Return the spellings of an axis's values that run here; none that compile: each takes most of a minute."""
    spelled = [
        spelling
        for name in value_names(axis)
        for spelling in (name, *resolve_setting(read_entry(axis, name)).examples)
        if not resolve_setting(read_entry(axis, spelling)).lazy
        and resolve_setting(read_entry(axis, spelling)).unavailable(describe_machine()) is None
    ]
    return [*OPEN.get(axis, []), *spelled]


@st.composite
def combinations(draw: Any) -> dict[str, str]:
    """Draw up to three axes away from their defaults: with more, most combinations are conflicts."""
    axes = draw(st.lists(st.sampled_from([axis.name for axis in all_axes()]), max_size=3, unique=True))
    return {axis: draw(st.sampled_from(entries(axis))) for axis in axes}


def test_what_the_plan_calls_ready_runs(tiny: Callable[[str], Path], tmp_path: Path) -> None:
    ran: list[str] = []

    @settings(max_examples=20, deadline=None, derandomize=True, database=None)
    @given(chosen=combinations(), family=st.sampled_from(FAMILIES))
    def check(chosen: dict[str, str], family: str) -> None:
        planned = plan_cell(tiny(family), chosen)
        if planned.reason is not None:
            assert any(axis.name in planned.reason for axis in all_axes())
            return
        try:
            made = run_cell(planned, tmp_path)
        except NoEffect as error:  # known only after the calls: what the value told, it tells the user too
            assert error.where
            return
        call = made.recipe.call()
        assert made.second.shape == (2, call.height, call.width, 3)
        assert np.isfinite(made.second).all()
        ran.append(planned.cell.id)

    check()
    assert len(set(ran)) >= 8
