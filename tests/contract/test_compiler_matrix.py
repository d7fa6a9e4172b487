"""One TensorRT engine for the cells of a matrix that differ in size, batch, guidance or steps; built without a GPU.

Only what names the card and what runs the engine is stood in for: the denoiser itself computes in its place.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.axes.compiler._artefacts import Artefact
from harness.axes.compiler._engine import PLAN, EngineRequest, Profile
from harness.axes.compiler._replacement import Inputs, Recording, join, record
from harness.core.axis import Setup, Shape
from harness.core.matrix import Model
from harness.core.plan import Plan, Rate
from harness.execution.build import Built, apply_values, load_model, read_recipe
from harness.execution.task import Task, make_task
from harness.matrix import expand, parse_matrix
from harness.models import resolve_model
from harness.planning import PlanContext, make_plan
from tests.builders.cell_on_model import PROMPTS
from tests.contract.test_compiler_export import load
from tests.contract.test_compiler_tensorrt import machine, needs_rtx

Tiny = Callable[[str], Path]
SIZES = 'resolution = ["64x64", "32x32"]\nbatch = [1, 4]\nsteps = [2]\nguidance = [2]'


def decide(folder: Path, compiler: str = "tensorrt-rtx", axes: str = SIZES) -> Plan:
    """Return the plan of a matrix on a tiny model, on a computer with an RTX card."""
    text = f'name = "m"\n[axes]\nprecision = ["fp32"]\ncompiler = ["{compiler}"]\n{axes}\n'
    model = Model(source="folder", options={"path": str(folder)})
    matrix = parse_matrix(text).model_copy(update={"model": model})
    info, rate = resolve_model(model).describe(), Rate(image_step_s=0.01, source="test")
    around = PlanContext(model=info, machine=machine((8, 6)), prompts=PROMPTS, rate=rate)
    return make_plan(matrix, text, expand(matrix), around)


def tasks(plan: Plan) -> dict[str, Task]:
    """Return the tasks of the cells with an engine by id, as a worker gets them: read from JSON, on the CPU here."""
    ready = [planned for planned in plan.cells if planned.skip is None and planned.role == "candidate"]
    made = [make_task(plan, planned, Path(), plan.get_prompts(planned)[:1]) for planned in ready]
    tasks = [Task.model_validate_json(task.model_dump_json()) for task in made]
    return {task.planned.id: task.model_copy(update={"device": "cpu"}) for task in tasks}


class StandIn:
    """Computes what the engine would, in torch; remembers engines and profiles."""

    built: list[Artefact] = []
    profiles: list[Profile] = []

    def __init__(self, denoiser: Any, built: Artefact, request: EngineRequest, recording: Recording) -> None:
        self.built.append(built)
        self.profiles.append(request.profile)
        self.denoiser, self.constants = denoiser, recording.inputs.constants

    def run(self, tensors: dict[str, Any]) -> Any:
        with torch.no_grad():
            return self.denoiser(**join(Inputs(tensors, self.constants)))[0]


@pytest.fixture
def apply(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Task, Path], Built]:
    """Return a function that sets a cell up as its worker does."""
    monkeypatch.setattr("harness.axes.compiler._engine.describe_gpu", lambda device: "sm_86")
    monkeypatch.setattr(StandIn, "built", [])
    monkeypatch.setattr(StandIn, "profiles", [])

    def set_up(family: str, task: Task, cache: Path) -> Built:
        denoiser = load(tiny(family)).denoiser
        session = "harness.axes.compiler._engine.EngineSession"
        monkeypatch.setattr(session, partial(StandIn, denoiser))
        recipe = read_recipe(task.planned.cell)
        call = recipe.call(task.prompts, task.seeds)
        return apply_values(load_model(task, recipe), recipe, Setup(call, recipe.batch, cache, task.shapes))

    return set_up


@pytest.fixture
def unbuilt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep graphs and engines under their own keys, but make none: that is slow."""
    monkeypatch.setattr("harness.axes.compiler._onnx.export", lambda *given: {"nodes": 1, "bytes": 1})
    nothing = {"bytes": 1, "layers": 1, "precisions": {}}
    monkeypatch.setattr("harness.axes.compiler._engine._build", lambda order, path: dict(nothing))
    monkeypatch.setattr("harness.axes.compiler._engine.find_version", lambda package: "1")


