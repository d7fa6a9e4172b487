"""What cannot run on this computer is planned as on one where it can, and run as far as it needs no card."""

import shutil
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
from harness.core.machine import Gpu, Machine
from harness.core.matrix import Model
from harness.core.model import ModelInfo
from harness.measure.machine import PACKAGES, describe_machine
from harness.models import resolve_model
from harness.planning.availability import find_cautions, find_skip_reason
from harness.planning.resolve import resolve_cell
from tests.builders.cell_on_model import PLAIN, PROMPTS, distance, plan_cell, run_cell
from tests.tiny import FAMILIES

Tiny = Callable[[str], Path]
AXES = tuple(axis.name for axis in load_axes())
FREE = {
    "steps": ["1", "3", "60"],
    "guidance": ["1", "3"],
    "resolution": ["32x32", "36x36", "8192x8192"],
    "batch": ["64"],
}
FETCHED = {"dmd2", "hyper-sd", "sdxl-lightning", "turbo", "lora", "unet"}
"""They need files that no test has."""


HERE = describe_machine()


def with_card(name: str, capability: tuple[int, int], gib: int) -> Machine:
    """Return this computer with a card, every package and the CUDA toolkit."""
    card = Gpu(name=name, capability=capability, memory_bytes=gib * 2**30, driver="1", cuda="13.0", power_limit_w=1.0)
    return HERE.model_copy(update={"gpus": (card,), "packages": dict.fromkeys(PACKAGES, "1")})


H200, RTX = with_card("NVIDIA H200", (9, 0), 141), with_card("NVIDIA GeForce RTX 4090", (8, 9), 24)


@cache
def spellings(axis: str) -> tuple[str, ...]:
    named = (
        word for name in list_value_names(axis) for word in (name, *resolve_setting(read_entry(axis, name)).examples)
    )
    return (*FREE.get(axis, ()), *named)


@pytest.fixture(autouse=True)
def toolkit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compilers that values look for are found."""
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")


@pytest.fixture(scope="module")
def models(tiny: Tiny) -> dict[str, ModelInfo]:
    sources = {name: Model(source="folder", options={"path": str(tiny(name))}) for name in FAMILIES}
    return {name: resolve_model(source).describe() for name, source in {**sources, "bundled": Model()}.items()}


def decide(chosen: dict[str, str], model: ModelInfo, machine: Machine) -> str | None:
    """Plan a cell as `make_plan` does; return why it cannot run, or None with its warnings looked at."""
    wish = {axis: read_entry(axis, entry) for axis, entry in {**PLAIN, **chosen}.items()}
    cell = resolve_cell(wish, model, machine)
    reason = find_skip_reason(cell, model, machine)
    if reason is None:
        assert all(caution.kind and caution.message for caution in find_cautions(cell, model, machine))
    return reason


@pytest.mark.parametrize("axis", AXES)
def test_values_run_on_a_large_gpu_or_say_why_not(axis: str, models: dict[str, ModelInfo]) -> None:
    for word in spellings(axis):
        setting = read_entry(axis, word)
        brought = resolve_setting(setting).defaults.values()
        reasons = {name: decide({axis: word}, model, H200) for name, model in models.items()}
        for reason in filter(None, reasons.values()):
            assert any(name in reason for name in (setting.name, *brought)), reason


@pytest.mark.parametrize("axis", AXES)
def test_every_value_is_ready_on_some_machine(axis: str, models: dict[str, ModelInfo]) -> None:
    for name in set(list_value_names(axis)) - FETCHED:
        words = (name, *resolve_setting(read_entry(axis, name)).examples)
        tried = product(words, models.values(), (H200, RTX, HERE))
        assert None in (decide({axis: word}, model, machine) for word, model, machine in tried), name


GRAPHED = "inductor+vae+mode=reduce-overhead"


@pytest.mark.parametrize(
    ("chosen", "refused"),
    [
        ({"compiler": GRAPHED}, "moves its VAE"),  # SDXL's fp16 VAE is cast in each call
        ({"compiler": GRAPHED, "precision": "bf16"}, ""),
        ({"compiler": "inductor+mode=reduce-overhead"}, ""),
        ({"compiler": "inductor+vae", "memory": "vae-tiling+tile=16"}, ""),
        ({"compiler": GRAPHED, "precision": "bf16", "memory": "vae-tiling+tile=16"}, "tile"),
        ({"compiler": GRAPHED, "precision": "bf16", "memory": "vae-slicing", "batch": "2"}, "tile"),
        ({"compiler": "inductor+mode=reduce-overhead", "scheduler": "pndm"}, "PNDM"),
        ({"compiler": "inductor+mode=reduce-overhead", "scheduler": "pndm", "guidance": "3"}, ""),
    ],
)  # fmt: skip
def test_cuda_graphs_refuse_what_they_overwrite(
    chosen: dict[str, str], refused: str, models: dict[str, ModelInfo]
) -> None:
    model = models["sdxl"].model_copy(update={"tags": models["sdxl"].tags | {"upcasts-vae"}})
    reason = decide({"guidance": "1", "precision": "fp16", **chosen}, model, H200)
    assert (reason is None) is (not refused), reason
    assert refused in (reason or "")


def test_bf16_names_the_vae_that_fp16_casts(models: dict[str, ModelInfo]) -> None:
    model = models["sdxl"].model_copy(update={"tags": models["sdxl"].tags | {"upcasts-vae"}})
    for info, kinds in ((model, {"vae-format"}), (models["flux"], set())):
        cell = resolve_cell(
            {axis: read_entry(axis, word) for axis, word in {**PLAIN, "precision": "bf16"}.items()}, info, H200
        )
        assert {caution.kind for caution in find_cautions(cell, info, H200)} & {"vae-format"} == kinds


def test_combinations_are_planned_without_a_crash(models: dict[str, ModelInfo]) -> None:
    ready: list[str] = []

    @st.composite
    def combinations(draw: Any) -> dict[str, str]:
        axes = draw(st.lists(st.sampled_from(AXES), min_size=2, max_size=4, unique=True))
        return {axis: draw(st.sampled_from(spellings(axis))) for axis in axes}

    @settings(max_examples=150, deadline=None, derandomize=True, database=None)
    @given(chosen=combinations(), name=st.sampled_from(sorted(models)))
    def check(chosen: dict[str, str], name: str) -> None:
        reason = decide(chosen, models[name], H200)
        assert reason is None or any(axis in reason for axis in AXES)
        ready.extend([] if reason else [name])

    check()
    assert len(ready) > 10


def test_formats_that_need_no_card_run_without_one(tiny: Tiny, tmp_path: Path) -> None:
    """FP16 is refused on a CPU because it is slow, not because it does not work."""
    plain = run_cell(plan_cell(tiny("flux"), {}), tmp_path)
    call = plain.recipe.call(PROMPTS, (0,))
    for entry in ("fp16", "int8-quanto+compute=fp16", "layerwise-fp8+compute=fp16"):
        value = resolve_setting(read_entry("precision", entry))
        assert value.unavailable(HERE) is not None
        assert value.unavailable(H200) is None
        source = resolve_model(Model(source="folder", options={"path": str(tiny("flux"))}))
        model = source.load("cpu", value.load_options())
        assert value.apply(model, Setup(call, 1, tmp_path)) is not None
        images = np.asarray(model.generate(call), dtype=np.float64)
        assert np.isfinite(images).all()
        assert 0 < distance(images, plain.first) <= float(value.tolerance or 0)
