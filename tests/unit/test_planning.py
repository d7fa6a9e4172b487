"""Plans: settings settled, cells named, conflicts and missing back ends found before any time is spent."""

from itertools import pairwise
from pathlib import Path

import pytest

from harness.core.errors import MachineError, MatrixError
from harness.core.machine import Gpu, Machine
from harness.core.model import Download, ModelInfo
from harness.core.plan import OTHER_SEED_ID, OTHER_SEED_OFFSET, RERUN_ID, Plan, Prompt, Rate
from harness.core.units import Absent
from harness.matrix import expand, parse_matrix
from harness.planning import PlanContext, make_plan
from harness.planning.resolve import shorten

GPU = Gpu(name="H200", capability=(9, 0), memory_bytes=1, driver="1", cuda="13.0", power_limit_w=700.0)
MODEL = ModelInfo(title="toy", family="sdxl", width=64, height=64, guidance=3.0, size_multiple=16, digest="d")


def machine(gpu: bool = False, **changes: object) -> Machine:
    facts = {
        "name": "m", "cpu": "cpu", "cpu_cores": 2, "memory_bytes": 1, "os": "o", "python": "3.11",
        "packages": {"torch": "2.14"}, "git_commit": Absent(absent="test"), "git_dirty": Absent(absent="test"),
    }  # fmt: skip
    return Machine.model_validate({**facts, "gpus": (GPU,) if gpu else (), **changes})


def plan(body: str, *, gpu: bool = False, model: ModelInfo = MODEL) -> Plan:
    text = f'name = "m"\n{body}'
    matrix = parse_matrix(text)
    prompts = tuple(Prompt(id=f"p{number}", text=f"prompt {number}") for number in range(100))
    rate = Rate(image_step_s=0.01, source="test")
    around = PlanContext(model=model, machine=machine(gpu), prompts=prompts, rate=rate)
    return make_plan(matrix, text, expand(matrix), around)


def test_ids_name_steps_precision_and_differences() -> None:
    decided = plan('[axes]\nsteps = [50, 4]\nguidance = [3, 5]\ncompiler = ["eager", "inductor"]\n')
    assert [planned.id for planned in decided.compared][:3] == [
        "50-steps_fp32",
        "50-steps_cfg-5_fp32",
        "4-steps_fp32",
    ]
    assert "4-steps_cfg-5_fp32_inductor" in {planned.id for planned in decided.compared}


def test_long_ids_stay_distinct_and_fit_a_folder() -> None:
    long = "50-steps_" + "x" * 300
    first, second = shorten(long + "a", 200), shorten(long + "b", 200)
    assert len(first) <= 200
    assert first != second
    assert shorten("50-steps_fp32", 200) == "50-steps_fp32"


def test_an_id_does_not_depend_on_the_other_cells() -> None:
    alone = plan("[axes]\nsteps = [4]\n")
    among = plan('[axes]\nsteps = [50, 8, 4]\nprecision = ["fp32", "bf16"]\n')
    assert {p.id for p in alone.compared} <= {p.id for p in among.compared}


def test_distilled_value_brings_scheduler_and_guidance() -> None:
    cell = plan('[axes]\nsteps = [4]\ndistillation = ["lcm-lora"]\n').find("4-steps_lcm-lora_fp32").cell
    assert cell.setting("scheduler").name == "lcm"
    assert cell.setting("guidance").name == "1"
    own = plan('[axes]\nsteps = [4]\ndistillation = ["lcm-lora"]\nguidance = [2]\n')
    assert own.find("4-steps_cfg-2_lcm-lora_fp32").cell.setting("scheduler").name == "lcm"


def test_baseline_is_fifty_steps_in_native_precision() -> None:
    on_cpu, on_gpu = plan("[axes]\nsteps = [4]\n"), plan("[axes]\nsteps = [4]\n", gpu=True)
    assert on_cpu.baseline_id == "50-steps_fp32"
    assert on_gpu.baseline_id == "50-steps_fp16"
    assert any("no native fp16" in note for note in on_cpu.notes)
    assert any("not in the matrix" in note for note in on_cpu.notes)


def test_unavailable_baseline_is_an_error() -> None:
    with pytest.raises(MachineError, match="no native FP16"):
        plan('[axes]\nsteps = [4]\n[baseline]\nprecision = "fp16"\n')


def test_estimate_counts_solver_and_cascade_work() -> None:
    def seconds(**entries: str) -> float:
        lines = "".join(f'{axis} = ["{entry}"]\n' for axis, entry in {"steps": "20", **entries}.items())
        # as few rounds as there may be, so that all is linear in work
        wish = f"[axes]\n{lines}[measure]\nmin_s = 0\nmax_s = 0.1\n"
        (cell,) = [planned for planned in plan(wish).compared if planned.role == "candidate"]
        assert cell.skip is None, cell.skip
        return cell.estimate_s

    ten_steps_s = seconds() - seconds(steps="10")
    assert seconds(scheduler="heun") - seconds() == pytest.approx(ten_steps_s * 19 / 10)
    assert seconds() - seconds(resolution="progressive+stages=32-64") == pytest.approx(ten_steps_s / 2)


def test_the_estimate_counts_the_baselines_turns() -> None:
    body = "[axes]\nsteps = [4]\n[measure]\nmin_s = 0\nmax_s = 0.1\n[baseline]\nsteps = {}\n"
    slow, quick = (plan(body.format(steps)) for steps in (50, 25))
    cells = [decided.find("4-steps_fp32").estimate_s for decided in (slow, quick)]
    calls = [decided.find(decided.baseline_id).estimate_s for decided in (slow, quick)]
    assert cells[0] == pytest.approx(cells[1])  # it shares the baseline's blocks, which count as the rerun's
    assert calls[0] > calls[1]
    rerun, other = (slow.find(cell_id).estimate_s for cell_id in (RERUN_ID, OTHER_SEED_ID))
    assert rerun > other  # it is timed, beside a process of the baseline that is started for it


