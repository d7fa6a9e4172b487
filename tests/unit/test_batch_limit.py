"""Images that do not fit into memory together are made in smaller calls."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.core.matrix import Measure
from harness.core.model import Call
from harness.core.outcome import Image
from harness.core.plan import PlannedCell, Prompt
from harness.execution.images import MadeImages, generate_images
from harness.execution.task import Task
from harness.models.fake import FakeModel

PROMPTS = tuple(Prompt(id=f"p{n}", text=f"image {n}") for n in range(7))
CALL = Call(prompts=(), keys=(), steps=2, guidance=1, width=8, height=8)


class OutOfMemoryError(RuntimeError):
    """Named as torch's, which is known by its name."""


class Small:
    """Says that memory ran out where a call makes more images than fit."""

    def __init__(self, fits: int, error: Exception) -> None:
        self.fits, self.error = fits, error
        self.sizes: list[int] = []

    def __call__(self, model: Any, call: Call) -> Any:
        self.sizes.append(len(call.prompts))
        if len(call.prompts) > self.fits:
            raise self.error
        return FakeModel.text_to_image(model, call)


def make(folder: Path, draw: Callable[..., Any], lanes: int = 1) -> MadeImages:
    folder.mkdir()
    (folder / "images").mkdir()
    model = FakeModel(0.0, {}, "cpu")
    model.draw = draw
    task = Task.model_construct(
        planned=PlannedCell.model_construct(), measure=Measure(image_batch=4), prompts=PROMPTS, image_prompts=PROMPTS,
        seeds=(0,), device="cpu", folder=folder,
    )  # fmt: skip
    return generate_images(model, task, CALL, lanes, lambda _: None)


def plain(folder: Path) -> tuple[Image, ...]:
    made = make(folder, FakeModel.text_to_image)
    assert not made.cautions
    return made.images


@pytest.mark.parametrize("error", [OutOfMemoryError("tried to allocate 2 GiB"), RuntimeError("CUDA out of memory")])
def test_out_of_memory_call_is_repeated_with_half(tmp_path: Path, error: Exception) -> None:
    small = Small(1, error)
    made = make(tmp_path / "small", small)
    assert small.sizes == [4, 2, *[1] * 7]  # and what was learned holds for the batches that follow
    assert made.images == plain(tmp_path / "plain")
    (caution,) = made.cautions
    assert caution.kind == "image-batch-halved"
    assert caution.message == "memory ran out at 4 images per call: generated 1 at a time"
    assert "measure.image_batch = 1" in caution.advice


def test_lanes_share_what_they_learn(tmp_path: Path) -> None:
    made = make(tmp_path / "small", Small(1, MemoryError("no room")), lanes=2)
    assert made.images == plain(tmp_path / "plain")
    assert [caution.kind for caution in made.cautions] == ["image-batch-halved"]


def test_one_image_out_of_memory_ends_the_cell(tmp_path: Path) -> None:
    none = Small(0, OutOfMemoryError("tried to allocate 2 GiB"))
    with pytest.raises(OutOfMemoryError):
        make(tmp_path / "none", none)
    assert none.sizes == [4, 2, 1]
    broken = Small(0, ValueError("broken"))
    with pytest.raises(ValueError, match="broken"):
        make(tmp_path / "broken", broken)
    assert broken.sizes == [4]
