"""Every value and model source says what it adds to a standalone file, or why nothing; no torch."""

import subprocess
import sys

import pytest

from harness.axes import list_value_names, load_axes, resolve_setting
from harness.core.axis import AxisValue, Setting
from harness.core.catalog import list_names, resolve
from harness.core.model import ModelSource
from harness.core.recipe import read_source

VALUES = [(axis.name, name) for axis in load_axes() for name in (*list_value_names(axis.name), axis.open_value) if name]


@pytest.mark.parametrize(("axis", "name"), VALUES)
def test_value_defines_its_recipe(axis: str, name: str) -> None:
    kind = resolve(f"harness.axes.{axis}", name, AxisValue)
    assert kind.recipe is not AxisValue.recipe


@pytest.mark.parametrize("name", list_names("harness.models"))
def test_source_defines_its_recipe(name: str) -> None:
    assert resolve("harness.models", name, ModelSource).recipe is not ModelSource.recipe


def test_source_is_read_without_import() -> None:
    constant, function = read_source("harness.axes.memory._vae", "set_tiles", "QUARTERS")
    assert constant == "QUARTERS = 4" and function.startswith("def set_tiles(")
    with pytest.raises(KeyError):
        read_source("harness.axes.memory._vae", "nothing")


def test_a_default_value_adds_nothing() -> None:
    value = resolve_setting(Setting(axis="caching", name="none"))
    assert not value.recipe(None).build  # type: ignore[arg-type, union-attr]


def test_recipe_command_needs_no_torch() -> None:
    code = "import sys; sys.modules['torch'] = sys.modules['diffusers'] = None; import harness.deploying"
    subprocess.run([sys.executable, "-c", code], check=True)
