"""The whole path on the bundled model, small: real images, real metrics, verdicts, a report."""

from pathlib import Path

import numpy as np
import pytest

from harness import api
from harness.core.matrix import Measure, Model
from harness.core.model import Call
from harness.core.outcome import Completed
from harness.core.plan import PlannedCell, Prompt
from harness.execution.images import generate_images
from harness.execution.task import Task
from harness.models import resolve_model, shapes
from harness.store import image_path, read_outcomes

pytestmark = pytest.mark.skipif(not shapes.LCM_LORA.exists(), reason="the bundled weights are not there")

MATRIX = """
name = "small"
[axes]
steps = [8, 2]
[[include]]
steps = 4
distillation = "lcm-lora"
[baseline]
steps = 8
[prompts]
set = "shapes"
limit = 12
[measure]
min_s = 0
max_s = 0.1
[quality]
rerun_prompts = 4
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundled")
    (folder / "small.toml").write_text(MATRIX, encoding="utf-8")
    return api.run(api.load(folder / "small.toml"), results=folder / "results")


def test_cells_complete_and_count_denoiser_calls(run: Path) -> None:
    outcomes = read_outcomes(run)
    assert all(isinstance(outcome, Completed) for outcome in outcomes.values())
    calls = {cell_id: outcome.denoiser_calls for cell_id, outcome in outcomes.items() if isinstance(outcome, Completed)}
    assert calls["8-steps_fp32"] == 8
    assert calls["4-steps_lcm-lora_fp32"] == 4


def test_rerun_in_another_process_has_the_same_images(run: Path) -> None:
    outcomes = read_outcomes(run)
    first, again = outcomes["8-steps_fp32"], outcomes["baseline-rerun"]
    assert isinstance(first, Completed)
    assert isinstance(again, Completed)
    known = {image.key: _pixels(image_path(run, "8-steps_fp32", image)).astype(int) for image in first.images}
    for image in again.images:  # the rerun's batches have another size: float noise, after rounding
        assert np.abs(known[image.key] - _pixels(image_path(run, "baseline-rerun", image))).max() <= 1


def test_it_is_scored_judged_and_reported(run: Path) -> None:
    evaluation = api.evaluate(run)
    assert not evaluation.missing
    assert {delta.metric for delta in evaluation.deltas} == set(shapes.METRICS)
    judgement = api.gate(run)
    assert {cell.cell_id for cell in judgement.cells} == {"2-steps_fp32", "4-steps_lcm-lora_fp32"}
    assert all(cell.result in ("fail", "inconclusive") for cell in judgement.cells)  # 12 prompts can pass nothing
    assert api.report(run).stat().st_size > 100_000
    assert set(api.frame(run).iloc[:, 0]) >= {"8-steps_fp32"}


@pytest.mark.parametrize("source", ["fake", "bundled"])
def test_images_do_not_depend_on_parallel_batches(source: str, tmp_path: Path) -> None:
    origin = resolve_model(Model(source=source))
    side = origin.describe().width
    prompts = tuple(Prompt(id=f"p{n}", text="a small red circle on a white background") for n in range(7))
    call = Call(prompts=(), keys=(), steps=3, guidance=2.0, width=side, height=side)
    seen = []
    for lanes in (1, 2):
        folder = tmp_path / str(lanes)
        (folder / "images").mkdir(parents=True)
        task = Task.model_construct(
            planned=PlannedCell.model_construct(),
            measure=Measure(image_batch=4),
            prompts=prompts,
            image_prompts=prompts,
            seeds=(0, 1),
            device="cpu",
            folder=folder,
        )
        told: list[int] = []
        images = generate_images(origin.load("cpu", {}), task, call, lanes, told.append).images
        assert [image.key for image in images] == [(p.id, seed) for p in prompts for seed in (0, 1)]
        assert told[-1] == 14
        seen.append(np.stack([_pixels(folder / image.path) for image in images]).astype(int))
    assert np.abs(seen[0] - seen[1]).max() <= 1  # float noise of another batch size, after rounding


def _pixels(path: Path) -> np.ndarray:
    from PIL import Image

    return np.asarray(Image.open(path))
