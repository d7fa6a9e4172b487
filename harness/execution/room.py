"""How many images one call may make: fewer as soon as memory runs out."""

import gc
import threading
from collections.abc import Callable
from typing import TypeVar

from harness.core.outcome import Caution
from harness.execution.failures import is_out_of_memory

Key = TypeVar("Key")
Made = TypeVar("Made")


class Room:
    """Room for the images of one call, halved whenever memory runs out; shared by all threads of a cell."""

    def __init__(self, images: int) -> None:
        self.asked = self.images = images
        self._lock = threading.Lock()

    def attempt(self, make: Callable[[list[Key]], Made], keys: list[Key], device: str) -> Made:
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
