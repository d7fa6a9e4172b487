"""Check the verdicts of a run on the bundled model against the truth: `python -m tests.truth RUN [--damages]`.

The attribute net tells which images show all that their captions ask for. For each candidate it prints the verdict,
the true loss of correct images with its 95 % interval, and whether a passing cell loses more than the margin.

With `--damages`, copies of the baseline's images are damaged in ways the ladder does not know, and go through
evaluate and gate as candidates: none of them may pass. Exit code 1 where a verdict contradicts the truth.
"""

import argparse
import hashlib
import io
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image as PillowImage
from PIL import ImageFilter

from harness.core.axis import Setting
from harness.core.outcome import Completed, Image, Outcome
from harness.evaluation import evaluate
from harness.gating import judge
from harness.metrics._bundled import load_attribute_network
from harness.shapes_world import parse
from harness.stats.confidence import lower_bound, upper_bound
from harness.stats.proportions import difference
from harness.store import begin_cell, create_run, image_path, read_outcomes, read_plan, write_outcome

MARGIN = 0.05
MOST_PROMPTS = 256
Pixels = np.ndarray
Damage = Callable[[Pixels], Pixels]


def _each(change: Callable[[PillowImage.Image], PillowImage.Image]) -> Damage:
    return lambda pixels: np.stack([np.asarray(change(PillowImage.fromarray(p))) for p in pixels])


def _clipped(pixels: Pixels) -> Pixels:
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)


def _tile_seams(pixels: Pixels) -> Pixels:
    """Every other tile of a quarter's side is brighter."""
    side = pixels.shape[1] // 4
    y, x = np.mgrid[: pixels.shape[1], : pixels.shape[2]] // side
    return _clipped(pixels + 16.0 * ((x + y) % 2 - 0.5)[..., None])


def _motion_blur(pixels: Pixels) -> Pixels:
    padded = np.pad(pixels.astype(np.float32), ((0, 0), (0, 0), (2, 2), (0, 0)), mode="edge")
    return _clipped(sum(padded[:, :, k : k + pixels.shape[2]] for k in range(5)) / 5)


def _impulses(pixels: Pixels) -> Pixels:
    rng = np.random.default_rng(0)
    found = pixels.copy()
    hit = rng.random(pixels.shape[:3]) < 0.01
    found[hit] = rng.integers(0, 2, hit.sum())[:, None] * 255
    return found


def _erased(pixels: Pixels) -> Pixels:
    """The middle of every fifth image is gone."""
    found = pixels.copy()
    quarter = pixels.shape[1] // 4
    found[::5, quarter:-quarter, quarter:-quarter] = found[::5, :1, :1]
    return found


DAMAGES: dict[str, Damage] = {
    "median filter": _each(lambda image: image.filter(ImageFilter.MedianFilter(9))),
    "motion blur": _motion_blur,
    "pixels of 4": _each(lambda image: image.resize((16, 16)).resize(image.size, PillowImage.Resampling.NEAREST)),
    "impulse noise": _impulses,
    "tile seams": _tile_seams,
    "gamma 1.5": lambda pixels: _clipped(255 * (pixels / 255) ** 1.5),
    "tint": lambda pixels: _clipped(pixels + np.array([14.0, 0.0, -14.0])),
    "grey": lambda pixels: pixels.mean(axis=3, keepdims=True).repeat(3, axis=3).astype(np.uint8),
    "inverted": lambda pixels: 255 - pixels,
    "every fifth erased": _erased,
    "every fifth another's": lambda pixels: np.where(
        (np.arange(len(pixels)) % 5 == 0)[:, None, None, None], np.roll(pixels, 7, axis=0), pixels
    ),
    "upside down": lambda pixels: pixels[:, ::-1],
}


def read(run: Path, cell_id: str, outcome: Completed) -> Pixels:
    """Return a cell's images in the order of its outcome, uint8 (n, 64, 64, 3)."""
    shown = []
    for image in outcome.images:
        with PillowImage.open(image_path(run, cell_id, image)) as opened:
            shown.append(np.asarray(opened.convert("RGB").resize((64, 64), PillowImage.Resampling.BICUBIC)))
    return np.stack(shown)


def correct(pixels: Pixels, texts: list[str]) -> np.ndarray:
    """Return which images show all that their captions ask for."""
    net = load_attribute_network()
    labels = np.concatenate([np.asarray(net.extract(pixels[i : i + 64]).labels) for i in range(0, len(pixels), 64)])
    return np.asarray((labels == np.array([parse(text).labels for text in texts])).all(axis=1))


