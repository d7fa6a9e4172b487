"""What inductor can compile whole, and what is said of what it cannot."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar, cast

import pytest
import torch

from harness.axes import read_entry, resolve_setting
from harness.axes.compiler.inductor import Inductor
from harness.core.axis import Context, Setup
from harness.core.errors import NoEffect
from harness.core.model import Call, TextToImage
from harness.measure.machine import describe_machine
from harness.models.folder import LocalFolder
from tests.builders.cell_on_model import plan_cell


@pytest.mark.parametrize("precision", ["layerwise-fp8", "int8-quanto+activations"])
def test_graph_breaks_exclude_fullgraph(precision: str, tiny: Callable[[str], Path]) -> None:
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


def test_cuda_graphs_exclude_regional_compilation(tiny: Callable[[str], Path]) -> None:
    """pytorch#152887 and #160281: what a block returns is overwritten while the next one reads it."""
    reason = str(plan_cell(tiny("flux"), {"compiler": "inductor+regional+mode=reduce-overhead"}).reason)
    assert "regional" in reason
    assert "reduce-overhead" in reason
    for allowed in ("inductor+regional+mode=max-autotune", "inductor+mode=reduce-overhead"):
        assert plan_cell(tiny("flux"), {"compiler": allowed}).reason is None


class Layered(torch.nn.Module):
    """A denoiser as far as inductor knows: it keeps what it was told."""

    _repeated_blocks: ClassVar = ["Linear"]

    def compile_repeated_blocks(self, **options: object) -> None:
        self.told = options


def test_blocks_are_tuned_without_cuda_graphs(tmp_path: Path) -> None:
    model = SimpleNamespace(denoiser=Layered(), device="cpu")
    effect = Inductor(regional=True, mode="max-autotune").apply(cast(TextToImage, model), setup(tmp_path))
    assert model.denoiser.told["mode"] == "max-autotune-no-cudagraphs"
    torch.compile(lambda x: x + 1, backend="eager")(torch.ones(2))
    assert "mode=max-autotune-no-cudagraphs" in effect.report(cast(TextToImage, model), 1).summary


def test_second_shape_compiles_for_all_shapes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As torch and the published runs: no dynamic shapes are timed; what is compiled late is told."""
    compile_ = torch.compile
    monkeypatch.setattr(
        torch, "compile", lambda module, dynamic, **_: compile_(module, dynamic=dynamic, backend="eager")
    )
    model = SimpleNamespace(denoiser=torch.nn.Linear(4, 4), device="cpu")
    effect = Inductor(cache=False).apply(cast(TextToImage, model), setup(tmp_path))

    def graphs_for(*batches: int) -> tuple[float | int | str, float | int | str, str]:
        effect.start(cast(TextToImage, model))
        for batch in batches:
            model.denoiser(torch.ones(batch, 4))
        shown = effect.report(cast(TextToImage, model), 1)
        return shown.figures["graphs"], shown.figures["graphs_while_timed"], shown.summary

    assert graphs_for(2)[:2] == (1, 1)
    assert graphs_for(2, 2)[:2] == (1, 0)
    graphs, late, summary = graphs_for(3, 5, 7)
    assert (graphs, late) == (2, 1)
    assert "measure.warmup" in summary


@pytest.mark.parametrize(("spelling", "told"), [("", False), ("+dynamic", True), ("+dynamic=false", False)])
def test_blocks_compile_for_their_own_shapes(spelling: str, told: bool | None, tmp_path: Path) -> None:
    model = SimpleNamespace(denoiser=Layered(), device="cpu")
    value = resolve_setting(read_entry("compiler", f"inductor+regional{spelling}"))
    value.apply(cast(TextToImage, model), setup(tmp_path))
    assert model.denoiser.told["dynamic"] is told


class PlayedGraphs:
    """Inductor's manager of CUDA graphs, with as many recorded as told."""

    def __init__(self, count: int) -> None:
        self.count = count

    def get_roots(self) -> list[int]:
        return list(range(self.count))


@pytest.mark.parametrize("manager", [None, PlayedGraphs(0)])
def test_cuda_graph_mode_without_graphs_has_no_effect(
    manager: PlayedGraphs | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch._inductor.cudagraph_trees as trees
    from torch._dynamo.utils import counters

    model = SimpleNamespace(denoiser=torch.nn.Linear(4, 4), device="cuda")
    effect = Inductor(mode="reduce-overhead").apply(cast(TextToImage, model), setup(tmp_path))
    torch.compile(lambda x: x + 1, backend="eager")(torch.ones(2))
    counters["inductor"]["cudagraph_skips"] = 3
    monkeypatch.setattr(trees, "get_manager", lambda create_if_none_exists: manager)
    with pytest.raises(NoEffect, match="3 skipped"):
        effect.report(cast(TextToImage, model), 1)
    monkeypatch.setattr(trees, "get_manager", lambda create_if_none_exists: PlayedGraphs(1))
    assert effect.report(cast(TextToImage, model), 1).figures["cuda_graphs_skipped"] == 3


def setup(cache: Path) -> Setup:
    call = Call.model_construct()
    return Setup(call, 1, cache)
