"""What quantization does to a model, by numbers: which layers, how far from the plain images, and what is refused."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from harness.axes import read_entry, resolve_setting
from harness.axes.precision._quantized import Quantized
from harness.core.axis import Context, Setup
from harness.core.errors import NoEffect, UsageError
from harness.core.machine import Gpu, Machine
from harness.core.units import Absent
from harness.measure.machine import describe_machine
from harness.models.bundled import Bundled
from harness.models.fake import Fake
from harness.planning.availability import find_cautions, find_skip_reason
from harness.planning.resolve import resolve_cell
from tests.builders.cell_on_model import BUNDLED, FLOAT, distance, plan_cell, run_cell

Tiny = Callable[[str], Path]


def list_figures(made: Any) -> dict[str, Any]:
    return next(applied.figures for applied in made.applied if applied.axis == "precision")


def run(tiny: Tiny, family: str, precision: str, cache: Path) -> Any:
    planned = plan_cell(tiny(family), {"precision": precision})
    assert planned.reason is None, planned.reason
    return run_cell(planned, cache)


def on_gpu(capability: tuple[int, int]) -> Machine:
    card = Gpu(
        name="card", capability=capability, memory_bytes=2**34, driver="1", cuda="13.0",
        power_limit_w=Absent(absent="test"),
    )  # fmt: skip
    return describe_machine().model_copy(update={"gpus": (card,)})


def wish(**settings: str) -> dict[str, Any]:
    return {axis: read_entry(axis, entry) for axis, entry in settings.items()}


def test_quanto_takes_convolutions_torchao_does_not(tiny: Tiny, tmp_path: Path) -> None:
    pytest.importorskip("optimum.quanto")
    pytest.importorskip("torchao")
    quanto, torchao = (list_figures(run(tiny, "sd", name, tmp_path)) for name in ("int8-quanto", "int8-torchao"))
    assert quanto["conv2d_quantized"] == 33
    assert quanto["linear_quantized"] == torchao["linear_quantized"] == 50
    assert "conv2d_quantized" not in torchao
    assert quanto["coverage"] > 0.98 > 0.5 > torchao["coverage"]
    assert quanto["bytes_before"] > 3.5 * quanto["bytes_after"]
    assert torchao["bytes_before"] < 1.6 * torchao["bytes_after"]


@pytest.mark.parametrize("precision", ["int8-quanto", "fp8-quanto", "layerwise-fp8"])
def test_upcast_vae_is_not_packed_in_uncastable_types(
    precision: str, tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    card = on_gpu((9, 0)).model_copy(update={"packages": {"torch": "2", "optimum-quanto": "0.2"}})

    def reason(options: str, family: str = "sdxl", machine: Machine = card) -> str | None:
        return plan_cell(tiny(family), {"precision": precision + options}, machine=machine).reason

    for options in ("+modules=all", "+modules=vae", "+modules=vae+compute=fp16"):
        assert "casts its VAE from fp16 to fp32" in str(reason(options))
    assert reason("+modules=all+compute=bf16") is None
    assert reason("") is None
    assert reason("+modules=all", "sd") is None
    assert reason("+modules=all", machine=card.model_copy(update={"gpus": ()})) is None
    fixed = tmp_path / "fixed"
    shutil.copytree(tiny("sdxl"), fixed)
    config = json.loads((fixed / "vae" / "config.json").read_text(encoding="utf-8"))
    (fixed / "vae" / "config.json").write_text(json.dumps({**config, "force_upcast": False}), encoding="utf-8")
    assert plan_cell(fixed, {"precision": precision + "+modules=all"}, machine=card).reason is None


def test_excluded_layers_and_blocks_stay_as_they_are(tiny: Tiny, tmp_path: Path) -> None:
    import torch

    pytest.importorskip("optimum.quanto")
    made = run(tiny, "sd", "int8-quanto+exclude=conv_in,mid_block", tmp_path)
    denoiser = made.model.denoiser
    left = [denoiser.conv_in, *denoiser.mid_block.modules()]
    assert all(type(layer) in (torch.nn.Conv2d, torch.nn.Linear) for layer in left if hasattr(layer, "in_features"))
    assert type(denoiser.conv_in.weight) is torch.nn.Parameter
    assert type(denoiser.conv_out.weight) is not torch.nn.Parameter


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("int8-torchao+exclude=conv_in,no_such_layer*", "exclude=no_such_layer* matches no layer of the sd's denoiser"),
        ("int8-torchao+exclude=*", "exclude=* leaves nothing to quantize"),
    ],
)
def test_patterns_excluding_nothing_or_all_are_refused(entry: str, words: str, tiny: Tiny) -> None:
    pytest.importorskip("torchao")
    assert words in str(plan_cell(tiny("sd"), {"precision": entry}).reason)


def test_pattern_for_another_part_is_checked_at_load(tiny: Tiny, tmp_path: Path) -> None:
    pytest.importorskip("torchao")
    planned = plan_cell(tiny("sd"), {"precision": "int8-torchao+modules=text-encoder+exclude=nowhere"})
    assert planned.reason is None
    with pytest.raises(UsageError, match='exclude = "nowhere" matches no layer of text-encoder'):
        run_cell(planned, tmp_path)


def test_wrong_options_name_the_option() -> None:
    with pytest.raises(UsageError, match='unknown part "unet"; known: denoiser, text-encoder, vae, all'):
        read_entry("precision", "int8-quanto+modules=unet")
    with pytest.raises(UsageError, match="calibration"):
        read_entry("precision", "int8-quanto+activations+calibration=0")
    with pytest.raises(UsageError, match='"int4-quanto" has no option "activations"'):
        read_entry("precision", "int4-quanto+activations")


def test_a_model_without_torch_is_a_conflict() -> None:
    model, machine = Fake().describe(), describe_machine()
    reason = find_skip_reason(resolve_cell(wish(precision="layerwise-fp8", steps="4"), model, machine), model, machine)
    assert "precision layerwise-fp8 does not work with" in str(reason)


def test_quantized_model_has_nothing_left_to_quantize(tiny: Tiny, tmp_path: Path) -> None:
    pytest.importorskip("torchao")
    made = run(tiny, "flux", "int8-torchao", tmp_path)
    value = resolve_setting(read_entry("precision", "int8-torchao"))
    with pytest.raises(NoEffect, match="nothing to quantize: no Linear layer in denoiser"):
        value.apply(made.model, None)  # type: ignore[arg-type]


def test_the_plan_refuses_a_part_that_comes_quantized(tiny: Tiny, tmp_path: Path) -> None:
    pytest.importorskip("torchao")
    folder = tmp_path / "packed"
    shutil.copytree(tiny("flux"), folder)
    config = folder / "transformer" / "config.json"
    packed = {**json.loads(config.read_text(encoding="utf-8")), "quantization_config": {"quant_method": "bitsandbytes"}}
    config.write_text(json.dumps(packed), encoding="utf-8")
    words = "nothing to quantize: the packed has a quantized denoiser (bitsandbytes)"
    assert words in str(plan_cell(folder, {"precision": "int8-torchao"}).reason)
    assert plan_cell(folder, {"precision": "int8-torchao+modules=text-encoder"}).reason is None


def test_the_plan_refuses_a_part_without_such_layers() -> None:
    """The bundled model's VAE is all convolutions."""
    pytest.importorskip("torchao")
    reason = plan_cell(BUNDLED, {"precision": "int8-torchao+modules=vae"}).reason
    assert "nothing to quantize: the bundled shapes model has no Linear layer in its vae" in str(reason)
    assert plan_cell(BUNDLED, {"precision": "int8-quanto+modules=vae"}).reason is None
    assert plan_cell(BUNDLED, {"precision": "int8-torchao+modules=vae,denoiser"}).reason is None


