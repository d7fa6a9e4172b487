"""Wall time around work that may run on a GPU."""

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Stopwatch:
    """Holds the seconds of a block once it has ended."""

    seconds: float = 0.0


@contextmanager
def timed(device: str = "cpu") -> Iterator[Stopwatch]:
    """Measure a block's wall time, waiting for the GPU before both readings."""
    watch = Stopwatch()
    synchronize(device)
    begin = time.perf_counter()
    yield watch
    synchronize(device)
    watch.seconds = time.perf_counter() - begin


def synchronize(device: str) -> None:
    """Wait until the GPU has done all it was given; nothing to do on a CPU."""
    if device.startswith("cuda"):
        import torch

        torch.cuda.synchronize()
