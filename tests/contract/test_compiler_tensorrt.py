"""TensorRT as far as it goes without a GPU: TensorRT-RTX parses and builds, and batches come in parts."""

import importlib
import importlib.util
import itertools
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from harness.axes import read_entry, resolve_setting
from harness.axes.compiler._engine import EngineRequest, Profile, build_engine, compute_in_parts, measure_shapes
from harness.axes.compiler._onnx import FILE, export_onnx
from harness.axes.compiler._replacement import record
from harness.core.axis import Shape
from harness.core.errors import HarnessError
from harness.core.machine import Gpu, Machine
from harness.core.units import Absent
from harness.measure.machine import describe_machine
from tests.builders.cases import slow_but
from tests.contract.test_compiler_export import call, load
from tests.tiny import EXPORTED, FAMILIES

MEBIBYTES_64 = 64 * 2**20
needs_rtx = pytest.mark.skipif(
    importlib.util.find_spec("tensorrt_rtx") is None, reason="TensorRT-RTX is not installed: pip install tensorrt_rtx"
)


def machine(capability: tuple[int, int] | None) -> Machine:
    packages = {"onnx": "1", "onnxscript": "1", "onnxruntime-gpu": "1", "tensorrt": "11", "tensorrt_rtx": "1"}
    absent = Absent(absent="no meter")
    facts = {"memory_bytes": 2**36, "driver": "1", "cuda": "13.0", "power_limit_w": absent}
    cards = (Gpu(name="a card", capability=capability, **facts),) if capability else ()  # type: ignore[arg-type]
    return describe_machine().model_copy(update={"gpus": cards, "packages": packages})


@pytest.mark.parametrize(
    ("name", "capability", "reason"),
    [
        ("tensorrt", None, "needs an NVIDIA GPU"),
        ("tensorrt-rtx", None, "needs an NVIDIA GPU"),
        ("tensorrt", (9, 0), None),
        ("tensorrt-rtx", (9, 0), "TensorRT-RTX does not support a card (9.0)"),
        ("tensorrt-rtx", (8, 9), None),
        ("openvino", (8, 9), "OpenVINO runs on CPUs; on this machine, cells run on the GPU"),
        ("onnxruntime", (8, 9), None),
    ],
)
def test_the_plan_says_where_engines_run(name: str, capability: tuple[int, int] | None, reason: str | None) -> None:
    found = resolve_setting(read_entry("compiler", name)).unavailable(machine(capability))
    assert (found.reason if found else None) == reason


@needs_rtx
@pytest.mark.parametrize("family", slow_but(EXPORTED, FAMILIES))
def test_the_graph_of_every_family_is_read(family: str, tiny: Callable[[str], Path], cache: Path) -> None:
    """FLUX cuts text from image tokens: as a split, that was a sequence to ONNX, which TensorRT does not read."""
    trt = importlib.import_module("tensorrt_rtx")
    model = load(tiny(family))
    graph = export_onnx(model.denoiser, record(model, call()), cache)
    logger = trt.Logger(trt.Logger.ERROR)
    network = trt.Builder(logger).create_network()
    parser = trt.OnnxParser(network, logger)
    assert parser.parse_from_file(str(graph.folder / FILE)), parser.get_error(0)
    assert network.num_layers >= graph.facts["nodes"] / 2


@needs_rtx
def test_unreadable_graph_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"no graph")
    order = EngineRequest("tensorrt_rtx", tmp_path / FILE, Profile({}, 1, 1), MEBIBYTES_64, "sm_86")
    with pytest.raises(HarnessError, match="cannot read the ONNX graph"):
        build_engine(order, tmp_path)


