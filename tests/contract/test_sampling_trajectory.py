"""`trajectory` is true on the bundled model: what is declared changed changes the images, what is kept does not."""

from functools import cache
from pathlib import Path
from typing import Any

import pytest

from harness.axes import get_axis, list_value_names, read_entry, resolve_setting
from harness.core.matrix import Model
from harness.measure.machine import describe_machine
from harness.models import resolve_model
from tests.builders.cell_on_model import BUNDLED, distance, plan_cell, run_cell

PLAIN = {"steps": "10", "guidance": "3", "resolution": "64x64"}
KEPT, CHANGED = 1e-5, 1e-3
"""‖with − without‖ / ‖without‖. Deterministic solvers of one ODE meet as the steps grow: at 10 they are 0.01 apart."""


@cache
def images(**settings: str) -> Any:
    return run_cell(plan_cell(BUNDLED, settings, plain=PLAIN), Path("/nonexistent")).first


@pytest.mark.parametrize(
    ("axis", "entry"),
    [("steps", "4"), ("guidance", "1"), ("scheduler", "dpmpp-2m"), ("scheduler", "unipc"),
     ("scheduler", "euler-ancestral"), ("scheduler", "ddpm"), ("scheduler", "lcm"), ("scheduler", "tcd"),
     ("scheduler", "ddim+eta=0.5"), ("distillation", "lcm-lora"), ("resolution", "progressive+stages=32-64"),
     ("batch", "2"), ("batch", "largest+limit=2")],
)  # fmt: skip
def test_a_declared_trajectory_is_the_real_one(axis: str, entry: str) -> None:
    declared = resolve_setting(read_entry(axis, entry)).trajectory
    apart = distance(images(**{axis: entry}), images())
    assert apart > CHANGED if declared == "changed" else apart < KEPT, apart


@pytest.mark.parametrize(
    ("axis", "entry"),
    [("caching", "prompt-embeddings"), ("caching", "text-kv"), ("caching", "latents"), ("caching", "deepcache"),
     ("caching", "latents-nearest+threshold=-1"), ("attention", "math"), ("attention", "flash")],
)  # fmt: skip
def test_caches_and_kernels_declare_what_they_do(axis: str, entry: str, tmp_path: Path) -> None:
    """Of the second call: the first one fills what is remembered between images."""
    apart = distance(run_cell(plan_cell(BUNDLED, {axis: entry}, plain=PLAIN), tmp_path).second, images())
    declared = resolve_setting(read_entry(axis, entry)).trajectory
    assert apart > CHANGED if declared == "changed" else apart < KEPT, apart


def test_no_other_cache_or_kernel_runs_on_a_cpu() -> None:
    """A new one has to stand above: `trajectory` is tested, not believed."""
    tried = {"prompt-embeddings", "text-kv", "latents", "latents-nearest", "deepcache", "math", "flash"}
    machine, tags = describe_machine().model_copy(update={"gpus": ()}), resolve_model(Model()).describe().tags
    for axis in ("caching", "attention"):
        for name in set(list_value_names(axis)) - tried - {get_axis(axis).default}:
            value = resolve_setting(read_entry(axis, name))
            assert value.unavailable(machine) or value.conflicts & tags, name


def test_euler_is_ddim_in_other_coordinates() -> None:
    """Both are first order on the same ODE (Karras et al. 2022); the model ships DDIM, with the same timesteps."""
    assert distance(images(scheduler="euler"), images()) < 1e-3