@pytest.mark.parametrize(
    ("entry", "kinds"),
    [
        ("int8-quanto", ("Linear", "Conv2d")),
        ("int8-torchao", ("Linear",)),
        ("int8-torchao+modules=text-encoder", ("Linear",)),
        ("int8-quanto+modules=text-encoder,vae", ("Linear", "Conv2d")),
    ],
)
def test_layers_and_bytes_are_those_counted_by_hand(entry: str, kinds: tuple[str, ...], tmp_path: Path) -> None:
    """One byte a weight, four for the scale of each output channel, four for every other number."""
    pytest.importorskip("optimum.quanto")
    pytest.importorskip("torchao")
    model, value = Bundled().load("cpu", {}), resolve_setting(read_entry("precision", entry))
    assert isinstance(value, Quantized)
    networks = {"denoiser": model.denoiser, "text-encoder": model.text_encoders["text_encoder_2"], "vae": model.vae}
    parts = [networks[name] for name in value.modules.split(",")]
    layers = [layer for part in parts for layer in part.modules() if type(layer).__name__ in kinds]
    numbers = sum(tensor.numel() for part in parts for tensor in part.parameters())
    weights = sum(layer.weight.numel() for layer in layers)
    channels = sum(layer.weight.shape[0] for layer in layers)
    before = {name: held(network) for name, network in networks.items()}
    effect = value.apply(model, Setup(None, 1, tmp_path))  # type: ignore[arg-type]
    assert effect is not None
    figures = effect.report(model, 1).figures
    assert figures["layers_quantized"] == len(layers)
    assert figures["coverage"] == pytest.approx(weights / numbers, abs=1e-4)
    assert figures["bytes_before"] == pytest.approx(4 * numbers, rel=1e-3)
    assert figures["bytes_after"] == pytest.approx(4 * (numbers - weights) + weights + 4 * channels, rel=5e-3)
    shrunk = {name for name, network in networks.items() if held(network) < before[name]}
    assert shrunk == set(value.modules.split(","))


