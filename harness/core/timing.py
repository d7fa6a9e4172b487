"""Raw samples of timed calls: repeats in blocks of a cell and its baseline, with the machine's
conditions."""

from typing import Literal

from harness.core.base import Frozen
from harness.core.units import Absent


class Repeat(Frozen):
    """One timed call of the whole pipeline: `stages_s` sums each part's calls, `steps_s` is each
    denoiser call.

    `latency_s` is wall time between two synchronizations, `device_s` the same call between two CUDA
    events.
    """

    latency_s: float
    device_s: float | Absent = Absent(absent="no GPU")
    stages_s: dict[str, float] = {}
    steps_s: tuple[float, ...] = ()


SLOWED = ("hw_slowdown", "sw_thermal_slowdown", "hw_thermal_slowdown", "hw_power_brake")
"""NVML's clock event reasons after which a block is repeated."""


class ForeignProcess(Frozen):
    """A process on the GPU that does not belong to the run."""

    pid: int
    name: str
    used_bytes: int | Absent
    graphics_only: bool = False
    """Whether it only draws, like a desktop's window manager: a warning, no reason to stop."""


class Conditions(Frozen):
    """The machine's conditions during a block; unknown ones are absent, with the reason.

    `throttle` names why the GPU ran slower than it could (NVML's clocks event reasons), `cpu_load`
    is the share of this machine's processors (0 to 1) that other processes kept busy,
    `cpu_throttled` how often a core was slowed for heat. `energy_j` is what the device (GPU by
    NVML, processors by RAPL) drew in all calls of the block.
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
        """Reasons why the device was slowed by heat or power supply; empty if it was not.

        A power cap is not one of them: many cards always work at theirs.
        """
        throttle = () if isinstance(self.throttle, Absent) else self.throttle
        cores = (
            ()
            if isinstance(self.cpu_throttled, Absent) or not self.cpu_throttled
            else ("cpu_thermal",)
        )
        return (*(word for word in throttle if word in SLOWED), *cores)


UNKNOWN = Conditions.model_validate(
    dict.fromkeys(Conditions.model_fields, Absent(absent="not asked"))
)

Side = Literal["baseline", "cell"]

BLOCK_S = 0.25
"""Target length of a block, long enough that its start does not matter. A slower call is a block
alone."""

MIN_ROUNDS_FOR_INTERVAL = 2
"""The least rounds with an interval; they are taken however long they last."""


class Block(Frozen):
    """Consecutive timed calls in one process; `begun_s` counts from the pairing's first block."""

    side: Side
    round_index: int
    """The measurement round: baseline, cell, cell, baseline; or all cells in turn, and back."""
    begun_s: float
    repeats: tuple[Repeat, ...]
    conditions: Conditions = UNKNOWN
    superseded: str = ""
    """Why the block is kept but does not count: it was repeated, or its round is incomplete."""


class TimingSession(Frozen):
    """Rounds that several cells shared: pairings of one session compare directly, round by round.

    `first_round` is the first round of this session; earlier rounds are of an interrupted one.
    """

    id: str
    first_round: int = 0


class Pairing(Frozen):
    """How a cell was timed against the baseline.

    `interleaved`: alternating blocks of live processes. `sandwiched`: both do not fit into
    memory, so the baseline was timed before (round 0) and after (the last round) the cell. `alone`:
    the baseline itself, or no baseline.
    """

    kind: Literal["interleaved", "sandwiched", "alone"]
    why: str = ""
    """Why it was not interleaved."""
    blocks: tuple[Block, ...]
    stopped: str = ""
    """Why measurement stopped: the precision was reached, or the time was over."""
    session: TimingSession | None = None
    """The rounds that it shared with other cells; None if it was timed with the baseline alone."""

    def of(self, side: Side) -> tuple[Block, ...]:
        """Return the blocks of one side that count, in time order."""
        return tuple(block for block in self.blocks if block.side == side and not block.superseded)
