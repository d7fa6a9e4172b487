"""What a cell needs of its device's memory, and how a plan uses it."""

import subprocess
import sys
from pathlib import Path

import pytest

from harness.core.errors import MachineError
from harness.core.machine import Gpu, Machine
from harness.core.model import Footprint, ModelInfo
from harness.core.plan import Plan, Prompt, Rate
from harness.core.units import Absent
from harness.matrix import expand, parse_matrix
from harness.measure.memory import read_free_bytes
from harness.models.synthetic import Synthetic
from harness.planning import PlanContext, make_plan
from harness.planning.availability import estimate_footprint
from harness.planning.resolve import resolve_cell

GIB = 2**30
PARAMETERS = {"denoiser": 12 * GIB, "text_encoder": 4 * GIB, "vae": GIB // 4}
MODEL = ModelInfo(
    title="large", family="flux", width=1024, height=1024, guidance=3.5, size_multiple=16, digest="d",
    tags=frozenset({"transformer"}), parameters=PARAMETERS, activations={"denoiser": GIB // 16, "vae": GIB // 2},
)  # fmt: skip
GPU = Gpu(name="H200", capability=(9, 0), memory_bytes=139 * GIB, driver="1", cuda="13.0", power_limit_w=700.0)
PACKAGES = {"torch": "2.14", "torchao": "0.15", "optimum-quanto": "0.2.7", "bitsandbytes": "0.49"}
MACHINE = Machine(
    name="m", gpus=(GPU,), cpu="cpu", cpu_cores=2, memory_bytes=64 * GIB, os="o", python="3.11", packages=PACKAGES,
    git_commit=Absent(absent="test"), git_dirty=Absent(absent="test"),
)  # fmt: skip


def test_the_most_at_any_moment_is_needed() -> None:
    whole = Footprint(weights={"denoiser": 100, "vae": 10}, activations={"denoiser": 5, "vae": 40})
    assert whole.needed == 150
    half = whole.scaled(0.5)
    assert (half.needed, half.loading) == (75, 55)
    packed = half.model_copy(update={"weights": {"denoiser": 10, "vae": 5}})
    assert packed.needed == 55  # what was loaded before it was packed


def need(machine: Machine = MACHINE, **settings: str) -> Footprint:
    lines = [f'{axis} = ["{entry}"]' for axis, entry in {"precision": "bf16", **settings}.items()]
    wish = expand(parse_matrix("\n".join(['name = "m"', "[axes]", *lines])))[0]
    return estimate_footprint(resolve_cell(wish, MODEL, machine), MODEL, machine)


@pytest.mark.parametrize(
    ("precision", "weights_gib"),
    [("fp32", 65), ("fp16", 32.5), ("bf16", 32.5), ("fp8-torchao", 20.5), ("fp8-quanto+modules=all", 16.25),
     ("int4-quanto", 14.5), ("nf4-bitsandbytes", 14.5), ("fp8-quanto+compute=fp32", 29)],
)  # fmt: skip
def test_weights_take_the_room_of_their_format(precision: str, weights_gib: float) -> None:
    asked = need(precision=precision)
    assert asked.weights_bytes == weights_gib * GIB
    assert asked.loading == (65 if "fp32" in precision else 32.5) * GIB  # packed only after they were loaded


def test_unpacked_parts_have_the_baseline_width() -> None:
    """A model is loaded in FP32 on a CPU and in FP16 on a GPU where compute is auto."""
    cpu = MACHINE.model_copy(update={"gpus": ()})
    on_cpu, on_gpu = need(cpu, precision="int8-quanto"), need(precision="int8-quanto")
    assert on_cpu == need(cpu, precision="int8-quanto+compute=fp32")
    assert on_cpu.loading == 2 * on_gpu.loading == 65 * GIB
    assert need(cpu, precision="int8-quanto+compute=bf16").needed == on_gpu.needed


def test_activations_grow_with_batch_size_and_guidance() -> None:
    assert need().activations == {"denoiser": 2 * 2 * GIB / 16, "vae": 2 * GIB / 2}
    assert need(guidance="1").activations["denoiser"] == 2 * GIB / 16
    assert need(batch="4", resolution="512x512").activations == need().activations


def test_what_is_offloaded_is_not_needed_at_once() -> None:
    assert need(memory="model-offload").weights == {"denoiser": 24 * GIB}
    assert need(memory="sequential-offload").needed == need().activations_bytes
    assert need(memory="vae-tiling+tile=512").activations["vae"] == 0


def plan(free_gib: float | None) -> Plan:
    text = 'name = "m"\n[axes]\nsteps = [2]\nprecision = ["bf16", "fp32"]\n[baseline]\nsteps = 2\nprecision = "bf16"\n'
    matrix = parse_matrix(text)
    around = PlanContext(
        model=MODEL.model_copy(update={"quality_applies": False}), machine=MACHINE, prompts=(Prompt(id="a", text="b"),),
        rate=Rate(image_step_s=0.01, source="t"), free_bytes=None if free_gib is None else int(free_gib * GIB),
    )  # fmt: skip
    return make_plan(matrix, text, expand(matrix), around)


def test_too_large_cell_is_skipped_with_both_sizes() -> None:
    decided = plan(40)
    assert decided.find("2-steps_bf16").skip is None
    reason = decided.find("2-steps_fp32").skip
    assert reason == "needs about 67 GiB (65 GiB of weights and 2 GiB to work in), 40 GiB is free on cuda:0"
    assert plan(None).find("2-steps_fp32").skip is None
    with pytest.raises(MachineError, match=r"2-steps_bf16 cannot run here: needs about 33\.5 GiB"):
        plan(20)


def test_published_sizes_are_those_of_the_files() -> None:
    """FLUX.1 dev in bfloat16: 31.4 GiB in all (its transformer 22.2, T5 8.9); SDXL in fp16: 6.5 GiB."""
    for name, gib in (("flux-dev", 31.4), ("sdxl-base", 6.46)):
        assert sum(Synthetic(name=name).describe().parameters.values()) * 2 / GIB == pytest.approx(gib, rel=0.01)


def test_free_memory_is_told_for_this_machine() -> None:
    free = read_free_bytes("cpu")
    assert free is not None
    assert free > 2**20


def test_a_synthetic_model_is_planned_without_torch(tmp_path: Path) -> None:
    matrix = tmp_path / "m.toml"
    matrix.write_text(
        'name = "m"\nmodel = {source = "synthetic", name = "flux-dev"}\n[axes]\nsteps = [2]\nprecision = ["bf16"]\n'
        '[baseline]\nsteps = 2\nprecision = "bf16"\n',
        encoding="utf-8",
    )
    code = (
        "import sys; sys.modules['torch'] = sys.modules['diffusers'] = sys.modules['transformers'] = None\n"
        "import harness.api as api; api.read_free_bytes = lambda _: 2**30\n"
        f"api.plan(api.load({str(matrix)!r}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert "needs about 32.4 GiB" in done.stderr, done.stderr
