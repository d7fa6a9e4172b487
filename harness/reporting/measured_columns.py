"""How a cell was timed and looked into, as columns of a table."""

from collections.abc import Callable
from statistics import fmean

from harness.core.outcome import Completed
from harness.core.timing import UNKNOWN, Block
from harness.core.units import Absent
from harness.reporting.conditions import slowed
from harness.reporting.energy import compute_cost, compute_energy, priced
from harness.reporting.facts import Facts, Timing
from harness.reporting.loaded import LoadedRun
from harness.reporting.memory import name_column
from harness.reporting.paired import compute_precision
from harness.reporting.profiled import is_profiled

_STATE = {
    "gpu_clock_mhz": "clock_mhz", "gpu_temperature_c": "temperature_c", "gpu_power_w": "power_w", "cpu_mhz": "cpu_mhz",
    "cpu_load": "cpu_load",
}  # fmt: skip
Value = str | int | float | bool | None


def measured_columns(loaded: LoadedRun, facts: Facts, cell: Completed) -> dict[str, Value]:
    """Return kind and precision of the timing, blocks, the machine's state meanwhile, and whether there is a trace."""
    pairing, timing = cell.pairing, facts.timing
    return {
        "pairing": pairing.kind,
        "blocks": len(pairing.of("cell")),
        "calls": len(cell.repeats),
        "blocks_timed_again": sum(bool(block.superseded) for block in pairing.blocks),
        "timing_precision": compute_precision(timing, cell) if isinstance(timing, Timing) else None,
        "blocks_slowed": sum(bool(slowed(block)) for block in pairing.blocks),
        "gpu_clock_mhz": _over(pairing.blocks, "clock_mhz", fmean),
        "gpu_temperature_c": _over(pairing.blocks, "temperature_c", max),
        "gpu_power_w": _over(pairing.blocks, "power_w", fmean),
        "cpu_mhz": _over(pairing.blocks, "cpu_mhz", fmean),
        "cpu_load": _over(pairing.blocks, "cpu_load", max),
        "cautions": ", ".join(dict.fromkeys(caution.kind for caution in cell.warnings)) or None,
        "traced": is_profiled(loaded, facts.id),
    }


def measured_absences(loaded: LoadedRun, facts: Facts, cell: Completed) -> list[tuple[str, object]]:
    """Return columns of what was measured with the figure behind each, or its absence with the reason."""
    memory = [(name_column(field), getattr(cell.memory, field)) for field in type(cell.memory).model_fields]
    first = cell.pairing.blocks[0].conditions if cell.pairing.blocks else UNKNOWN
    state = [(column, getattr(first, field)) for column, field in _STATE.items()]
    more: list[tuple[str, object]] = [("energy_j", compute_energy(cell)), ("traced", cell.trace)]
    more += [("image_cost", compute_cost(loaded, facts))] if priced(loaded) else []
    return [*memory, *state, *more]


def _over(blocks: tuple[Block, ...], field: str, join: Callable[[list[float]], float]) -> float | None:
    known = [value for block in blocks if not isinstance(value := getattr(block.conditions, field), Absent)]
    return join(known) if known else None
