"""Generate a cell's images in batches and write them."""

import hashlib
import io
import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from harness.core.model import Call, TextToImage
from harness.core.outcome import Caution, Image
from harness.core.plan import Prompt
from harness.execution.task import BadImage, Task, make_call
from harness.measure.memory import release_cached
from harness.process_memory import is_out_of_memory
from harness.store.layout import image_name

Key = tuple[Prompt, int]
BATCH_PIXELS = {"cpu": 64 * 64 * 32, "cuda": 1024 * 1024 * 4}
"""Pixels of a call that keep a device busy; if memory runs out, calls become smaller."""


class BatchLimit:
    """The number of images a call may generate, halved when memory runs out; shared by threads."""

    def __init__(self, images: int) -> None:
        self.asked = self.images = images
        self._lock = threading.Lock()

    def attempt(self, make: Callable[[list[Key]], Any], keys: list[Key], device: str) -> Any:
        """Return the result of `make` for the first keys; raises if a single key fails."""
        while True:
            count = min(len(keys), self.images)
            try:
                return make(keys[:count])
            except Exception as error:
                if count == 1 or not is_out_of_memory(error):
                    raise
            # Memory can be released only here, after the error has dropped the call's tensors.
            with self._lock:
                self.images = min(self.images, count // 2)
            release_cached(device)

    def cautions(self) -> tuple[Caution, ...]:
        """Return a warning if the number was reduced."""
        if self.images == self.asked:
            return ()
        asked, used = self.asked, self.images
        message = f"memory ran out at {asked} images per call: generated {used} at a time"
        advice = f"Set measure.image_batch = {used}; timed calls do not depend on it."
        return (Caution(kind="image-batch-halved", message=message, advice=advice),)


class MadeImages(NamedTuple):
    """The images of a cell, and warnings about their generation."""

    images: tuple[Image, ...]
    cautions: tuple[Caution, ...]


class Batch(NamedTuple):
    """Some images of a cell, and how many of them have only one colour."""

    images: tuple[Image, ...]
    blank: int


def choose_image_batch(task: Task, call: Call) -> int:
    """Return the number of images per call: measure.image_batch, or a default by size."""
    if task.measure.image_batch:
        return task.measure.image_batch
    pixels = BATCH_PIXELS[task.device.partition(":")[0]]
    return max(1, min(64, pixels // (call.width * call.height)))


def generate_images(
    model: TextToImage, task: Task, call: Call, lanes: int, advance: Callable[[int], None]
) -> MadeImages:
    """Generate and write the image of every (prompt, seed).

    `lanes` batches are generated concurrently, each by a thread with one core: on a CPU that is up
    to twice as fast as all cores on one batch, since small operations do not parallelize well. No
    image depends on it. Raises BadImage if an image is not finite, or all have only one colour.
    """
    keys: list[Key] = [(prompt, seed) for prompt in task.image_prompts for seed in task.seeds]
    limit = BatchLimit(max(1, choose_image_batch(task, call) // lanes))
    batches = [keys[start : start + limit.asked] for start in range(0, len(keys), limit.asked)]
    free: queue.SimpleQueue[TextToImage] = queue.SimpleQueue()
    for twin in (model, *(model.twin() for _ in range(lanes - 1))):
        free.put(twin)

    def work(batch: list[Key]) -> Batch:
        twin = free.get()
        try:
            return _make_batch(twin, task, call, batch, limit)
        finally:
            free.put(twin)

    made: list[Batch] = []
    for batch in _in_lanes(work, batches, lanes):
        made.append(batch)
        advance(sum(len(done.images) for done in made))
    if sum(batch.blank for batch in made) == len(keys):
        raise BadImage(f"all {len(keys)} images are of one colour")
    by_key = {image.key: image for batch in made for image in batch.images}
    return MadeImages(tuple(by_key[prompt.id, seed] for prompt, seed in keys), limit.cautions())


def _make_batch(
    model: TextToImage, task: Task, call: Call, keys: list[Key], limit: BatchLimit
) -> Batch:
    """Generate a batch by one call, or by several if memory runs out."""
    parts: list[Any] = []
    left = keys
    while left:
        parts.append(limit.attempt(partial(generate, model, call), left, model.device))
        left = left[len(parts[-1]) :]
    pixels = np.concatenate(parts)
    blank = int((pixels.max(axis=(1, 2)) == pixels.min(axis=(1, 2))).all(axis=1).sum())
    pairs = zip(keys, pixels, strict=True)
    images = [write_image(task.folder, key[0].id, key[1], pixels) for key, pixels in pairs]
    return Batch(tuple(images), blank)


def _in_lanes(
    work: Callable[[list[Key]], Batch], batches: list[list[Key]], lanes: int
) -> Iterator[Batch]:
    """Yield the results in order; an error cancels the rest."""
    if lanes == 1:
        yield from map(work, batches)
        return
    with ThreadPoolExecutor(lanes, initializer=use_one_core) as pool:
        try:
            yield from pool.map(work, batches)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def use_one_core() -> None:
    """Make this thread compute on one core; torch has the setting per thread."""
    import torch

    torch.set_num_threads(1)


def generate(model: TextToImage, call: Call, keys: list[Key]) -> Any:
    """Return uint8 images of shape (n, height, width, 3); BadImage if a value is not finite."""
    values = np.asarray(model.generate(make_call(call, keys)))
    if not np.isfinite(values).all():
        broken = int((~np.isfinite(values)).any(axis=(1, 2, 3)).sum())
        raise BadImage(f"{broken} of {len(keys)} images have NaN or infinite values")
    return (values.clip(0, 1) * 255).round().astype(np.uint8)


def write_image(folder: Path, prompt_id: str, seed: int, image: Any) -> Image:
    """Write one image as PNG and return its record."""
    from PIL import Image as Pillow

    buffer = io.BytesIO()
    Pillow.fromarray(image).save(buffer, format="PNG", compress_level=3)
    name = image_name(prompt_id, seed)
    (folder / name).write_bytes(buffer.getvalue())
    digest = hashlib.sha256(buffer.getvalue()).hexdigest()
    return Image(prompt_id=prompt_id, seed=seed, path=name, sha256=digest)