def test_task_knows_the_calls_of_its_build(tiny: Tiny) -> None:
    axes = 'steps = [2, 4]\nguidance = [1, 3]\nresolution = ["64x64", "33x33"]\nbatch = [1, 2]\nscheduler = ["default"'
    wanted = tuple(Shape(64, 64, guidance, images) for guidance in (1.0, 3.0) for images in (1, 2))
    full = decide(tiny("sd"), axes=f'{axes}, "ddim"]')
    assert any(planned.skip for planned in full.cells), "33x33 cannot be drawn"
    assert [task.shapes for task in tasks(full).values()] == [wanted] * 16
    other = {"compiler": "tensorrt-rtx", "precision": "fp32", "scheduler": "ddim", "resolution": "32x32", "guidance": 3}
    lines = [f"{axis} = {value!r}" for axis, value in {**other, "steps": 2}.items()]
    found = tasks(decide(tiny("sd"), axes="\n".join([f"{axes}]", "[[include]]", *lines])))
    mine = {task.shapes for name, task in found.items() if "ddim" not in name}
    assert mine == {wanted}, "what only another build's cells ask for is not among them"
    assert [task.shapes for name, task in found.items() if "ddim" in name] == [(Shape(32, 32, 3.0, 1),)]


@pytest.mark.parametrize(
    ("family", "compiler", "engines"),
    [
        ("sd", "tensorrt-rtx", 1),
        ("flux", "tensorrt-rtx", 1),
        ("pixart", "tensorrt-rtx", 2),  # its graph holds one size: only batches share it
        ("sd", "tensorrt-rtx+dynamic=false", 4),
    ],
)
@pytest.mark.usefixtures("unbuilt")
def test_cells_of_other_size_and_batch_share_engines(
    family: str, compiler: str, engines: int, tiny: Tiny, tmp_path: Path, apply: Callable[[str, Task, Path], Built]
) -> None:
    found = tasks(decide(tiny(family), compiler))
    assert len(found) == 4
    model = load(tiny(family))
    for task in found.values():
        built, profile = apply(family, task, tmp_path), StandIn.profiles[-1]
        call = read_recipe(task.planned.cell).call()
        given = record(model, call).inputs.tensors
        for name, (least, _, greatest) in profile.shapes.items():
            bounds = list(zip(least, given[name].shape, greatest, strict=True))[1:]  # two images are recorded
            assert all(low <= size <= high for low, size, high in bounds), (task.planned.id, name)
        rows = read_recipe(task.planned.cell).batch * (1 if family == "flux" else 2)
        assert profile.min_rows <= rows <= profile.max_rows
        assert built.model.denoiser.calls == 0
    assert len({built.folder for built in StandIn.built}) == engines


@pytest.mark.usefixtures("unbuilt")
def test_steps_share_an_engine_and_sizes_do_not(
    tiny: Tiny, tmp_path: Path, apply: Callable[[str, Task, Path], Built]
) -> None:
    for axes in ('steps = [2, 4]\nresolution = ["32x32"]', 'steps = [2]\nresolution = ["32x32", "64x64"]'):
        for task in tasks(decide(tiny("sd"), axes=axes)).values():
            apply("sd", task, tmp_path)
    first, second, third, fourth = (built.folder for built in StandIn.built)
    assert first == second != third == fourth


@needs_rtx
def test_one_engine_serves_the_cells_of_a_matrix(
    tiny: Tiny, cache: Path, apply: Callable[[str, Task, Path], Built]
) -> None:
    found = tasks(decide(tiny("sd")))
    figures = []
    for task in (found["2-steps_cfg-2_fp32_tensorrt-rtx_64x64_batch-4"], found["2-steps_cfg-2_fp32_tensorrt-rtx"]):
        built = apply("sd", task, cache)
        built.start()
        built.model.generate(read_recipe(task.planned.cell).call(task.prompts, task.seeds))
        figures.append(next(row for row in built.report(1) if row.axis == "compiler").figures)
    engine = StandIn.built[0]
    assert (engine.folder / PLAN).stat().st_size == engine.facts["bytes"] > 2**16
    assert engine.facts["precisions"]["layers_float"] > 100, "strongly typed: FP32 stays FP32"
    assert not any("half" in name or "bf16" in name for name in engine.facts["precisions"])
    assert [row["cache_hits"] for row in figures] == [0, 1]
    ranges = {"profile_min": "1x4x4x4", "profile_opt": "8x4x16x16", "profile_max": "8x4x16x16"}
    assert [{name: row[name] for name in ranges} for row in figures] == [ranges] * 2
