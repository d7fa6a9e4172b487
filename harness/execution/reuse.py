"""The extra baseline runs are the same in every run of a model: take their images over instead of making them."""

import hashlib
import os
import shutil
from pathlib import Path

from harness.core.outcome import UNTIMED, Completed, Failed, Memory
from harness.core.plan import Plan, PlannedCell
from harness.core.units import Absent
from harness.store import completed_twins
from harness.store.layout import RunFolder


def reuse(run: Path, plan: Plan, planned: PlannedCell, have: int, wanted: int) -> Completed | None:
    """Link the images of prompts `have` to `wanted` from an earlier run with exactly the same content.

    Returns an outcome with these images and nothing of what was measured there, or None where no run has all of them
    undamaged: a run with a damaged one is passed over, so that it is made again here.
    Only the baseline's rerun and other-seed run are taken over; what is timed is timed in its own run.
    """
    if planned.role not in ("rerun", "other-seed"):
        return None
    prompts, seeds = plan.prompts_of(planned)[have:wanted], plan.seeds_of(planned)
    keys = [(prompt.id, seed) for prompt in prompts for seed in seeds]
    for source, cell_id, outcome in completed_twins(run.parent, planned.content_key):
        by_key = {image.key: image for image in outcome.images}
        if not set(keys) <= by_key.keys():
            continue
        images = tuple(by_key[key] for key in keys)
        folders = RunFolder(source).cell(cell_id), RunFolder(run).cell(planned.id)
        if all(_link(folders[0] / image.path, folders[1] / image.path, image.sha256) for image in images):
            return _bare(outcome, source.name).model_copy(update={"images": images})
        for image in images:  # what is made here must not be written through a link into that run
            (folders[1] / image.path).unlink(missing_ok=True)
    return None


def _bare(outcome: Completed, source: str) -> Completed:
    """Return what is true of a cell in whatever run: not what it cost or did in that one, nor files left there."""
    elsewhere = Absent(absent=f"its images were taken over from {source}")
    return Completed(
        cold_start=elsewhere,
        warmup_s=(),
        batch=outcome.batch,
        images=(),
        denoiser_calls=outcome.denoiser_calls,
        weights_bytes=outcome.weights_bytes,
        memory=Memory.model_validate(dict.fromkeys(Memory.model_fields, elsewhere)),
        floor=elsewhere,
        threads=outcome.threads,
        phases_s={},
        trace=elsewhere,
        reused_from=source,
    )


def with_images_of(reused: Completed | None, made: Completed | Failed) -> Completed | Failed:
    """Return what was measured with the images that were taken over; they are there also where measuring failed."""
    if reused is None:
        return made
    if isinstance(made, Failed):
        why = f"{made.kind} in {made.phase}: {made.message}"
        return reused.model_copy(update={"pairing": UNTIMED.model_copy(update={"stopped": f"not timed: {why}"})})
    return made.model_copy(update={"images": reused.images, "reused_from": reused.reused_from})


def _link(origin: Path, target: Path, sha256: str) -> bool:
    """Make `target` the same file, or a copy where the file system has no links; whether it is the recorded picture."""
    try:
        target.unlink(missing_ok=True)  # left by an interrupted round
        os.link(origin, target)
    except OSError:
        try:
            shutil.copyfile(origin, target)
        except OSError:
            return False
    return hashlib.sha256(target.read_bytes()).hexdigest() == sha256
