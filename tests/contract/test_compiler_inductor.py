"""What inductor can compile whole, and what is said of what it cannot."""

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.axes import read_entry, resolve_setting
from harness.core.axis import Context
from harness.measure.machine import describe_machine
from harness.models.folder import LocalFolder
from tests.contract.cell_on_model import plan_cell


@pytest.mark.parametrize("precision", ["layerwise-fp8", "int8-quanto+activations"])
def test_what_breaks_the_graph_excludes_one_whole_graph(precision: str, tiny: Callable[[str], Path]) -> None:
    """Casting weights around layers: 33 breaks were counted in the blocks of FLUX. Calibrated activations break too."""
    cell = {"precision": precision, "compiler": "inductor+regional+fullgraph"}
    reason = str(plan_cell(tiny("flux"), cell).reason)
    assert "precision" in reason
    assert "compiler" in reason
    assert "fullgraph" in reason
    assert plan_cell(tiny("flux"), {**cell, "compiler": "inductor+regional"}).reason is None


@pytest.mark.parametrize("precision", ["int8-torchao", "int8-quanto", "bf16"])
def test_other_precisions_are_compiled_whole(precision: str, tiny: Callable[[str], Path]) -> None:
    cell = {"precision": precision, "compiler": "inductor+regional+fullgraph"}
    assert plan_cell(tiny("flux"), cell).reason is None


def test_a_graph_with_breaks_is_cautioned_of(tiny: Callable[[str], Path]) -> None:
    info, machine = LocalFolder(path=tiny("flux")).describe(), describe_machine()
    inductor = resolve_setting(read_entry("compiler", "inductor"))
    for precision, kinds in (("layerwise-fp8", ["no-speed-up"]), ("int8-torchao", [])):
        values = {"precision": resolve_setting(read_entry("precision", precision)), "compiler": inductor}
        assert [caution.kind for caution in inductor.cautions(Context(info, machine, values))] == kinds
