"""Whatever the plan calls ready also runs: combinations of all axes drawn at random, on the tiny pipelines."""

from collections.abc import Callable
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.axes import list_value_names, load_axes, read_entry, resolve_setting
from harness.core.axis import Setup
from harness.core.errors import NoEffect
from harness.core.machine import Gpu
from harness.core.units import Absent
from harness.execution.build import apply_values, load_model, read_recipe
from harness.execution.task import Task
from harness.measure.machine import describe_machine
from tests.builders.cases import slow_but_first
from tests.builders.cell_on_model import PROMPTS, Planned, plan_cell, run_cell
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
        for name in list_value_names(axis)
        for spelling in (name, *resolve_setting(read_entry(axis, name)).examples)
        if not resolve_setting(read_entry(axis, spelling)).lazy
        and resolve_setting(read_entry(axis, spelling)).unavailable(describe_machine()) is None
    ]
    return [*OPEN.get(axis, []), *spelled]


@st.composite
def combinations(draw: Any) -> dict[str, str]:
    """Draw up to three axes away from their defaults: with more, most combinations are conflicts."""
    axes = draw(st.lists(st.sampled_from([axis.name for axis in load_axes()]), max_size=3, unique=True))
    return {axis: draw(st.sampled_from(entries(axis))) for axis in axes}


def test_what_the_plan_calls_ready_runs(tiny: Callable[[str], Path], tmp_path: Path) -> None:
    ran: list[str] = []

    @settings(max_examples=20, deadline=None, derandomize=True, database=None)
    @given(chosen=combinations(), family=st.sampled_from(FAMILIES))
    def check(chosen: dict[str, str], family: str) -> None:
        planned = plan_cell(tiny(family), chosen)
        if planned.reason is not None:
            assert any(axis.name in planned.reason for axis in load_axes())
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


GPU = Gpu(
    name="NVIDIA H200", capability=(9, 0), memory_bytes=141 * 2**30, driver="570", cuda="12.8",
    power_limit_w=Absent(absent="not asked"),
)  # fmt: skip
SMALL = {
    "caching": {"latents-nearest": "latents-nearest+calls=1+threshold=-1", "taylorseer": "taylorseer+first=1"},
    "memory": {"vae-tiling": "vae-tiling+tile=16"},
    "resolution": {"progressive": "progressive+stages=16-32"},
}
"""Spellings that have work to do in small images of few steps."""
PAIRS = (("caching", "resolution"), ("caching", "memory"), ("resolution", "memory"))
ON_A_GPU_ONLY = {"sequential-offload"}
"""Cannot even be applied without one; its conflicts stand in test_memory."""


def spelled(axis: str) -> list[str]:
    names = [name for name in list_value_names(axis) if name not in ON_A_GPU_ONLY | {"none", "pixels"}]
    return [SMALL.get(axis, {}).get(name, name) for name in names]


def draw_once(planned: Planned, cache: Path) -> None:
    """Make one call of a cell on the CPU, where hooks that move weights have nowhere to move them, but run."""
    recipe = read_recipe(planned.cell)
    model = load_model(Task.model_construct(model=planned.model, device="cpu"), recipe)
    call = recipe.call(PROMPTS, (0,))
    assert np.isfinite(apply_values(model, recipe, Setup(call, recipe.batch, cache)).model.generate(call)).all()


@pytest.mark.parametrize("family", slow_but_first(["sd", "flux"]))
def test_caches_cascades_and_offloads_run_together(family: str, tiny: Callable[[str], Path], tmp_path: Path) -> None:
    machine = describe_machine().model_copy(update={"gpus": (GPU,)})
    ran = set()
    for one, other in PAIRS:
        for chosen in product(spelled(one), spelled(other)):
            settings = {**dict(zip((one, other), chosen, strict=True)), "precision": "fp32", "steps": "3"}
            planned = plan_cell(tiny(family), settings, machine=machine)
            if planned.reason is None:
                draw_once(planned, tmp_path)
                ran.add((one, other))
    assert ran == set(PAIRS)
