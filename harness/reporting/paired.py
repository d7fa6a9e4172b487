"""How a cell was timed beside the baseline, in words: blocks by turns, the precision reached, the drift corrected."""

from statistics import median
from typing import TYPE_CHECKING

from harness.core.base import Frozen
from harness.core.outcome import Completed
from harness.core.timing import Pairing
from harness.core.units import Absent
from harness.reporting.block_frame import SIDES
from harness.reporting.blocks import BlockStrip, block_strip
from harness.reporting.facts import Facts, Timing
from harness.reporting.loaded import LoadedRun
from harness.reporting.round_speeds import RoundLane, round_lane
from harness.reporting.wording import factor_interval, plural, plus_minus, round_share, share

if TYPE_CHECKING:
    from harness.stats.speedup import Speedup


class Paired(Frozen):
    """How a cell was timed: a sentence, what else to know, and its blocks in order of time."""

    sentence: str
    notes: tuple[str, ...]
    speedup: str
    blocks: BlockStrip | None
    rounds: RoundLane | None


def compute_speedup(loaded: LoadedRun, cell: Completed) -> "Speedup | None":
    """Return a cell's speedup from its own blocks and the baseline's between them; None where it has none of these."""
    from harness.stats.speedup import speedup

    baseline = loaded.baseline
    if cell.pairing.kind == "alone" or baseline is None:
        return None
    try:
        return speedup(cell.pairing, (baseline.batch, cell.batch))
    except ValueError:
        return None


def _rounds(loaded: LoadedRun, cell: Completed, found: "Speedup | None") -> RoundLane | None:
    if loaded.baseline is None or found is None or isinstance(found.interval, Absent):
        return None
    return round_lane(cell, found.interval, (loaded.baseline.batch, cell.batch), found.warming)


def paired_baseline_s(loaded: LoadedRun, cell_id: str) -> float | None:
    """Return the baseline's median seconds per image in the blocks between a cell's own; None where there are none."""
    from harness.stats.steady_state import steady_blocks

    cell, baseline = loaded.completed(cell_id), loaded.baseline
    if cell is None or baseline is None:
        return None
    calls = [repeat.latency_s for block in steady_blocks(cell.pairing, "baseline") for repeat in block.repeats]
    return median(calls) / baseline.batch if calls else None


def compute_precision(timing: Timing, cell: Completed) -> float | None:
    """Return the relative half-width of the interval that was to be narrow: the speedup's, else the latency's."""
    shown = timing.latency_s if cell.pairing.kind == "alone" else timing.speedup
    if isinstance(shown, Absent) or not shown.estimate or shown.high == shown.low:
        return None
    return float((shown.high / shown.low) ** 0.5 - 1) if shown.low > 0 else None


def build_paired(loaded: LoadedRun, facts: Facts, cell: Completed, fine: bool) -> Paired | None:
    """Return how a cell was timed, its blocks in words if fine; None where it was not."""
    timing = facts.timing
    if not isinstance(timing, Timing) or not cell.pairing.blocks:
        return None
    found = compute_speedup(loaded, cell)
    return Paired(
        sentence=timing_sentence(loaded, cell, timing),
        notes=tuple(_notes(cell, found)),
        speedup=""
        if isinstance(timing.speedup, Absent) or cell.pairing.kind == "alone"
        else factor_interval(timing.speedup),
        blocks=block_strip(cell, fine),
        rounds=_rounds(loaded, cell, found),
    )


def timing_sentence(loaded: LoadedRun, cell: Completed, timing: Timing) -> str:
    """Return how a cell was timed, and how precise that is: `Interleaved with the baseline in 9 ABBA groups, …`."""
    pairing, mine = cell.pairing, cell.pairing.of("cell")
    calls = plural(sum(len(block.repeats) for block in mine), "call")
    if pairing.kind == "interleaved":
        rounds = len({block.round_index for block in mine})
        how = f"Interleaved with the baseline in {plural(rounds, 'ABBA round_index')}, {calls} of the cell"
    elif pairing.kind == "sandwiched":
        how = f"Timed between two turns of the baseline, {calls} of the cell in {plural(len(mine), 'block')}"
    else:
        how = f"Timed alone, {calls} in {plural(len(mine), 'block')}"
    asked, reached = loaded.plan.matrix.measure.precision, compute_precision(timing, cell)
    wanted = f"{round_share(asked)} asked for"
    precise = f"{plus_minus(reached)} ({wanted})" if reached is not None else f"precision unknown ({wanted})"
    return f"{how}: {precise}"


def _left_out(pairing: Pairing) -> str:
    """Return what was still warming up: `the first 3 groups`, where sides warm up by themselves their blocks."""
    from harness.stats.steady_state import steady_blocks, warming

    if pairing.kind == "interleaved":
        rounds = warming(pairing)
        return f"the first {plural(rounds, 'round_index')}" if rounds else ""
    whose = {"cell": "the cell", "baseline": "the baseline"}
    counts = {side: len(pairing.of(side)) - len(steady_blocks(pairing, side)) for side in SIDES}
    return " and ".join(f"{plural(count, 'block')} of {whose[side]}" for side, count in counts.items() if count)


def _notes(cell: Completed, found: "Speedup | None") -> list[str]:
    """Return what else a reader of the speedup must know."""
    pairing = cell.pairing
    notes = [f"Not interleaved: {pairing.why}."] if pairing.why else []
    if found and found.drift_share is not None:
        drift = f"{'+' if found.drift_share > 0 else ''}{share(found.drift_share)}"
        notes.append(f"The baseline’s time changed by {drift} from before to after; the speedup is corrected for it.")
    if left_out := _left_out(pairing):
        notes.append(f"Still warming up and left out: {left_out}.")
    again = [block for block in pairing.blocks if block.superseded]
    if again:
        reasons = "; ".join(dict.fromkeys(block.superseded for block in again))
        reasons = reasons.replace("_", " ")
        notes.append(f"{plural(len(again), 'block')} timed once more, both shown, the first not counted: {reasons}.")
    if pairing.stopped:
        notes.append(f"No more blocks: {pairing.stopped.rstrip('.')}.")
    return notes
