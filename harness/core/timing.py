"""Raw samples of timed calls: repeats in blocks, a cell's and the baseline's by turns, with the machine's state."""

from typing import Literal

from harness.core.base import Frozen
from harness.core.units import Absent


class Repeat(Frozen):
    """One timed call of the whole pipeline: `stages_s` sums each part's calls, `steps_s` is each denoiser call.

    `latency_s` is wall time between two synchronizations, `device_s` the same call between two CUDA events.
    """

    latency_s: float
    device_s: float | Absent = Absent(absent="no GPU")
    stages_s: dict[str, float] = {}
    steps_s: tuple[float, ...] = ()


SLOWED = ("hw_slowdown", "sw_thermal_slowdown", "hw_thermal_slowdown", "hw_power_brake")
"""Those of NVML's clocks event reasons after which a block is timed once more."""


class ForeignProcess(Frozen):
    """A process on the GPU that is none of ours."""

    pid: int
    name: str
    used_bytes: int | Absent


class Conditions(Frozen):
    """The state of the machine while a block was timed; what it does not tell is absent with its reason.

    `throttle` names why the GPU ran slower than it could (NVML's clocks event reasons), `cpu_load` is the share of this
    machine's processors (0 to 1) that other processes kept busy, `cpu_throttled` how often a core was slowed for heat.
    `energy_j` is what the device (GPU by NVML, processors by RAPL) drew in all calls of the block.
    """

    clock_mhz: float | Absent
    memory_clock_mhz: float | Absent
    temperature_c: float | Absent
    power_w: float | Absent
    throttle: tuple[str, ...] | Absent
    foreign_processes: tuple[ForeignProcess, ...] | Absent
    cpu_mhz: float | Absent
    cpu_load: float | Absent
    cpu_throttled: int | Absent
    energy_j: float | Absent

    @property
    def slowed(self) -> tuple[str, ...]:
        """Why the device was slowed below what it can do: too hot, or its supply failed it; empty if it was not.

        A power cap is none of it: many cards reach theirs whenever they work, and hold it.
        """
        throttle = () if isinstance(self.throttle, Absent) else self.throttle
        cores = () if isinstance(self.cpu_throttled, Absent) or not self.cpu_throttled else ("cpu_thermal",)
        return (*(word for word in throttle if word in SLOWED), *cores)


UNKNOWN = Conditions.model_validate(dict.fromkeys(Conditions.model_fields, Absent(absent="not asked")))

Side = Literal["baseline", "cell"]

BLOCK_S = 0.25
"""How long a block is to last: long enough that what it takes to start one is nothing. A slower call is a block."""

MIN_ROUNDS_FOR_INTERVAL = 2
"""Groups without which there is no interval at all: as many are taken, however long they take."""


class Block(Frozen):
    """Calls timed one right after the other in one process; `begun_s` counts from the first block of the pairing."""

    side: Side
    round_index: int
    """Which ABBA it belongs to: baseline, cell, cell, baseline."""
    begun_s: float
    repeats: tuple[Repeat, ...]
    conditions: Conditions = UNKNOWN
    superseded: str = ""
    """Why it is kept and shown, but not counted: it was timed once more right after, or there is nothing beside it."""


class Pairing(Frozen):
    """How a cell's repeats were taken beside the baseline's.

    `interleaved`: in blocks by turns, two live processes. `sandwiched`: both do not fit into memory, so the baseline
    was timed before (group 0) and after (the last group) the cell. `alone`: the baseline itself, or a cell without one.
    """

    kind: Literal["interleaved", "sandwiched", "alone"]
    why: str = ""
    """Why it was not interleaved."""
    blocks: tuple[Block, ...]
    stopped: str = ""
    """Why no more blocks were taken: the precision asked for was reached, or the time was up."""

    def of(self, side: Side) -> tuple[Block, ...]:
        """Return the blocks of one side that count, in the order in which they were timed."""
        return tuple(block for block in self.blocks if block.side == side and not block.superseded)