def test_profile_spans_all_calls_tuned_for_the_largest(tiny: Callable[[str], Path]) -> None:
    wide, many = Shape(64, 32, 2.0, 1), Shape(32, 32, 1.0, 3)
    served = measure_shapes(load(tiny("sd")), call(), {wide, many})
    assert served.sizes == ((2, 8, 16), (6, 8, 8)), "rows (two an image: one of them has guidance), height, width"
    ranged = Profile.from_shapes(served, dynamic=True)
    assert ranged.shapes["sample"] == ((1, 4, 2, 4), (6, 4, 8, 8), (6, 4, 8, 16))
    assert ranged.shapes["timestep"] == ((), (), ())
    assert (ranged.min_rows, ranged.max_rows) == (1, 6)
    assert ranged.figures == {"profile_min": "1x4x2x4", "profile_opt": "6x4x8x8", "profile_max": "6x4x8x16"}
    assert Profile.from_shapes(served, dynamic=True, max_batch=8).shapes["sample"][2] == (16, 4, 8, 16)
    fixed = Profile.from_shapes(measure_shapes(load(tiny("sd")), call(), {many}), dynamic=False, max_batch=8)
    assert set(fixed.shapes["sample"]) == {(3, 4, 8, 8)}


@pytest.mark.parametrize("family", FAMILIES)
def test_profile_covers_each_call_and_smaller_ones(family: str, tiny: Callable[[str], Path]) -> None:
    """Smaller are a cascade's first stages and a batch's last images; guidance or not is the number of rows."""
    model = load(tiny(family))
    shapes = {Shape(64, 64, 1.0, 1), Shape(32, 64, 2.0, 3)}
    profile = Profile.from_shapes(measure_shapes(model, call(), shapes), dynamic=True)
    for width, height, guidance in itertools.product((64, 32), (64, 32), (1.0, 2.0)):
        inputs = record(model, call(width, height).model_copy(update={"guidance": guidance})).inputs.tensors
        assert set(inputs) == set(profile.shapes), "the graph has the same inputs with guidance and without"
        for name, (least, usual, greatest) in profile.shapes.items():
            bounds = zip(least, inputs[name].shape, greatest, strict=True)
            assert all(low <= size <= high for low, size, high in bounds), (name, width, height)
            assert all(low <= size <= high for low, size, high in zip(least, usual, greatest, strict=True))


def test_engine_cache_key_covers_all_inputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Model and precision are in the graph's own key; here: the graph, shapes, memory, card, TF32, library, version."""
    monkeypatch.setattr("harness.axes.compiler._engine._build", lambda order, path: {})
    monkeypatch.setattr("harness.axes.compiler._engine.find_version", lambda package: "1.7")
    profile = Profile({"sample": ((1, 4), (2, 4), (2, 4))}, 1, 2)
    order = EngineRequest("tensorrt", tmp_path / "a" / FILE, profile, MEBIBYTES_64, "a card 9.0")
    assert not build_engine(order, tmp_path).kept
    assert build_engine(order._replace(graph=tmp_path / "moved" / "a" / FILE), tmp_path).kept, "no path is in it"
    others = [
        order._replace(graph=tmp_path / "b" / FILE),
        order._replace(profile=profile._replace(shapes={"sample": ((1, 4), (2, 4), (3, 4))})),
        order._replace(profile=profile._replace(max_rows=3)),
        order._replace(workspace_bytes=1),
        order._replace(target="a card 8.9"),
        order._replace(target="another card 9.0"),
        order._replace(tf32=True),
        order._replace(package="tensorrt_rtx"),
    ]
    assert not any(build_engine(other, tmp_path).kept for other in others)
    assert all(build_engine(other, tmp_path).kept for other in others)
    monkeypatch.setattr("harness.axes.compiler._engine.find_version", lambda package: "1.8")
    assert not build_engine(order, tmp_path).kept


@pytest.mark.parametrize("rows", [1, 3, 4, 9])
@pytest.mark.parametrize("profile", [Profile({}, 1, 4), Profile({}, 3, 3), Profile({}, 4, 4)])
def test_a_batch_in_parts_is_the_batch(rows: int, profile: Profile) -> None:
    tensors = {"x": torch.randn(rows, 5), "y": torch.randn(2, rows), "scale": torch.tensor(3.0)}
    seen = []

    def compute(part: dict[str, torch.Tensor]) -> torch.Tensor:
        seen.append(len(part["x"]))
        return part["x"] * part["y"].sum(0)[:, None] * part["scale"]

    output = compute_in_parts(compute, tensors, (("x", 0), ("y", 1)), profile)
    assert torch.equal(output, tensors["x"] * tensors["y"].sum(0)[:, None] * tensors["scale"])
    assert all(profile.min_rows <= count <= profile.max_rows for count in seen)
