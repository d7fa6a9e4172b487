"""The exported denoiser: one graph for every batch and size, kept under what it was made of, equal to eager."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.axes import list_value_names, read_entry, resolve_setting
from harness.axes.compiler._artefacts import fingerprint, keep
from harness.axes.compiler._onnx import FILE, Session, export_onnx
from harness.axes.compiler._replacement import Engine, exchange, join, record, run_eager, split
from harness.core.errors import HarnessError, NoEffect
from harness.core.matrix import Model
from harness.core.model import Call, TextToImage
from harness.models import resolve_model
from tests.builders.cases import slow_but
from tests.builders.cell_on_model import distance, plan_cell, run_cell
from tests.tiny import EXPORTED, FAMILIES

Tiny = Callable[[str], Path]


def load(folder: Path) -> TextToImage:
    return resolve_model(Model(source="folder", options={"path": str(folder)})).load("cpu", {})


def call(width: int = 32, height: int = 32) -> Call:
    """The call of the contract's cells, so that their graphs are found in the cache."""
    words = {"prompts": ("a small red circle",), "keys": (("p", 0),)}
    return Call.model_validate({**words, "steps": 4, "guidance": 2.0, "width": width, "height": height})


def relative(output: torch.Tensor, reference: torch.Tensor) -> float:
    return float((output - reference).norm() / reference.norm())


@pytest.mark.parametrize("family", FAMILIES)
def test_the_recording_knows_batch_and_sizes(family: str, tiny: Tiny) -> None:
    recording = record(load(tiny(family)), call())
    batch, *sizes = (len(group) for group in recording.groups)
    assert batch >= 2, "image and text have one row an image"
    # FLUX packs both sides into one sequence, which the positions of its tokens share; the others have two sides
    assert sizes == ([2] if family == "flux" else [1, 1])
    assert recording.sizes()[0] == (2 if family == "flux" else 4)


@pytest.mark.parametrize("family", slow_but(EXPORTED, FAMILIES))
def test_one_graph_serves_other_batches_and_sizes(family: str, tiny: Tiny, cache: Path) -> None:
    """Exported at 32×32 with two images, run at 64×96 (but PixArt) and with one row."""
    model = load(tiny(family))
    recording = record(model, call())
    graph = export_onnx(model.denoiser, recording, cache)
    session = Session(graph.folder / FILE, "cpu")
    assert relative(session.run(recording.inputs.tensors), run_eager(model, recording)) < 1e-5
    if family != "pixart":  # its graph holds one size
        other = record(model, call(64, 96))
        assert relative(session.run(other.inputs.tensors), run_eager(model, other)) < 1e-5
    one = {name: tensor.clone() for name, tensor in recording.inputs.tensors.items()}
    for name, axis in recording.groups[0]:
        one[name] = one[name].narrow(axis, 0, 1)
    alone = model.denoiser(**join(recording.inputs._replace(tensors=one)))[0].detach()
    assert relative(session.run(one), alone) < 1e-5
    again = export_onnx(model.denoiser, recording, cache)
    assert (again.folder, again.kept) == (graph.folder, True)
    assert again.build_s == graph.build_s, "a warm cache still tells what building took"


def test_arguments_survive_split_and_join(tiny: Tiny) -> None:
    recording = record(load(tiny("sdxl")), call())
    assert "added_cond_kwargs.time_ids" in recording.inputs.tensors
    again = split(recording.signature, (), join(recording.inputs))
    assert set(again.tensors) == set(recording.inputs.tensors)
    assert again.constants == recording.inputs.constants


def test_fingerprint_follows_weights_and_structure(tiny: Tiny) -> None:
    denoiser = load(tiny("sd")).denoiser
    before = fingerprint(denoiser)
    assert before == fingerprint(load(tiny("sd")).denoiser)
    with torch.no_grad():
        weight = next(denoiser.parameters())
        weight.view(-1)[0] += 1e-3
    changed = fingerprint(denoiser)
    denoiser.set_attn_processor({name: Other() for name in denoiser.attn_processors})
    assert len({before, changed, fingerprint(denoiser)}) == 3


