"""How times were measured: pairing, precision, drift, the machine's state, and the A/A check."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Literal

from harness.core.base import Frozen
from harness.core.outcome import Caution, Completed
from harness.core.plan import RERUN_ID
from harness.core.quality import Interval
from harness.core.timing import UNKNOWN, Block, Pairing
from harness.core.units import Absent, format_seconds, plural
from harness.reporting.blocks import BlockStrip, RoundLane, block_strip, round_lane
from harness.reporting.parts import NamedValue, list_absences
from harness.reporting.text import (
    MACHINE_STATE,
    PAIRINGS,
    write_drift,
    write_self_check,
    write_timing,
)
from harness.results import CellResult, Run
from harness.results.format import (
    DASH,
    format_count,
    format_margin,
    format_range,
    format_value,
)

if TYPE_CHECKING:
    from harness.stats.speedup import Speedup

Place = Literal["timing", "memory", "trace", "cell"]
_PLACES: dict[str, tuple[str, ...]] = {
    "timing": (
        "first-call", "warming-up", "outliers", "two-speeds", "drift", "few-rounds", "not-precise",
        "throttled", "power-capped", "clock-drift", "cpu-clock-drift", "hot", "busy",
        "foreign-processes", "profiled",
    ),
    "memory": ("memory",),
    "trace": ("trace",),
    "nowhere": ("not-traced",),
}  # fmt: skip
"""Kinds of cautions by the figures they qualify; the section of the trace says itself that there is
none."""


class Paired(Frozen):
    """How a cell was timed: a sentence, what else to know, and its blocks in order of time."""

    sentence: str
    notes: tuple[str, ...]
    speedup: str
    blocks: BlockStrip | None
    rounds: RoundLane | None


class MachineState(Frozen):
    """What is known of the machine during the blocks, and what is not, with the reason."""

    rows: tuple[NamedValue, ...]
    absent: tuple[NamedValue, ...]


class SelfCheck(Frozen):
    """The baseline timed against itself; `holds` is None if it was not done."""

    holds: bool | None
    sentence: str


class TimingMethod(Frozen):
    """How the times of a run were measured, and its A/A check."""

    sentences: tuple[str, ...]
    check: SelfCheck | None


def select_cautions(place: Place, cautions: Iterable[Caution]) -> tuple[Caution, ...]:
    """Return the cautions about the figures of one place; `cell`: about the whole cell."""
    kinds = {kind: name for name, names in _PLACES.items() for kind in names}
    return tuple(caution for caution in cautions if kinds.get(caution.kind, "cell") == place)


def build_paired(cell: CellResult, fine: bool) -> Paired | None:
    """Return how a cell was timed; None if it was not. If `fine` each block has words."""
    timed = cell.timed
    if isinstance(timed, Absent) or not timed.pairing.blocks:
        return None
    alone = timed.pairing.kind == "alone"
    speedup = "" if alone else format_value(cell.speedup, "factor").replace(DASH, "")
    found = _compute_paired(cell)
    lane = None
    baseline = cell.run.baseline.samples
    if found and baseline and isinstance(found.interval, Interval):
        lane = round_lane(timed, found.interval, (baseline.batch, timed.batch), found.warming)
    return Paired(
        sentence=write_timing(cell),
        notes=tuple(_list_notes(timed, found)),
        speedup=speedup,
        blocks=block_strip(timed, fine),
        rounds=lane,
    )


def _compute_paired(cell: CellResult) -> "Speedup | None":
    """Return the speedup from the cell's blocks and the baseline's between them, if it has them."""
    if cell.samples is None or cell.samples.pairing.kind == "alone":
        return None
    pairing = cell.samples.pairing
    has_both = pairing.of("baseline") and pairing.of("cell")
    if not has_both or isinstance(cell.ratio, Absent):
        return None
    return cell.ratio


def _list_notes(timed: Completed, found: "Speedup | None") -> list[str]:
    """Return what else a reader of the speedup must know."""
    pairing = timed.pairing
    notes = [f"Not interleaved: {pairing.why}."] if pairing.why else []
    if found and found.drift_share is not None:
        notes.append(write_drift(found.drift_share))
    if warming := _name_warming(pairing):
        notes.append(f"Warm-up, not counted: {warming}.")
    again = [block.superseded for block in pairing.blocks if block.superseded]
    if again:
        reasons = "; ".join(dict.fromkeys(again)).replace("_", " ")
        count = plural(len(again), "block")
        notes.append(f"{count} timed again, both shown, the first not counted: {reasons}.")
    if pairing.stopped:
        notes.append(f"No more blocks: {pairing.stopped.rstrip('.')}.")
    return notes


def _name_warming(pairing: Pairing) -> str:
    """Return what was still warming up: `the first 3 rounds`, or blocks of each side."""
    from harness.stats.steady_state import steady_blocks, warming

    if pairing.kind == "interleaved":
        rounds = warming(pairing)
        return f"the first {plural(rounds, 'round')}" if rounds else ""
    parts = []
    for side, name in (("baseline", "the baseline"), ("cell", "the cell")):
        count = len(pairing.of(side)) - len(steady_blocks(pairing, side))  # type: ignore[arg-type]
        parts += [f"{plural(count, 'block')} of {name}"] if count else []
    return " and ".join(parts)


def summarize_machine(cell: Completed) -> MachineState | None:
    """Return the machine's state over all blocks, the baseline's too; None if not recorded."""
    blocks = tuple(block for block in cell.pairing.blocks if block.conditions != UNKNOWN)
    if not blocks:
        return None
    rows = [_show_range(blocks, field) for field in MACHINE_STATE]
    rows += [_show_throttling(blocks), _show_slowed_cores(blocks), _show_processes(blocks)]
    first = blocks[0].conditions
    absent = [(name, getattr(first, field)) for field, (name, _) in MACHINE_STATE.items()]
    absent += [
        ("GPU throttling", first.throttle),
        ("other GPU processes", first.foreign_processes),
        ("CPU throttling", first.cpu_throttled),
        ("energy", first.energy_j),
    ]
    known = tuple(row for row in rows if row is not None)
    return MachineState(rows=known, absent=list_absences(absent))


def _list_known(blocks: Sequence[Block], field: str) -> list[float]:
    values = (getattr(block.conditions, field) for block in blocks)
    return [value for value in values if not isinstance(value, Absent)]


def _show_range(blocks: Sequence[Block], field: str) -> NamedValue | None:
    values = _list_known(blocks, field)
    if not values:
        return None
    name = MACHINE_STATE[field][0]
    return NamedValue(name=name, value=format_state(field, min(values), max(values)))


def format_state(field: str, low: float, high: float) -> str:
    """Return a range of one figure of the machine's state with its unit."""
    unit = MACHINE_STATE[field][1]
    scale = 100 if unit == "%" else 1
    return format_range(scale * low, scale * high, unit)


