"""One contract for every axis value on every family: a new file in harness/axes is tested without writing a test."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.axes import get_axis, list_value_names, load_axes, read_entry, resolve_setting
from harness.core.axis import AxisValue, Setting
from harness.core.catalog import resolve
from harness.core.errors import NoEffect
from harness.measure.machine import describe_machine
from harness.models import shapes
from tests.builders.cell_on_model import BUNDLED, FLOAT, Made, Planned, distance, plan_cell, run_cell
from tests.tiny import EXPORTED, FAMILIES

OPEN = {"steps": "3", "guidance": "3", "resolution": "64x64", "batch": "2"}
"""A value of each axis that takes numbers."""

NAMED = [(axis.name, name) for axis in load_axes() for name in list_value_names(axis.name)]
SPELLINGS = [
    (axis, spelling)
    for axis, name in [*NAMED, *OPEN.items()]
    for spelling in (name, *resolve_setting(read_entry(axis, name)).examples)
]
"""Every value, plain and with the options its `examples` name."""


def default_of(axis: str) -> str | None:
    return get_axis(axis).default


def test_numeric_axes_have_an_example_here() -> None:
    assert {axis.name for axis in load_axes() if axis.open_value} == set(OPEN)


def test_axes_have_their_own_place_in_ids() -> None:
    assert len({axis.order for axis in load_axes()}) == len(load_axes())


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


@pytest.mark.parametrize("axis", [axis.name for axis in load_axes()])
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


def takes_long(axis: str, name: str, family: str) -> bool:
    """Whether only `make test-all` runs a value on a family: it compiles or exports a whole denoiser."""
    if axis != "compiler" or name == default_of(axis):
        return False
    return resolve_setting(read_entry(axis, name)).lazy or family not in EXPORTED


NAMED_ON_FAMILIES = [
    pytest.param(
        axis, name, family,
        marks=[pytest.mark.slow] if takes_long(axis, name, family) else [],
        id=f"{axis}-{name}-{family}",
    )
    for axis, name in (*NAMED, *OPEN.items()) for family in MODELS
]  # fmt: skip
"""Every value on every family."""

COMPILED_BLOCK = "inductor+regional+fullgraph"
EXAMPLES = [
    pytest.param(
        axis, name,
        marks=[pytest.mark.slow] if resolve_setting(read_entry(axis, name)).lazy and name != COMPILED_BLOCK else [],
    )
    for axis, name in SPELLINGS if (axis, name) not in (*NAMED, *OPEN.items())
]  # fmt: skip
"""Every value with each set of options that its `examples` name."""


@pytest.mark.parametrize(("axis", "name", "family"), NAMED_ON_FAMILIES)
def test_value_runs_or_is_refused_on_each_family(
    axis: str, name: str, family: str, tiny: Callable[[str], Path], plain: Any, cache: Path
) -> None:
    planned = plan_on(family, axis, name, tiny)
    if planned.reason is None:
        check_cell(planned, axis, name, plain(family), cache)


@pytest.mark.parametrize(("axis", "name"), EXAMPLES)
def test_options_run_on_the_first_family_that_fits(
    axis: str, name: str, tiny: Callable[[str], Path], plain: Any, cache: Path
) -> None:
    for family in MODELS:
        planned = plan_on(family, axis, name, tiny)
        if planned.reason is None:
            check_cell(planned, axis, name, plain(family), cache)
            return


@pytest.mark.slow
@pytest.mark.parametrize("family", MODELS)
def test_repeated_blocks_compile_on_each_family(
    family: str, tiny: Callable[[str], Path], plain: Any, cache: Path
) -> None:
    planned = plan_on(family, "compiler", COMPILED_BLOCK, tiny)
    if planned.reason is None:
        check_cell(planned, "compiler", COMPILED_BLOCK, plain(family), cache)


def plan_on(family: str, axis: str, name: str, tiny: Callable[[str], Path]) -> Planned:
    """Return the cell of a family with one value, and check that a refusal names what does not fit."""
    planned = plan_cell(BUNDLED if family == "bundled" else tiny(family), {axis: name})
    if planned.reason is not None:
        setting = read_entry(axis, name)
        names = [setting.name, *resolve_setting(setting).defaults.values()]  # a default of the value may not fit
        assert any(name in planned.reason for name in names)
    return planned


def check_cell(planned: Planned, axis: str, name: str, plain: Made, cache: Path) -> None:
    """Right shape, finite, the same twice, as near the plain cell as it claims, with a visible effect."""
    setting = read_entry(axis, name)
    value = resolve_setting(setting)
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
        assert distance(made.second, plain.first) <= max(value.tolerance, FLOAT)
    if setting.name not in (default_of(axis), "auto", "default"):
        assert_it_shows(made, value, axis, plain)


def assert_it_shows(made: Made, value: AxisValue, axis: str, plain: Made) -> None:
    """The value reports what it did, and images differ where it changes the way to them."""
    summary = {applied.axis: applied.summary for applied in made.applied}.get(axis, "")
    assert summary or value.affects == "call", "a value that changes the pipeline reports what it did"
    if value.trajectory == "changed":
        apart = distance(made.second, plain.first) if made.second.shape == plain.first.shape else 1.0
        # DDIM and Euler solve the same equation: their images differ by rounding alone.
        assert apart < FLOAT if "the model's default" in summary else apart > 0


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
        places = [(word, family) for word in (name, *value.examples) for family in ("bundled", *FAMILIES)]
        assert any(plan_on(family, axis, word, tiny).reason is None for word, family in places)


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
