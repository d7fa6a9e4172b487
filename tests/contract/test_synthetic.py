"""Models made from configurations alone: every family, tiny, from the folders of the tiny pipelines."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

import harness
from harness.api import continue_run, open_run
from harness.core.model import Call
from harness.core.outcome import Completed, Roofline
from harness.measure.roofline import OperationCounter
from harness.models import synthetic
from harness.models._configurations import Configuration
from harness.models.synthetic import Synthetic
from harness.store import read_evaluation, read_judgement, read_outcomes
from tests.builders.cell_on_model import FLOAT, distance
from tests.tiny import FAMILIES

CALL = Call(prompts=("a red ring", "7 cats, one hat"), keys=(("p", 0), ("q", 0)), steps=2, guidance=2.0,
            width=32, height=32)  # fmt: skip


@pytest.fixture
def named(tiny: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Synthetic]:
    """Return a function from a family to the synthetic source of its tiny configuration."""
    known = {family: Configuration(title=f"Tiny {family}", id="-", source="-", parameters={}) for family in FAMILIES}
    monkeypatch.setattr(synthetic, "find_configuration", tiny)
    monkeypatch.setattr(synthetic, "read_configurations", lambda: known)
    synthetic._describe.cache_clear()
    return lambda family: Synthetic(name=family)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("family", FAMILIES)
def test_images_are_finite_and_the_same_each_time(named: Callable[[str], Synthetic], family: str, dtype: str) -> None:
    source = named(family)
    model: Any = source.load("cpu", {"dtype": dtype})
    kept = {str(tensor.dtype) for part in model.parts().values() for tensor in part.parameters()}
    assert f"torch.{dtype}" in kept
    arithmetic = OperationCounter(model.denoiser)
    with arithmetic.watching(model.parts()["denoiser"]):
        images = np.asarray(model.generate(CALL))
    if dtype == "bfloat16":  # the operations of every family's denoiser can be counted without data
        assert isinstance(arithmetic.roofline("cpu", dtype), Roofline)
    assert images.shape == (2, 32, 32, 3)
    assert np.isfinite(images).all()
    assert images.std() > 0.01
    assert not np.array_equal(images[0], images[1])
    if dtype == "float32":
        assert distance(np.asarray(source.load("cpu", {"dtype": dtype}).generate(CALL)), images) < FLOAT


def test_overflowing_part_keeps_its_precision(named: Callable[[str], Synthetic]) -> None:
    """transformers keeps the last matrix of each T5 block in FP32 where the rest is FP16."""
    encoder = named("pixart").load("cpu", {"dtype": "float16"}).text_encoders["text_encoder"]
    kinds = {name: str(tensor.dtype) for name, tensor in encoder.named_parameters()}
    assert {kind for name, kind in kinds.items() if ".wo." in name} == {"torch.float32"}
    assert {kind for name, kind in kinds.items() if ".wo." not in name} == {"torch.float16"}


def test_the_same_parts_as_a_folder_and_other_weights(
    named: Callable[[str], Synthetic], tiny: Callable[[str], Path]
) -> None:
    from harness.models.folder import LocalFolder

    made, stored = named("sd3").load("cpu", {}), LocalFolder(path=tiny("sd3")).load("cpu", {})
    assert made.weights_bytes() == stored.weights_bytes()
    ours, theirs = (dict(model.denoiser.named_parameters()) for model in (made, stored))
    assert {name: tensor.shape for name, tensor in ours.items()} == {n: t.shape for n, t in theirs.items()}
    assert not any(np.array_equal(ours[n].detach(), theirs[n].detach()) for n in ours if n.endswith("to_q.weight"))
    # What is computed and not drawn, such as the table of positions, is the same.
    buffers, others = (dict(model.denoiser.named_buffers()) for model in (made, stored))
    assert buffers.keys() == others.keys()
    assert all(np.allclose(buffers[name], others[name]) for name in buffers)


def test_an_unknown_name_is_refused_with_a_suggestion() -> None:
    with pytest.raises(ValidationError, match='Did you mean "flux-dev"'):
        Synthetic(name="flux-dv")


MATRIX = """
name = "random"
model = {source = "synthetic", name = "sdxl"}
seeds = [0, 1]
[axes]
steps = [2, 1]
precision = ["fp32"]
resolution = ["32x32"]
[baseline]
steps = 2
resolution = "32x32"
[prompts]
limit = 2
[measure]
min_s = 0
max_s = 0.1
threads = 1
"""


def test_a_run_tells_speed_and_memory_and_no_quality(named: Callable[[str], Synthetic], tmp_path: Path) -> None:
    assert not named("sdxl").describe().quality_applies
    path = tmp_path / "random.toml"
    path.write_text(MATRIX, encoding="utf-8")
    run = open_run(harness.load(path), results=tmp_path / "results")
    continue_run(run, inline=True)
    outcomes = read_outcomes(run)
    assert set(outcomes) == {"2-steps_fp32", "1-steps_fp32", "baseline-rerun"}
    two, one = outcomes["2-steps_fp32"], outcomes["1-steps_fp32"]
    assert isinstance(two, Completed)
    assert isinstance(one, Completed)
    assert min(len(two.repeats), len(one.repeats)) >= 2
    assert isinstance(two.roofline, Roofline)
    assert isinstance(one.roofline, Roofline)
    assert two.roofline.flops == 2 * one.roofline.flops > 0
    harness.evaluate(run)
    assert harness.gate(run).result == "pass"
    judgement = read_judgement(run)
    assert judgement is not None
    assert judgement.cells == ()
    evaluation = read_evaluation(run)
    assert evaluation is not None
    assert evaluation.deltas == ()
    page = harness.report(run, tmp_path / "report").read_text(encoding="utf-8")
    assert "Quality does not apply: the model has random weights" in page
    assert "× its arithmetic bound" in page
