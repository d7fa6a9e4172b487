"""8-bit floats in an engine: the graph holds the numbers that torch computed with, and TensorRT-RTX builds it."""

import importlib.util
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from harness.axes import read_entry, resolve_setting
from harness.axes.compiler._engine import EngineRequest, Profile, build_engine, measure_shapes
from harness.axes.compiler._fp8 import Fp8Layer, calibrate, find_scale, pack, pack_fp8
from harness.axes.compiler._onnx import FILE, Session, export_onnx
from harness.axes.compiler._replacement import compute_distance, record, run_eager
from harness.core.axis import Setup, Shape
from harness.core.errors import HarnessError, NoEffect
from tests.contract.test_compiler_export import call, load
from tests.contract.test_compiler_tensorrt import MEBIBYTES_64, machine
from tests.tiny import FAMILIES

needs_rtx = pytest.mark.skipif(
    importlib.util.find_spec("tensorrt_rtx") is None, reason="TensorRT-RTX is not installed: pip install tensorrt_rtx"
)
Tiny = Callable[[str], Path]


@pytest.mark.parametrize("peak", [1e-6, 0.3, 448.0, 449.0, 7e4])
def test_a_scale_is_the_least_power_of_two_that_fits(peak: float) -> None:
    step = find_scale(peak)
    assert torch.frexp(torch.tensor(step)).mantissa == 0.5
    assert peak / step <= 448 < 2 * peak / step
    packed = pack(torch.tensor([peak, -peak, 9 * peak]), torch.tensor(step)).float() * step
    assert torch.allclose(packed[:2], torch.tensor([peak, -peak]), rtol=2**-4)
    assert packed[2] == 448 * step, "out of range is the largest, not NaN"


@pytest.mark.parametrize("family", FAMILIES)
def test_layers_that_see_tokens_or_pixels_are_packed(family: str, tiny: Tiny, tmp_path: Path) -> None:
    model = load(tiny(family))
    recording = record(model, call())
    plain, before = run_eager(model, recording), model.weights_bytes()
    figures = pack_fp8(model, Setup(call(), 1, tmp_path), prompts=8)
    packed = {name: part for name, part in model.denoiser.named_modules() if isinstance(part, Fp8Layer)}
    assert len(packed) == figures["linear_fp8"] + figures.get("conv2d_fp8", 0) > 10
    assert ("conv2d_fp8" in figures) == (family in ("sd", "sdxl", "sana"))
    assert not any("time_emb" in name or "norm1.linear" in name for name in packed), "one row an image"
    assert figures["bytes_before"] == 4 * figures["bytes_fp8"]
    assert sum(before.values()) - sum(model.weights_bytes().values()) > 2.9 * figures["bytes_fp8"]
    assert figures["calibration_prompts"] == 1
    assert 1e-3 < compute_distance(run_eager(model, recording), plain) < 0.15


def test_ranges_are_those_of_every_step_and_prompt(tiny: Tiny) -> None:
    model = load(tiny("flux"))
    layers = {"x_embedder": model.denoiser.x_embedder}
    one, two = call(), call().model_copy(update={"prompts": ("a large blue ring",), "keys": (("q", 1),)})
    peaks = [float(calibrate(model, layers, calls)["x_embedder"].peak) for calls in ([one], [two], [one, two])]
    assert peaks[0] != peaks[1]
    assert peaks[2] == max(peaks)
    assert not layers["x_embedder"]._forward_pre_hooks


def test_a_denoiser_without_fitting_layers_says_so(tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = load(tiny("flux"))
    monkeypatch.setattr(model, "generate", lambda _: None)
    with pytest.raises(NoEffect, match="no layer of the denoiser fits"):
        pack_fp8(model, Setup(call(), 1, tmp_path), prompts=1)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[torch.nn.Module, torch.Tensor, Path]:
    """A convolution and a matrix in 8 bits, an input of which some lies out of range, and their graph."""
    torch.manual_seed(0)
    convolution, matrix = torch.nn.Conv2d(16, 32, 3, stride=2, padding=1), torch.nn.Linear(16, 32)
    layers = torch.nn.Sequential(Fp8Layer(convolution, 2.0), torch.nn.Flatten(2), Fp8Layer(matrix, 3.0)).eval()
    given, path = 2 * torch.randn(2, 16, 8, 8), tmp_path_factory.mktemp("fp8") / FILE
    with torch.no_grad():
        traced = torch.export.export(layers, (given,))
        names = {"input_names": ["x"], "output_names": ["output"]}
        torch.onnx.export(traced, opset_version=20, optimize=False, verbose=False, **names).save(path)
    return layers, given, path


def test_the_graph_rounds_as_torch_does(small: tuple[torch.nn.Module, torch.Tensor, Path]) -> None:
    layers, given, path = small
    with torch.no_grad():
        assert compute_distance(Session(path, "cpu").run({"x": given}), layers(given)) < 1e-5


@needs_rtx
def test_engine_multiplies_in_8_bits_where_supported(
    small: tuple[torch.nn.Module, torch.Tensor, Path], cache: Path
) -> None:
    order = EngineRequest("tensorrt_rtx", small[2], Profile({}, 1, 1), MEBIBYTES_64, "sm_89")
    assert build_engine(order, cache).facts["precisions"]["layers_fp8"] == 4
    with pytest.raises(HarnessError, match="HW-specific datatypes: fp8_e4m3"):
        build_engine(order._replace(target="sm_86"), cache)


@needs_rtx
def test_a_whole_denoiser_becomes_an_fp8_engine(tiny: Tiny, cache: Path) -> None:
    model = load(tiny("pixart"))
    served = measure_shapes(model, call(), {Shape(32, 32, 2.0, 2)})
    recording = served.recording
    figures = pack_fp8(model, Setup(call(), 1, cache), prompts=1)
    graph = export_onnx(model.denoiser, recording, cache)
    computed = Session(graph.folder / FILE, "cpu").run(recording.inputs.tensors)
    assert compute_distance(computed, run_eager(model, recording)) < 1e-3
    profile = Profile.from_shapes(served, dynamic=True)
    built = build_engine(EngineRequest("tensorrt_rtx", graph.folder / FILE, profile, MEBIBYTES_64, "sm_89"), cache)
    assert built.facts["precisions"]["layers_fp8"] == 2 * figures["linear_fp8"], "each weight and each input"


@pytest.mark.parametrize(
    ("name", "capability", "reason"),
    [
        ("tensorrt+fp8", (8, 6), "fp8 engines need compute capability 8.9; a card has 8.6"),
        ("tensorrt-rtx+fp8", (7, 5), "fp8 engines need compute capability 8.9; a card has 7.5"),
        ("tensorrt-rtx+fp8", (8, 9), None),
        ("tensorrt+fp8", (9, 0), None),
        ("tensorrt", (8, 6), None),
    ],
)
def test_the_plan_says_which_cards_have_8_bit_floats(
    name: str, capability: tuple[int, int], reason: str | None
) -> None:
    found = resolve_setting(read_entry("compiler", name)).unavailable(machine(capability))
    assert (found.reason if found else None) == reason
