"""How a cell was timed and looked into, as columns of a table."""

from collections.abc import Callable
from statistics import fmean

from harness.core.outcome import Completed
from harness.core.timing import Block
from harness.core.trace import Trace
from harness.core.units import Absent
from harness.reporting.conditions import slowed
from harness.reporting.facts import Facts, Timing
from harness.reporting.loaded import Loaded
from harness.reporting.paired import precision_of

Value = str | int | float | bool | None


def measured_columns(loaded: Loaded, facts: Facts, cell: Completed) -> dict[str, Value]:
    """Return kind and precision of the timing, blocks, the machine's state meanwhile, and whether there is a trace."""
    pairing, timing = cell.pairing, facts.timing
    return {
        "pairing": pairing.kind,
        "blocks": len(pairing.of("cell")),
        "calls": len(cell.repeats),
        "blocks_timed_again": sum(bool(block.superseded) for block in pairing.blocks),
        "timing_precision": precision_of(timing, cell) if isinstance(timing, Timing) else None,
        "blocks_slowed": sum(bool(slowed(block)) for block in pairing.blocks),
        "gpu_clock_mhz": _over(pairing.blocks, "clock_mhz", fmean),
        "gpu_temperature_c": _over(pairing.blocks, "temperature_c", max),
        "gpu_power_w": _over(pairing.blocks, "power_w", fmean),
        "cpu_mhz": _over(pairing.blocks, "cpu_mhz", fmean),
        "cpu_load": _over(pairing.blocks, "cpu_load", max),
        "cautions": ", ".join(dict.fromkeys(caution.kind for caution in cell.warnings)) or None,
        "traced": isinstance(cell.trace, Trace),
    }


def _over(blocks: tuple[Block, ...], field: str, join: Callable[[list[float]], float]) -> float | None:
    known = [value for block in blocks if not isinstance(value := getattr(block.conditions, field), Absent)]
    return join(known) if known else None
