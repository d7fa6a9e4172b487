"""The memory axis: pieces that a VAE decodes are counted, and weights that move are seen to move."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from harness.axes import list_value_names, read_entry, resolve_setting
from harness.axes.memory._offload import MovedWeights, Offload
from harness.axes.memory.group_offload import GroupOffload
from harness.axes.memory.model_offload import ModelOffload
from harness.axes.memory.sequential_offload import list_layer_fetches
from harness.core.axis import Setup
from harness.core.errors import NoEffect
from harness.core.machine import Gpu
from harness.core.model import Call
from harness.core.units import Absent
from harness.measure.machine import describe_machine
from harness.models.folder import LocalFolder
from tests.builders.cell_on_model import FLOAT, distance, plan_cell, run_cell
from tests.tiny import FAMILIES

TWO = Call(prompts=("a red circle", "a blue ring"), keys=(("p", 0), ("q", 0)), steps=2, guidance=2, width=32, height=32)
GPU = Gpu(
    name="NVIDIA H200", capability=(9, 0), memory_bytes=141 * 2**30, driver="570", cuda="12.8",
    power_limit_w=Absent(absent="not asked"),
)  # fmt: skip
OFFLOADS = tuple(name for name in list_value_names("memory") if name.endswith("offload"))


def figures(made: Any) -> dict[str, Any]:
    return next(dict(did.figures) for did in made.applied if did.axis == "memory")


@pytest.mark.parametrize("family", ["sdxl", "sana"])
def test_tiles_are_as_many_as_the_size_says(family: str, tiny: Callable[[str], Path], cache: Path) -> None:
    """Tiles of 16 pixels that begin every 12: three in 32 pixels, six in 64; both images at once."""
    made = run_cell(plan_cell(tiny(family), {"memory": "vae-tiling+tile=16", "resolution": "64x32"}), cache)
    assert figures(made) == {"tiles": 18}


def test_only_the_decoding_differs_in_tiles(tiny: Callable[[str], Path], cache: Path) -> None:
    """The VAE is given the plain cell's latent."""
    seen: list[torch.Tensor] = []

    def watched(decode: Callable[..., Any]) -> Callable[..., Any]:
        def look(latent: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
            seen.append(latent.clone())
            return decode(latent, *args, **kwargs)

        return look

    for memory in ("none", "vae-tiling+tile=16", "vae-slicing"):
        made = run_cell(plan_cell(tiny("sd"), {"memory": memory}), cache)
        made.model.vae.decode = watched(made.model.vae.decode)
        made.model.generate(TWO)
    assert distance(seen[1], seen[0]) < FLOAT
    assert distance(seen[2], seen[0]) < FLOAT


def test_slices_are_as_many_as_the_images(tiny: Callable[[str], Path], cache: Path) -> None:
    made = run_cell(plan_cell(tiny("flux"), {"memory": "vae-slicing"}), cache)
    assert figures(made) == {"slices": 2}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"memory": "vae-tiling"}, "32x32 is one tile of 32x32: set a smaller one, such as tile=16"),
        ({"memory": "vae-tiling+tile=24"}, "multiples of 16 pixels"),
        ({"memory": "vae-tiling+tile=64", "resolution": "64x64"}, "64x64 is one tile of 64x64"),
        ({"memory": "vae-slicing", "batch": "1"}, "use batch 2 or more"),
        ({"memory": "model-offload"}, "this machine has no GPU"),
    ],
)
def test_memory_values_without_effect_are_refused(
    settings: dict[str, str], words: str, tiny: Callable[[str], Path]
) -> None:
    reason = str(plan_cell(tiny("sdxl"), settings).reason)
    assert words in reason
    assert reason.startswith(f"memory {settings['memory']}:")


def test_impossible_size_is_refused_by_its_own_axis(tiny: Callable[[str], Path]) -> None:
    settings = {"memory": "vae-tiling+tile=16", "resolution": "progressive+stages=32"}
    assert str(plan_cell(tiny("sdxl"), settings).reason).startswith("resolution progressive")


