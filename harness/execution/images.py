"""Generate a cell's images in batches and write them."""

import gc
import hashlib
import io
import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from harness.core.model import Call, TextToImage
from harness.core.outcome import Caution, Image
from harness.core.plan import Prompt
from harness.execution.task import BadImage, Task, call_for, is_out_of_memory
from harness.store.layout import image_name

Item = TypeVar("Item")
Made = TypeVar("Made")


class BatchLimit:
    """Room for the images of one call, halved whenever memory runs out; shared by all threads of a cell."""

    def __init__(self, images: int) -> None:
        self.asked = self.images = images
        self._lock = threading.Lock()

    def attempt(self, make: Callable[[list[Item]], Made], keys: list[Item], device: str) -> Made:
        """Return what `make` gives for the first of these keys, as many as there is room for; one that fails raises."""
        while True:
            count = min(len(keys), self.images)
            try:
                return make(keys[:count])
            except Exception as error:
                if count == 1 or not is_out_of_memory(error):
                    raise
            # Only here, when the error has let go of the call's tensors, is there anything to free.
            with self._lock:
                self.images = min(self.images, count // 2)
            _free(device)

    def cautions(self) -> tuple[Caution, ...]:
        """Return a warning if less room was found than asked for."""
        if self.images == self.asked:
            return ()
        message = f"memory ran out at {self.asked} images a call: the pictures were made {self.images} at a time"
        advice = f"Set measure.image_batch = {self.images} to make them so at once; no timed figure depends on it."
        return (Caution(kind="image-batch-halved", message=message, advice=advice),)


def _free(device: str) -> None:
    """Give back what torch keeps of a device's memory for later, and what the broken call's cycles hold."""
    if device.startswith("cuda"):
        import torch

        gc.collect()
        torch.cuda.empty_cache()


Key = tuple[Prompt, int]

BATCH_PIXELS = {"cpu": 64 * 64 * 32, "cuda": 1024 * 1024 * 4}
"""Pixels per call that keep a device busy; where they fill its memory, calls become smaller."""


class Pictures(NamedTuple):
    """The images of a cell, and what a reader must know of how they were made."""

    images: tuple[Image, ...]
    cautions: tuple[Caution, ...]


def image_batch(task: Task, call: Call) -> int:
    """Return how many images one call makes: as the matrix says, else by size."""
    if task.measure.image_batch:
        return task.measure.image_batch
    return max(1, min(64, BATCH_PIXELS[task.device.partition(":")[0]] // (call.width * call.height)))


def make_pictures(model: TextToImage, task: Task, call: Call, lanes: int, advance: Callable[[int], None]) -> Pictures:
    """Generate and write the image of every (prompt, seed); BadImage if they are not finite or all blank.

    A call that runs out of memory is made again with half as many images, down to one.
    `lanes` batches are made at a time, each by a thread with one core: on a CPU that is up to twice as fast as
    all cores on one batch, since small operations do not divide well. No image depends on it.
    """
    keys: list[Key] = [(prompt, seed) for prompt in task.pictured for seed in task.seeds]
    limit = BatchLimit(max(1, image_batch(task, call) // lanes))
    batches = list(_batches(keys, limit.asked))
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
    return Pictures(tuple(by_key[prompt.id, seed] for prompt, seed in keys), limit.cautions())


class Batch(NamedTuple):
    """Some of a cell's images, and how many of them are of one colour."""

    images: tuple[Image, ...]
    blank: int


def _make_batch(model: TextToImage, task: Task, call: Call, keys: list[Key], limit: BatchLimit) -> Batch:
    """Make a batch's images by one call, or by several where memory runs out."""
    parts: list[Any] = []
    left = keys
    while left:
        parts.append(limit.attempt(partial(generate, model, call), left, model.device))
        left = left[len(parts[-1]) :]
    pixels = np.concatenate(parts)
    blank = int((pixels.max(axis=(1, 2)) == pixels.min(axis=(1, 2))).all(axis=1).sum())
    pairs = zip(keys, pixels, strict=True)
    images = tuple(write_picture(task.folder, prompt.id, seed, picture) for (prompt, seed), picture in pairs)
    return Batch(images, blank)


def _in_lanes(work: Callable[[list[Key]], Batch], batches: list[list[Key]], lanes: int) -> Iterator[Batch]:
    """Yield what is made, in order; an error ends all."""
    if lanes == 1:
        yield from map(work, batches)
        return
    with ThreadPoolExecutor(lanes, initializer=one_core) as pool:
        try:
            yield from pool.map(work, batches)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def one_core() -> None:
    """Let this thread compute on one core; torch keeps the number of cores by thread."""
    import torch

    torch.set_num_threads(1)


def generate(model: TextToImage, call: Call, keys: list[Key]) -> Any:
    """Return uint8 pictures of shape (n, height, width, 3) for these keys; BadImage if any value is not finite."""
    values = np.asarray(model.generate(call_for(call, keys)))
    if not np.isfinite(values).all():
        broken = int((~np.isfinite(values)).any(axis=(1, 2, 3)).sum())
        raise BadImage(f"{broken} of {len(keys)} images hold values that are not numbers (NaN or infinity)")
    return (values.clip(0, 1) * 255).round().astype(np.uint8)


def write_picture(folder: Path, prompt_id: str, seed: int, picture: Any) -> Image:
    """Write one picture as PNG and return its record."""
    from PIL import Image as Pillow

    buffer = io.BytesIO()
    Pillow.fromarray(picture).save(buffer, format="PNG", compress_level=3)
    name = image_name(prompt_id, seed)
    (folder / name).write_bytes(buffer.getvalue())
    digest = hashlib.sha256(buffer.getvalue()).hexdigest()
    return Image(prompt_id=prompt_id, seed=seed, path=name, sha256=digest)


def _batches(keys: list[Key], size: int) -> Iterator[list[Key]]:
    for start in range(0, len(keys), size):
        yield keys[start : start + size]
