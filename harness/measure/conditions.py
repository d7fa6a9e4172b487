"""The state of the machine while a block is timed, watched from the process that asked for the block."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager

from harness.core.timing import UNKNOWN, Conditions
from harness.core.units import Absent
from harness.measure.cpu import CpuWatch
from harness.measure.gpu import GpuWatch
from harness.measure.rapl import Rapl

NO_GPU = Absent(absent="no GPU")


class Watch:
    """Holds the conditions of a block once it has ended."""

    conditions: Conditions = UNKNOWN


@contextmanager
def watching(device: str, ours: Collection[int]) -> Iterator[Watch]:
    """Note the machine's state while the block inside runs; `ours` are the pids of our own processes, no visitors.

    A GPU is sampled every 0.1 s: clocks and power are means of the samples (the driver's power is itself a mean of up
    to the last second), temperature is the highest, `throttle` and `visitors` whatever any sample saw. Processors are
    read before and after only. Energy is the difference of a counter: the card's on a GPU, the processors' without one.
    """
    watch = Watch()
    gpu = GpuWatch(ours) if device.startswith("cuda") else None
    rapl = None if gpu else Rapl()
    cpu = CpuWatch(ours)
    if gpu:
        gpu.begin()
    try:
        yield watch
    finally:
        processors = cpu.figures()
        if gpu:
            gpu.end()
    seen = {**dict.fromkeys(Conditions.model_fields, NO_GPU), **processors._asdict()}
    if gpu:
        seen |= gpu.figures()
    if rapl:
        seen["energy_j"] = rapl.drawn()
    watch.conditions = Conditions.model_validate(seen)
