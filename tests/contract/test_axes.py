"""One contract for every axis value: a new file in harness/axes is tested without writing a test."""

import numpy as np
import pytest

from harness.axes import all_axes, get_axis, read_entry, resolve_setting, value_names
from harness.core.axis import AxisValue, Setting
from harness.core.catalog import list_names, resolve
from harness.core.model import Call
from harness.execution.build import apply_values, load_model, read_recipe
from harness.execution.task import Task
from harness.matrix import expand, parse_matrix
from harness.measure.machine import describe_machine
from harness.models import resolve_model, shapes
from harness.planning.availability import skip_reason
from harness.planning.settle import settle

NAMED = [(axis.name, name) for axis in all_axes() for name in value_names(axis.name)]
EXAMPLES = {"steps": "3", "guidance": "2", "resolution": "48x48", "batch": "2"}
"""A value of each axis that takes numbers."""

VALUES = NAMED + [(axis, EXAMPLES[axis]) for axis in list_names("harness.axes", folders=True) if axis in EXAMPLES]


def test_every_axis_that_takes_numbers_has_an_example_here() -> None:
    assert {axis.name for axis in all_axes() if axis.open_value} == set(EXAMPLES)


def test_axes_have_their_own_place_in_ids() -> None:
    assert len({axis.order for axis in all_axes()}) == len(all_axes())


@pytest.mark.parametrize(("axis", "name"), VALUES)
def test_a_value_resolves_and_describes_itself(axis: str, name: str) -> None:
    value = resolve_setting(read_entry(axis, name))
    assert value.summary
    assert value.affects in ("build", "call")
    assert value.trajectory in ("kept", "changed")
    assert value.label(name)
    missing = value.unavailable(describe_machine())
    assert missing is None or missing.reason
    for other, brought in value.defaults.items():
        assert read_entry(other, brought)


@pytest.mark.parametrize("axis", [axis.name for axis in all_axes()])
def test_an_axis_has_a_default_that_resolves(axis: str) -> None:
    found = get_axis(axis)
    assert found.summary
    if found.default is not None:
        assert isinstance(resolve_setting(Setting(axis=axis, name=found.default)), AxisValue)
    if found.open_value is not None:
        with pytest.raises(ValueError, match=r"."):
            resolve(f"harness.axes.{axis}", found.open_value, AxisValue).parse("nonsense")


@pytest.mark.skipif(not shapes.PIPELINE.exists(), reason="the bundled weights are not there")
@pytest.mark.parametrize(("axis", "name"), VALUES)
def test_a_value_runs_on_the_bundled_model_or_says_why_not(axis: str, name: str) -> None:
    """Right shape, finite, the same twice; or a reason in the plan, before any time is spent."""
    text = f'name = "c"\n[axes]\n{axis} = ["{name}"]\n[model]\nsource = "bundled"\n'
    matrix = parse_matrix(text)
    machine, model = describe_machine(), resolve_model(matrix.model).describe()
    cell = settle(expand(matrix)[0], model, machine)
    reason = skip_reason(cell, model, machine)
    if reason is not None:
        assert name in reason
        return
    recipe = read_recipe(cell)
    task = Task.model_construct(model=matrix.model, device=machine.device)
    built = load_model(task, recipe)
    apply_values(built, recipe)
    width, height = int(recipe.call_options["width"]), int(recipe.call_options["height"])
    steps = min(3, int(recipe.call_options["steps"]))
    call = Call(
        prompts=("a small red circle on a white background",),
        keys=(("p", 0),),
        steps=steps,
        guidance=recipe.call_options["guidance"],
        width=width,
        height=height,
    )
    first, second = np.asarray(built.generate(call)), np.asarray(built.generate(call))
    assert first.shape == (1, height, width, 3)
    assert np.isfinite(first).all()
    assert np.array_equal(first, second)