def test_a_graph_is_kept_under_all_that_it_is_made_of(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights, precision, sizes and constants of the inputs, versions; an engine is kept under its graph."""
    monkeypatch.setattr("harness.axes.compiler._onnx.export", lambda denoiser, recording, path: {})
    model = load(tiny("flux"))
    recording = record(model, call())
    assert not export_onnx(model.denoiser, recording, tmp_path).kept
    assert export_onnx(load(tiny("flux")).denoiser, record(model, call()), tmp_path).kept, "made anew, it is the same"
    assert not export_onnx(model.denoiser, record(model, call(64, 32)), tmp_path).kept
    half = {name: tensor.bfloat16() for name, tensor in recording.inputs.tensors.items()}
    lower = recording._replace(inputs=recording.inputs._replace(tensors=half))
    assert not export_onnx(model.denoiser, lower, tmp_path).kept
    constants = {**recording.inputs.constants, "joint_attention_kwargs": {"scale": 0.5}}
    scaled = recording._replace(inputs=recording.inputs._replace(constants=constants))
    assert not export_onnx(model.denoiser, scaled, tmp_path).kept
    assert not export_onnx(model.denoiser.bfloat16(), recording, tmp_path).kept
    assert export_onnx(load(tiny("flux")).denoiser, recording, tmp_path).kept
    monkeypatch.setattr("harness.axes.compiler._onnx.version", lambda package: "9.9")
    assert not export_onnx(load(tiny("flux")).denoiser, recording, tmp_path).kept


class Other:
    """An attention processor of another class."""

    def __call__(self, *_: Any) -> None: ...


def test_a_build_that_dies_leaves_nothing_behind(tmp_path: Path) -> None:
    def die(folder: Path) -> dict[str, Any]:
        (folder / "half").write_text("", encoding="utf-8")
        raise HarnessError("no")

    with pytest.raises(HarnessError):
        keep(tmp_path, ["key"], die)
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]
    assert not keep(tmp_path, ["key"], lambda folder: {}).kept
    assert keep(tmp_path, ["key"], die).kept
    assert not keep(tmp_path, ["other"], lambda folder: {}).kept


def engine(run: Callable[..., Any]) -> Engine:
    return Engine(run=run, weights_bytes=7, name="a stand-in", origin="built", figures={})


def test_engine_with_other_output_is_refused(tiny: Tiny) -> None:
    model = load(tiny("sd"))
    recording = record(model, call())
    reference = run_eager(model, recording)
    for wrong in (reference * 1.01, reference * float("nan")):
        with pytest.raises(HarnessError, match="differs from the eager denoiser"):
            exchange(model, recording, engine(lambda _, output=wrong: output), reference, 1e-5)


def test_stand_in_serves_the_pipeline_and_counts_calls(tiny: Tiny) -> None:
    model, twin = load(tiny("sdxl")), load(tiny("sdxl"))
    recording = record(model, call())

    def run(tensors: dict[str, Any]) -> Any:
        return twin.denoiser(**join(recording.inputs._replace(tensors=tensors)))[0]

    effect = exchange(model, recording, engine(run), run_eager(model, recording), 1e-6)
    assert model.denoiser.config.in_channels == 4
    assert model.denoiser.dtype == torch.float32
    assert model.denoiser.add_embedding.linear_1.in_features == twin.denoiser.add_embedding.linear_1.in_features
    assert model.weights_bytes()["unet"] == 7, "the eager weights are freed"
    effect.start(model)
    with pytest.raises(NoEffect, match="never called"):
        effect.report(model, 1)
    seen: list[int] = []
    model.parts()["denoiser"].register_forward_hook(lambda *_: seen.append(1))
    assert abs(model.generate(call()) - twin.generate(call())).max() < 1e-6
    assert effect.report(model, 1).figures["engine_calls"] == len(seen) == 4
    with pytest.raises(HarnessError, match="was exported for"):
        model.denoiser(torch.zeros(1, 4, 8, 8), 3, torch.zeros(1, 24, 64))


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"compiler": "onnxruntime", "precision": "bf16"}, "bf16"),
        ({"compiler": "onnxruntime", "precision": "int8-quanto"}, "quantized"),
        ({"compiler": "openvino", "precision": "int8-torchao"}, "quantized"),
        ({"compiler": "openvino", "caching": "deepcache"}, "block-cache"),
    ],
)
def test_in_layer_values_exclude_leaving_torch(settings: dict[str, str], reason: str, tiny: Tiny) -> None:
    found = plan_cell(tiny("sd"), settings).reason
    assert found is not None
    assert reason in found
    assert all(value in found for value in settings.values()), "both sides are named"


@pytest.mark.parametrize("compiler", ["inductor", "onnxruntime", "openvino"])
@pytest.mark.parametrize("caching", list_value_names("caching"))
def test_caches_inside_the_denoiser_exclude_compilers(compiler: str, caching: str, tiny: Tiny) -> None:
    """Those around it, of prompts and latents, go with all."""
    inside = "block-cache" in resolve_setting(read_entry("caching", caching)).tags
    found = {family: plan_cell(tiny(family), {"caching": caching, "compiler": compiler}).reason for family in FAMILIES}
    alone = {family: plan_cell(tiny(family), {"caching": caching}).reason for family in FAMILIES}
    assert all((reason is not None) == (inside or alone[family] is not None) for family, reason in found.items())
    assert not inside or any(
        f"caching {caching}" in str(reason) and "compiler" in str(reason) for reason in found.values()
    )


def test_known_prompts_reach_an_exported_denoiser(tiny: Tiny, cache: Path) -> None:
    plain, both = (
        run_cell(plan_cell(tiny("sana"), {"caching": "prompt-embeddings", "compiler": name}), cache)
        for name in ("eager", "onnxruntime")
    )
    assert distance(both.second, plain.second) < 1e-4
    assert {applied.axis for applied in both.applied} >= {"caching", "compiler"}