def _show_throttling(blocks: Sequence[Block]) -> NamedValue | None:
    """Return in how many blocks the GPU was throttled, power limits included, and why."""
    known = [block.conditions.throttle for block in blocks]
    throttled = [reasons for reasons in known if not isinstance(reasons, Absent)]
    if not throttled:
        return None
    counts = Counter(reason for reasons in throttled for reason in reasons)
    note = ", ".join(f"{name.replace('_', ' ')} in {n}" for name, n in counts.most_common())
    hit = sum(bool(reasons) for reasons in throttled)
    value = f"{hit} of {plural(len(throttled), 'block')}" if hit else "never"
    return NamedValue(name="GPU throttled", value=value, note=note)


def _show_slowed_cores(blocks: Sequence[Block]) -> NamedValue | None:
    counts = _list_known(blocks, "cpu_throttled")
    if not counts:
        return None
    value = plural(int(sum(counts)), "time") if any(counts) else "never"
    return NamedValue(name="Cores throttled by heat", value=value)


def _show_processes(blocks: Sequence[Block]) -> NamedValue | None:
    known = [block.conditions.foreign_processes for block in blocks]
    lists = [found for found in known if not isinstance(found, Absent)]
    if not lists:
        return None
    seen = {process.pid: process for found in lists for process in found}
    names = ", ".join(
        f"{process.name} ({process.pid}, {format_value(process.used_bytes, 'bytes')})"
        for process in seen.values()
    )
    return NamedValue(name="Other GPU processes", value=names or "none")