def damaged_run(run: Path, root: Path) -> Path:
    """Return a run whose candidates are damaged copies of the baseline's first images."""
    plan, outcomes = read_plan(run), read_outcomes(run)
    plan = plan.model_copy(update={"prompts": plan.prompts[:MOST_PROMPTS]})
    kept = {prompt.id for prompt in plan.prompts}
    outcomes = {
        cell_id: _first(outcome, kept) for cell_id, outcome in outcomes.items() if outcome.status == "completed"
    }
    baseline = outcomes[plan.baseline_id]
    pattern = next(planned for planned in plan.cells if planned.role == "candidate")
    extra = [planned for planned in plan.cells if planned.role in ("baseline", "rerun", "other-seed")]
    made = {}
    for order, name in enumerate(DAMAGES):
        cell = pattern.cell.model_copy(update={"id": name.replace(" ", "-").replace("'", "")})
        settings = (*tuple(s for s in cell.settings if s.axis != "steps"), Setting(axis="steps", name=str(order + 1)))
        made[name] = pattern.model_copy(update={"cell": cell.model_copy(update={"settings": settings}), "skip": None})
    damaged = create_run(root, plan.model_copy(update={"cells": (*extra, *made.values()), "interim_analyses": ()}), "")
    for planned in extra:
        if planned.id in outcomes:
            shutil.copytree(run / "cells" / planned.id, damaged / "cells" / planned.id)
            write_outcome(damaged, planned.id, outcomes[planned.id])
    pixels = read(run, plan.baseline_id, baseline)
    for name, planned in made.items():
        folder = begin_cell(damaged, planned.id)
        images = tuple(_write(folder, image, pixels) for image, pixels in
                       zip(baseline.images, DAMAGES[name](pixels), strict=True))  # fmt: skip
        write_outcome(damaged, planned.id, baseline.model_copy(update={"images": images}))
    return damaged


def _first(outcome: Outcome, prompts: set[str]) -> Completed:
    assert isinstance(outcome, Completed)
    images = tuple(image for image in outcome.images if image.prompt_id in prompts)
    return outcome.model_copy(update={"images": images})


def _write(folder: Path, image: Image, pixels: Pixels) -> Image:
    buffer = io.BytesIO()
    PillowImage.fromarray(pixels).save(buffer, "PNG")
    path = folder / image.path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(buffer.getvalue())
    return image.model_copy(update={"sha256": hashlib.sha256(buffer.getvalue()).hexdigest()})


def contradictions(run: Path) -> int:
    """Print verdict and truth of every candidate; return how many cells pass that surely lose the margin or more."""
    plan, outcomes, wrong = read_plan(run), read_outcomes(run), 0
    texts = {prompt.id: prompt.text for prompt in plan.prompts}
    baseline = outcomes[plan.baseline_id]
    assert isinstance(baseline, Completed)
    right = correct(read(run, plan.baseline_id, baseline), [texts[image.prompt_id] for image in baseline.images])
    known = {image.key: bool(found) for image, found in zip(baseline.images, right, strict=True)}
    print(f"baseline: {right.mean():.1%} of {len(right)} images are correct")
    for verdict in judge(run).cells:
        outcome = outcomes[verdict.cell_id]
        assert isinstance(outcome, Completed)
        own = correct(read(run, verdict.cell_id, outcome), [texts[image.prompt_id] for image in outcome.images])
        before = np.array([known[image.key] for image in outcome.images])
        lost, gained = float((before & ~own).sum()), float((~before & own).sum())
        spread, span = difference(lost, gained, len(own)), before.mean()
        low, high = lower_bound(spread, 0.975) / span, upper_bound(spread, 0.975) / span
        contradicted = verdict.result == "pass" and low >= MARGIN
        wrong += contradicted
        mark = "  CONTRADICTED" if contradicted else ""
        loss = (lost - gained) / len(own) / span
        print(f"{verdict.result:12}  {loss:6.1%} [{low:.1%}, {high:.1%}] of correct images  {verdict.cell_id}{mark}")
    return wrong


def main() -> int:
    """Check a run; return 1 where a verdict contradicts the truth."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--damages", action="store_true", help="also damage the baseline's images and judge them")
    given = parser.parse_args()
    wrong = contradictions(given.run)
    if given.damages:
        with tempfile.TemporaryDirectory() as folder:
            damaged = damaged_run(given.run, Path(folder))
            evaluate(damaged)
            for verdict in judge(damaged).cells:
                wrong += verdict.result == "pass"
                print(f"{verdict.result:12}  {verdict.cell_id}: {verdict.reason[:140]}")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