def test_the_two_extra_baseline_runs_are_planned() -> None:
    decided = plan("[axes]\nsteps = [4]\n[quality]\nrerun_prompts = 10\n")
    rerun, other = decided.find(RERUN_ID), decided.find(OTHER_SEED_ID)
    assert len(decided.get_prompts(rerun)) == 10
    assert decided.get_seeds(other) == (OTHER_SEED_OFFSET,)
    assert rerun.content_key != other.content_key


def test_random_weights_get_a_rerun_for_timing_only() -> None:
    random_weights = MODEL.model_copy(update={"quality_applies": False})
    decided = plan("[axes]\nsteps = [4]\n", model=random_weights)
    assert [cell.role for cell in decided.cells] == ["baseline", "rerun", "candidate"]
    assert len(decided.prompts) == 1  # one image a cell shows that it can be made


def test_what_cannot_run_is_skipped_with_its_reason() -> None:
    decided = plan('[axes]\nprecision = ["fp32", "fp16"]\nresolution = ["64x64", "60x64"]\n')
    assert "no native FP16" in (decided.find("50-steps_fp16").skip or "")
    assert "multiples of 16" in (decided.find("50-steps_fp32_60x64").skip or "")


def test_a_conflict_with_the_model_names_both_sides() -> None:
    tagged = MODEL.model_copy(update={"tags": frozenset({"no-torch"})})
    reason = plan('[axes]\ncompiler = ["inductor"]\n', model=tagged).find("50-steps_fp32_inductor").skip
    assert reason is not None
    assert "compiler inductor" in reason
    assert "toy" in reason


def test_two_cells_with_one_id_are_refused() -> None:
    with pytest.raises(MatrixError, match="two cells are the same: 4-steps_fp32"):
        plan('[axes]\nsteps = [4]\nprecision = ["auto", "fp32"]\n')


def test_cells_that_share_a_pipeline_stand_together() -> None:
    keys = [p.cell.build_key for p in plan('[axes]\nsteps = [8, 4]\nprecision = ["fp32", "bf16"]\n').compared[1:]]
    assert sum(a != b for a, b in pairwise(keys)) == len(set(keys)) - 1


def test_cells_reading_the_same_files_are_adjacent(tmp_path: Path) -> None:
    for name, content in (("a", b"1"), ("b", b"22")):
        (tmp_path / f"{name}.safetensors").write_bytes(content)
    loras = [f'{{name = "lcm-lora", weights = "{tmp_path}/{name}.safetensors"}}' for name in "ab"]
    axes = f'[axes]\nsteps = [8, 4]\nprecision = ["fp32", "bf16"]\ndistillation = [{loras[0]}, "none", {loras[1]}]\n'
    cells = plan(axes).compared
    files = [planned.cell.by_axis["distillation"] for planned in cells]
    assert files[0] == files[1] == "none"  # the baseline's own files are in the cache already
    assert sum(a != b for a, b in pairwise(files)) == len(loras)
    builds = [planned.cell.build_key for planned in cells]
    assert sum(a != b for a, b in pairwise(builds)) == len(set(builds)) - 1


def test_fetched_model_is_pinned_and_sized() -> None:
    body = '[axes]\nsteps = [4]\n[model]\nsource = "hub"\nid = "a/b"\n'
    absent_files = Download(files=3, size_bytes=3 * 2**30, missing=("x", "y"), missing_bytes=2 * 2**30)
    found = {"pins": {"revision": "c" * 40}, "notes": ("a/b is not pinned",), "download": absent_files}
    decided = plan(body, model=MODEL.model_copy(update=found))
    assert "download before the first cell: 2 files, 2 GiB (1 of 3 are in the cache)" in decided.notes
    assert "a/b is not pinned" in decided.notes
    assert decided.matrix.model.options == {"id": "a/b", "revision": "c" * 40}
    here = Download(files=3, size_bytes=3 * 2**30)
    whole = plan(body, model=MODEL.model_copy(update={"download": here}))
    assert "model files: 3, 3 GiB, all in the cache" in whole.notes


def test_estimate_grows_with_steps_and_guidance() -> None:
    decided = plan('[axes]\nsteps = [4, 8]\n[[include]]\nsteps = 3\ndistillation = "lcm-lora"\n')
    assert decided.find("8-steps_fp32").estimate_s > decided.find("4-steps_fp32").estimate_s
    assert decided.find("3-steps_lcm-lora_fp32").estimate_s < decided.find("4-steps_fp32").estimate_s


def test_content_key_follows_machine_not_commit() -> None:
    text = 'name = "m"\n[axes]\nsteps = [4]\n'
    matrix = parse_matrix(text)

    def key(**changes: object) -> str:
        rate = Rate(image_step_s=0.01, source="t")
        around = PlanContext(model=MODEL, machine=machine(**changes), prompts=(Prompt(id="a", text="b"),), rate=rate)  # type: ignore[arg-type]
        return make_plan(matrix, text, expand(matrix), around).cells[0].content_key

    assert key() == key(git_commit="abc")
    assert key() != key(packages={"torch": "2.15"})


def test_unsafe_characters_keep_cells_apart() -> None:
    lora = '{{name = "lcm-lora", weights = "{}"}}'
    made = plan(f"[axes]\ndistillation = [{lora.format('a/b')}, {lora.format('a-b')}]\n")
    assert len({planned.id for planned in made.compared}) == 3