def check_itself(run: Run) -> SelfCheck | None:
    """Return the A/A check of a run; None if the baseline has no completed rerun."""
    planned = {planned.id for planned in run.plan.cells}
    rerun = run.cell(RERUN_ID) if RERUN_ID in planned else None
    if rerun is None or rerun.samples is None:
        return None
    found = _compute_paired(rerun)
    if found is None:
        pairing = rerun.samples.pairing
        reason = pairing.stopped or pairing.why or "it was timed alone"
        return SelfCheck(
            holds=None, sentence=f"The baseline was not timed against itself: {reason}."
        )
    value = found.interval
    if isinstance(value, Absent):
        return SelfCheck(holds=None, sentence=f"The baseline against itself: {value.absent}.")
    holds = value.low <= 1.0 <= value.high
    return SelfCheck(holds=holds, sentence=write_self_check(value, found.rounds))


def describe_method(run: Run) -> TimingMethod | None:
    """Return how the times of a run were measured; None if nothing was timed."""
    timed = [cell for cell in run.cells if not isinstance(cell.timed, Absent)]
    if not timed:
        return None
    samples = [cell.samples for cell in timed if cell.samples and not cell.is_baseline]
    sentences = (*_list_pairings(samples), _count_blocks(samples), _report_precision(run, timed))
    return TimingMethod(sentences=sentences, check=check_itself(run))


def _list_pairings(cells: Sequence[Completed]) -> list[str]:
    """Return how many cells were timed in which way, and why not in the best one."""
    sentences = []
    for kind, count in Counter(cell.pairing.kind for cell in cells).most_common():
        found = (cell.pairing.why for cell in cells if cell.pairing.kind == kind)
        reasons = "; ".join(dict.fromkeys(reason for reason in found if reason))
        because = f": {reasons}" if reasons else ""
        sentences.append(f"{plural(count, 'cell')} timed {PAIRINGS[kind]}{because}.")
    return sentences


def _count_blocks(cells: Sequence[Completed]) -> str:
    blocks = [block for cell in cells for block in cell.pairing.blocks]
    calls = [repeat.latency_s for block in blocks for repeat in block.repeats]
    again = sum(bool(block.superseded) for block in blocks)
    repeated = f", {again} of them timed again" if again else ""
    total = f"{format_count(len(calls))} calls, {format_seconds(sum(calls))} of timed work"
    return f"{plural(len(blocks), 'block')}{repeated}, {total}."


def _report_precision(run: Run, timed: Sequence[CellResult]) -> str:
    measure = run.plan.matrix.measure
    found = [cell.precision for cell in timed if cell.precision is not None]
    reached = sum(half <= measure.precision for half in found)
    requested = f"±{format_margin(measure.precision)} within {format_seconds(measure.max_s)} a cell"
    return f"Requested: {requested}; {reached} of {plural(len(timed), 'cell')} reached it."


def list_notes(run: Run) -> tuple[str, ...]:
    """Return the notes of the plan, the gate and the A/A check."""
    judged = run.judgement.notes if run.judgement else ()
    check = check_itself(run)
    doubt = (check.sentence,) if check and check.holds is False else ()
    return tuple(note.rstrip(".") for note in (*run.plan.notes, *judged, *doubt))
