"""Make a cell's images in efficient batches and write them."""

import hashlib
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from harness.core.model import Call, TextToImage
from harness.core.outcome import Image
from harness.core.plan import Prompt
from harness.execution.failures import BadImage
from harness.execution.task import Task
from harness.store.layout import image_name

Key = tuple[Prompt, int]

BATCH_PIXELS = {"cpu": 64 * 64 * 32, "cuda": 1024 * 1024 * 4}
"""Pixels per call that keep a device busy without filling its memory."""


def image_batch(task: Task, call: Call) -> int:
    """Return how many images one call makes: as the matrix says, else by size."""
    if task.measure.image_batch:
        return task.measure.image_batch
    return max(1, min(64, BATCH_PIXELS[task.device.partition(":")[0]] // (call.width * call.height)))


def make_pictures(model: TextToImage, task: Task, call: Call, advance: Callable[[int], None]) -> tuple[Image, ...]:
    """Generate and write the image of every (prompt, seed); BadImage if they are not finite or all blank."""
    keys: list[Key] = [(prompt, seed) for prompt in task.prompts for seed in task.seeds]
    written: list[Image] = []
    blank = 0
    for batch in _batches(keys, image_batch(task, call)):
        pixels = generate(model, call, batch)
        blank += int((pixels.max(axis=(1, 2)) == pixels.min(axis=(1, 2))).all(axis=1).sum())
        for (prompt, seed), picture in zip(batch, pixels, strict=True):
            written.append(write_picture(task.folder, prompt.id, seed, picture))
        advance(len(written))
    if blank == len(keys):
        raise BadImage(f"all {blank} images are of one colour")
    return tuple(written)


def generate(model: TextToImage, call: Call, keys: list[Key]) -> Any:
    """Return uint8 pictures of shape (n, height, width, 3) for these keys; BadImage if any value is not finite."""
    prompts = tuple(prompt.text for prompt, _ in keys)
    pairs = tuple((prompt.id, seed) for prompt, seed in keys)
    values = np.asarray(model.generate(call.model_copy(update={"prompts": prompts, "keys": pairs})))
    if not np.isfinite(values).all():
        broken = int((~np.isfinite(values)).any(axis=(1, 2, 3)).sum())
        raise BadImage(f"{broken} of {len(keys)} images hold values that are not numbers (NaN or infinity)")
    return (values.clip(0, 1) * 255).round().astype(np.uint8)


def write_picture(folder: Path, prompt_id: str, seed: int, picture: Any) -> Image:
    """Write one picture as PNG and return its record."""
    from PIL import Image as Pillow

    buffer = io.BytesIO()
    Pillow.fromarray(picture).save(buffer, format="PNG", compress_level=3)
    name = f"images/{image_name(prompt_id, seed)}"
    (folder / name).write_bytes(buffer.getvalue())
    digest = hashlib.sha256(buffer.getvalue()).hexdigest()
    return Image(prompt_id=prompt_id, seed=seed, path=name, sha256=digest)


def _batches(keys: list[Key], size: int) -> Iterator[list[Key]]:
    for start in range(0, len(keys), size):
        yield keys[start : start + size]