def held(network: Any) -> int:
    """Bytes of the tensors a network is made of, packed ones by what they are made of themselves."""
    tensors = [*network.parameters(), *network.buffers()]
    inner = [getattr(tensor, name) for tensor in tensors if hasattr(tensor, "__tensor_flatten__")
             for name in tensor.__tensor_flatten__()[0]]  # fmt: skip
    return sum(tensor.nbytes for tensor in [*(t for t in tensors if not hasattr(t, "__tensor_flatten__")), *inner])


def test_every_quantized_activation_was_calibrated(tiny: Tiny, tmp_path: Path) -> None:
    """A VAE's encoder is not called for an image: its activations are left alone rather than guessed."""
    pytest.importorskip("optimum.quanto")
    made = run(tiny, "sd", "int8-quanto+activations+modules=all", tmp_path)
    model = made.model
    networks = [model.denoiser, model.vae, *model.text_encoders.values()]
    layers = [layer for network in networks for layer in network.modules() if hasattr(layer, "activation_qtype")]
    quantized = [layer for layer in layers if layer.activation_qtype is not None]
    assert len(quantized) == list_figures(made)["activations_quantized"]
    assert all(layer.input_scale != 1 and layer.output_scale != 1 for layer in quantized)
    encoder = [layer for layer in model.vae.encoder.modules() if hasattr(layer, "activation_qtype")]
    assert encoder
    assert all(layer.activation_qtype is None for layer in encoder)


def test_torch_unpacking_inverts_quanto_packing() -> None:
    import torch

    packed = pytest.importorskip("optimum.quanto.tensor.packed")
    from harness.axes.precision._quanto import _unpack

    for bits in (2, 4):
        for rows in (7, 8, 13):
            numbers = torch.randint(0, 2**bits, (rows, 5), dtype=torch.uint8)
            held = packed.PackedTensor.pack(numbers, bits)
            assert torch.equal(_unpack(held._data, bits)[:rows], numbers)


@pytest.mark.parametrize("entry", ["int8-quanto", "int8-torchao", "nf4-bitsandbytes", "int8-quanto+activations"])
def test_twins_share_quantized_weights_between_threads(entry: str, tiny: Tiny, tmp_path: Path) -> None:
    planned = plan_cell(tiny("sd"), {"precision": entry})
    if planned.reason:
        pytest.skip(planned.reason)
    made = run_cell(planned, tmp_path)
    assert not made.recipe.one_thread
    from tests.builders.cell_on_model import PROMPTS

    call = made.recipe.call(PROMPTS, (0,))
    # Each thread keeps to its own twin, as a run does: a pipeline's scheduler has state, so one pipeline
    # must never serve two threads at once.
    with ThreadPoolExecutor(2) as pool:
        drawn = pool.map(lambda model: [model.generate(call) for _ in range(2)], [made.model, made.model.twin()])
        images = [image for images in drawn for image in images]
    assert max(distance(image, images[0]) for image in images) < FLOAT


def test_layerwise_casting_keeps_to_one_thread() -> None:
    assert resolve_setting(read_entry("precision", "layerwise-fp8")).stateful


@pytest.mark.parametrize(
    ("entry", "capability", "words"),
    [
        ("tf32", (7, 5), "needs compute capability 8.0"),
        ("fp8-torchao", (8, 6), "needs compute capability 8.9;"),
        ("int4-torchao", (7, 5), "needs compute capability 8.0;"),
        ("fp8-torchao", (9, 0), ""),
        ("tf32", (9, 0), ""),
    ],
)
def test_gpu_formats_ask_for_the_capability_they_need(entry: str, capability: tuple[int, int], words: str) -> None:
    pytest.importorskip("torchao")
    missing = resolve_setting(read_entry("precision", entry)).unavailable(on_gpu(capability))
    assert words in missing.reason if words and missing else missing is None


@pytest.mark.parametrize("precision", ["fp8-torchao", "fp8-quanto"])
def test_fp8_without_a_compiler_is_warned_of_on_a_gpu(precision: str) -> None:
    model, machine = Bundled().describe(), on_gpu((9, 0))
    kinds = {}
    for compiler in ("eager", "inductor"):
        cell = resolve_cell(wish(precision=precision, compiler=compiler, steps="4"), model, machine)
        kinds[compiler] = [caution.kind for caution in find_cautions(cell, model, machine)]
    assert "fp8-eager" in kinds["eager"]
    assert "fp8-eager" not in kinds["inductor"]


