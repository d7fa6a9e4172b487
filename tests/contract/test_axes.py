"""One contract for every axis value on every family: a new file in harness/axes is tested without writing a test."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.axes import all_axes, get_axis, read_entry, resolve_setting, value_names
from harness.core.axis import AxisValue, Setting
from harness.core.catalog import resolve
from harness.core.errors import NoEffect
from harness.measure.machine import describe_machine
from harness.models import shapes
from tests.builders.cell_on_model import BUNDLED, FLOAT, Made, distance, plan_cell, run_cell
from tests.builders.tiny import FAMILIES

OPEN = {"steps": "3", "guidance": "3", "resolution": "64x64", "batch": "2"}
"""A value of each axis that takes numbers."""

NAMED = [(axis.name, name) for axis in all_axes() for name in value_names(axis.name)]
SPELLINGS = [
    (axis, spelling)
    for axis, name in [*NAMED, *OPEN.items()]
    for spelling in (name, *resolve_setting(read_entry(axis, name)).examples)
]
"""Every value, plain and with the options its `examples` name."""


def default_of(axis: str) -> str | None:
    return get_axis(axis).default


def test_every_axis_that_takes_numbers_has_an_example_here() -> None:
    assert {axis.name for axis in all_axes() if axis.open_value} == set(OPEN)


def test_axes_have_their_own_place_in_ids() -> None:
    assert len({axis.order for axis in all_axes()}) == len(all_axes())


@pytest.mark.parametrize(("axis", "name"), SPELLINGS)
def test_a_value_resolves_and_describes_itself(axis: str, name: str) -> None:
    setting = read_entry(axis, name)
    value = resolve_setting(setting)
    assert value.summary
    assert value.affects in ("build", "call")
    assert value.trajectory in ("kept", "changed")
    assert value.label(setting.name)
    missing = value.unavailable(describe_machine())
    assert missing is None or missing.reason
    for other, brought in value.defaults.items():
        assert read_entry(other, brought)
    if value.trajectory == "kept" and value.affects == "build" and setting.name != default_of(axis):
        assert value.tolerance is not None, "a value that keeps the trajectory says how far images may move"


@pytest.mark.parametrize("axis", [axis.name for axis in all_axes()])
def test_an_axis_has_a_default_that_resolves(axis: str) -> None:
    found = get_axis(axis)
    assert found.summary
    if found.default is not None:
        assert isinstance(resolve_setting(Setting(axis=axis, name=found.default)), AxisValue)
    if found.open_value is not None:
        with pytest.raises(ValueError, match=r"."):
            resolve(f"harness.axes.{axis}", found.open_value, AxisValue).parse("nonsense")


@pytest.fixture(scope="session")
def plain(tiny: Callable[[str], Path], cache: Path) -> Callable[[str], Made]:
    """Return a function from a family to its plain cell: every axis at its default."""
    made: dict[str, Made] = {}

    def run(family: str) -> Made:
        if family not in made:
            made[family] = run_cell(plan_cell(BUNDLED if family == "bundled" else tiny(family), {}), cache)
        return made[family]

    return run


MODELS = (*FAMILIES, "bundled") if shapes.PIPELINE.exists() else FAMILIES


def takes_minutes(axis: str, name: str, family: str) -> bool:
    """Whether `pytest -m slow` runs it: one block is compiled on every family, all of a denoiser on FLUX alone."""
    value = resolve_setting(read_entry(axis, name))
    if not value.lazy:
        return False
    if getattr(value, "regional", False):
        return family == "bundled"
    return family != "flux" or getattr(value, "vae", False)


COMBINATIONS = [
    pytest.param(
        axis, name, family,
        marks=[pytest.mark.slow] if takes_minutes(axis, name, family) else [],
        id=f"{axis}-{name}-{family}",
    )
    for axis, name in SPELLINGS for family in MODELS
]  # fmt: skip


@pytest.mark.parametrize(("axis", "name", "family"), COMBINATIONS)
def test_a_value_runs_on_a_family_or_says_why_not(
    axis: str, name: str, family: str, tiny: Callable[[str], Path], plain: Any, cache: Path
) -> None:
    """Right shape, finite, the same twice, as near the plain cell as it claims, with a visible effect."""
    planned = plan_cell(BUNDLED if family == "bundled" else tiny(family), {axis: name})
    setting = read_entry(axis, name)
    value = resolve_setting(setting)
    if planned.reason is not None:
        names = [setting.name, *value.defaults.values()]  # what it brings may be what does not fit
        assert any(name in planned.reason for name in names)
        return
    try:
        made = run_cell(planned, cache)
    except NoEffect:
        assert value.may_idle, "a value that the plan calls ready has an effect, or says why it may have none"
        assert name not in value.examples
        return
    call = made.recipe.call()
    assert made.first.shape == (2, call.height, call.width, 3)
    assert np.isfinite(made.first).all()
    assert distance(made.second, made.first) <= value.repeatability
    if value.tolerance is not None:
        assert distance(made.second, plain(family).first) <= max(value.tolerance, FLOAT)
    if setting.name not in (default_of(axis), "auto", "default"):
        assert_it_shows(made, value, axis, plain(family))


def assert_it_shows(made: Made, value: AxisValue, axis: str, plain: Made) -> None:
    """The value reports what it did, and images differ where it changes the way to them."""
    summary = {applied.axis: applied.summary for applied in made.applied}.get(axis, "")
    assert summary or value.affects == "call", "a value that changes the pipeline reports what it did"
    if value.trajectory == "changed":
        apart = distance(made.second, plain.first) if made.second.shape == plain.first.shape else 1.0
        # DDIM and Euler solve the same equation: their images differ by rounding alone.
        assert apart < FLOAT if "as the model ships it" in summary else apart > 0


IDLE = [(axis, name) for axis, name in NAMED if resolve_setting(read_entry(axis, name)).may_idle]


@pytest.mark.parametrize(("axis", "name"), IDLE)
def test_an_idle_value_is_excused_where_it_must_be(
    axis: str, name: str, tiny: Callable[[str], Path], cache: Path
) -> None:
    """It idles on some model that the plan calls it ready for, and on each of those one of its examples does not."""
    idle = [family for family in FAMILIES if not has_effect(tiny(family), axis, name, cache)]
    assert idle, "it has an effect wherever it is ready: it needs no excuse"
    examples = resolve_setting(read_entry(axis, name)).examples
    for family in idle:
        assert any(has_effect(tiny(family), axis, example, cache) for example in examples)


def has_effect(folder: Path, axis: str, name: str, cache: Path) -> bool:
    """Whether a value does something on a model; one that is refused there is not asked."""
    planned = plan_cell(folder, {axis: name})
    if planned.reason is not None:
        return True
    try:
        run_cell(planned, cache)
    except NoEffect:
        return False
    return True


@pytest.mark.parametrize(("axis", "name"), [*NAMED, *OPEN.items()])
def test_a_value_that_is_available_runs_on_some_model(axis: str, name: str, tiny: Callable[[str], Path]) -> None:
    value = resolve_setting(read_entry(axis, name))
    if value.unavailable(describe_machine()) is None and not value.wants(None):  # what the Hub has is not here
        folders = [BUNDLED, *(tiny(family) for family in FAMILIES)]
        spellings = (name, *value.examples)
        reasons = [plan_cell(folder, {axis: word}).reason for word in spellings for folder in folders]
        assert None in reasons, reasons


@pytest.mark.parametrize("family", FAMILIES)
def test_an_image_depends_on_its_prompt(family: str, tiny: Callable[[str], Path], plain: Any) -> None:
    """Else caches of prompts could return anything."""
    made = plain(family)
    call = made.recipe.call(plan_prompts("a small red circle"), (0,))
    other = made.recipe.call(plan_prompts("nothing of the kind"), (0,))
    assert distance(made.model.generate(call), made.model.generate(other)) > 1e-3


def plan_prompts(text: str) -> tuple[Any, ...]:
    from harness.core.plan import Prompt

    return (Prompt(id="p", text=text),)