@pytest.mark.parametrize("memory", OFFLOADS)
@pytest.mark.parametrize(
    ("other", "ready"),
    [
        ({}, True),
        ({"batch": "largest"}, True),
        ({"precision": "int8-quanto"}, False),
        ({"compiler": "inductor"}, False),
        ({"resolution": "progressive+stages=32-64"}, False),
    ],
)
def test_offloads_on_a_gpu_exclude_fixed_weights(
    memory: str, other: dict[str, str], ready: bool, tiny: Callable[[str], Path]
) -> None:
    machine = describe_machine().model_copy(update={"gpus": (GPU,)})
    for family in FAMILIES:
        reason = plan_cell(tiny(family), {"memory": memory, **other}, machine=machine).reason
        assert (reason is None) == ready or "no-image-to-image" in str(reason), reason


def test_weight_reading_cache_excludes_layer_offload(tiny: Callable[[str], Path]) -> None:
    machine = describe_machine().model_copy(update={"gpus": (GPU,)})
    settings = {"memory": "sequential-offload", "caching": "prompt-embeddings"}
    assert "reads-weights" in str(plan_cell(tiny("sd"), settings, machine=machine).reason)
    assert plan_cell(tiny("sd"), {**settings, "memory": "model-offload"}, machine=machine).reason is None


@pytest.mark.parametrize("memory", OFFLOADS)
def test_offload_declares_its_resident_weights(memory: str) -> None:
    value = resolve_setting(read_entry("memory", memory))
    assert value.resident in ("part", "block", "layer")
    assert value.load_options() == {"place": "cpu"}
    assert resolve_setting(read_entry("memory", "none")).resident == "all"


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("value", [ModelOffload(), GroupOffload(), GroupOffload(level="leaf")], ids=str)
def test_an_offload_that_moves_nothing_fails(
    value: Offload, family: str, tiny: Callable[[str], Path], cache: Path
) -> None:
    """On a CPU the hooks of both run, change no image, and have nowhere to move weights: which is told, not hidden."""
    plain = LocalFolder(path=tiny(family)).load("cpu", {})
    model = LocalFolder(path=tiny(family)).load("cpu", dict(value.load_options()))
    effect = value.apply(model, Setup(TWO, 2, cache))
    assert effect is not None
    effect.start(model)
    assert distance(np.asarray(model.generate(TWO)), np.asarray(plain.generate(TWO))) < FLOAT
    with pytest.raises(NoEffect, match="no weights were moved"):
        effect.report(model, 1)


@pytest.mark.parametrize("family", FAMILIES)
def test_fetched_layers_are_counted_with_their_bytes(family: str, tiny: Callable[[str], Path]) -> None:
    """accelerate's hooks of sequential offloading, which bring weights from nowhere (meta) to the CPU too."""
    from accelerate import cpu_offload

    model, plain = (LocalFolder(path=tiny(family)).load("cpu", {}) for _ in range(2))
    held = plain.weights_bytes()
    networks = [part for part in model.pipeline.components.values() if isinstance(part, torch.nn.Module)]
    for part in networks:
        cpu_offload(part, torch.device("cpu"), offload_buffers=len(part._parameters) > 0)
    moves = MovedWeights("memory", [fetch for part in networks for fetch in list_layer_fetches(part)], "meta")
    moves.start(model)
    assert distance(np.asarray(model.generate(TWO)), np.asarray(plain.generate(TWO))) < FLOAT
    shown = moves.report(model, 1)
    assert float(shown.figures["moves"]) > 100
    assert float(shown.figures["moved_bytes"]) > 2 * held.get("unet", held.get("transformer", 0))
    assert all(weight.is_meta for weight in model.denoiser.parameters())


def test_weights_are_loaded_where_they_wait(tiny: Callable[[str], Path]) -> None:
    """Without a GPU torch's `meta` stands for the place: on a GPU a model that does not fit is never put there."""
    model = LocalFolder(path=tiny("sd")).load("cpu", {"place": "meta"})
    assert {weight.device.type for weight in model.denoiser.parameters()} == {"meta"}
    assert model.device == "cpu"