def test_weight_only_on_cpu_warns_of_no_speedup() -> None:
    model = Bundled().describe()
    machine = describe_machine().model_copy(update={"gpus": ()})
    cell = resolve_cell(wish(precision="int8-quanto", steps="4"), model, machine)
    assert [caution.kind for caution in find_cautions(cell, model, machine)] == ["no-speed-up"]


def test_calibrated_activations_exclude_fullgraph() -> None:
    model, machine = Bundled().describe(), describe_machine()
    values = {
        "precision": resolve_setting(read_entry("precision", "int8-quanto+activations")),
        "compiler": resolve_setting(read_entry("compiler", "inductor+fullgraph")),
    }
    reason = values["precision"].refuse(Context(model, machine, values))
    assert "fullgraph=false" in str(reason)
    assert "compiler" in str(reason)


RELOAD = """
import sys
import torch
from diffusers import FluxTransformer2DModel, QuantoConfig
from harness.axes.precision._layers import copy_packed_weights
from pathlib import Path
source, target = (Path(word) for word in sys.argv[1:])
config = QuantoConfig(weights_dtype="int8")
loaded = {"dtype": torch.bfloat16}
FluxTransformer2DModel.from_pretrained(source, quantization_config=config, **loaded).save_pretrained(target)
again = FluxTransformer2DModel.from_pretrained(target, **loaded)
copy_packed_weights(again)
tokens = torch.randn(1, 16, 16, dtype=torch.bfloat16)
text = torch.randn(1, 8, again.config.joint_attention_dim, dtype=torch.bfloat16)
pooled = torch.randn(1, again.config.pooled_projection_dim, dtype=torch.bfloat16)
with torch.no_grad():
    out = again(
        hidden_states=tokens, encoder_hidden_states=text, pooled_projections=pooled, timestep=torch.tensor([0.5]),
        guidance=torch.tensor([2.0]), img_ids=torch.zeros(16, 3), txt_ids=torch.zeros(8, 3),
    ).sample
print("finite", bool(out.isfinite().all()))
"""


def test_int8_weights_from_a_file_do_not_crash_in_bf16(tiny: Tiny, tmp_path: Path) -> None:
    """In a process of its own: without a copy of the weights it dies of SIGSEGV on a CPU (quanto 0.2.7)."""
    pytest.importorskip("optimum.quanto")
    command = [sys.executable, "-c", RELOAD, str(tiny("flux") / "transformer"), str(tmp_path / "quantized")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=500)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "finite True" in done.stdout


def test_a_lora_is_fused_before_weights_are_packed(tmp_path: Path) -> None:
    pytest.importorskip("torchao")
    folder = Path(Bundled().describe().folder)
    assert folder.exists()
    made = {}
    for precision in ("fp32", "int8-torchao"):
        model, machine = Bundled().describe(), describe_machine()
        cell = resolve_cell(wish(precision=precision, distillation="lcm-lora", steps="4"), model, machine)
        from harness.core.matrix import Model
        from tests.builders.cell_on_model import Planned

        made[precision] = run_cell(Planned(cell, Model(source="bundled", options={}), machine, None), tmp_path)
    assert distance(made["int8-torchao"].second, made["fp32"].second) < 0.15
    assert list_figures(made["int8-torchao"])["linear_quantized"] == 96


def test_lora_may_stay_separate_on_packed_weights(tmp_path: Path) -> None:
    """The layer under it is packed, it itself is not: as near to the plain one as a fused LoRA is."""
    pytest.importorskip("torchao")
    beside = {"distillation": "lcm-lora+fuse=false"}
    plain = run_cell(plan_cell(BUNDLED, beside), tmp_path)
    planned = plan_cell(BUNDLED, {**beside, "precision": "int8-torchao"})
    assert planned.reason is None
    packed = run_cell(planned, tmp_path)
    assert list_figures(packed)["linear_quantized"] == 96
    assert 0 < distance(packed.second, plain.second) < 0.05


def test_trajectory_is_kept_as_the_bits_allow(tmp_path: Path) -> None:
    """On the bundled model: 8 bits move images little, 2 bits much, each format more than the one before."""
    pytest.importorskip("optimum.quanto")
    from harness.core.matrix import Model
    from tests.builders.cell_on_model import Planned

    model, machine = Bundled().describe(), describe_machine()
    names = ("fp32", "int8-quanto", "int4-quanto", "int2-quanto")
    made = {}
    for name in names:
        cell = resolve_cell(wish(precision=name, steps="8"), model, machine)
        made[name] = run_cell(Planned(cell, Model(source="bundled", options={}), machine, None), tmp_path).second
    far = [distance(made[name], made["fp32"]) for name in names[1:]]
    assert far == sorted(far)
    assert far[0] < 0.05
    assert far[2] > 0.2
