"""How the times of a run were taken: by turns or not, how precise, in how many blocks, and whether A/A holds."""

from collections import Counter

from harness.core.base import Frozen
from harness.core.outcome import Completed
from harness.reporting.facts import Facts, Timing
from harness.reporting.loaded import LoadedRun
from harness.reporting.paired import compute_precision
from harness.reporting.rerun import SelfCheck, self_check
from harness.reporting.wording import grouped, plural, round_share, seconds

_KINDS = {
    "interleaved": "interleaved with the baseline (ABBA, two live processes)",
    "sandwiched": "between two turns of the baseline",
    "alone": "alone",
}


class TimingMethod(Frozen):
    """The sentences about how times were taken, and the run's own A/A check."""

    sentences: tuple[str, ...]
    check: SelfCheck | None


def describe_method(loaded: LoadedRun, facts: tuple[Facts, ...]) -> TimingMethod | None:
    """Return how the times of a run were taken, or None where nothing was timed."""
    timed = [
        (cell, outcome)
        for cell in facts
        if isinstance(cell.timing, Timing) and (outcome := loaded.completed(cell.id)) and outcome.pairing.blocks
    ]
    if not timed:
        return None
    cells = [outcome for cell, outcome in timed if cell.standing != "baseline"]
    return TimingMethod(
        sentences=(*_how(cells), _how_many(cells), _how_precise(loaded, timed)), check=self_check(loaded)
    )


def _how(cells: list[Completed]) -> list[str]:
    """Say for how many cells which way was taken, and once each why it was not the best one."""
    sentences = []
    for kind, count in Counter(cell.pairing.kind for cell in cells).most_common():
        reasons = dict.fromkeys(cell.pairing.why for cell in cells if cell.pairing.kind == kind and cell.pairing.why)
        because = f": {'; '.join(reasons)}" if reasons else ""
        sentences.append(f"{plural(count, 'cell')} timed {_KINDS[kind]}{because}.")
    return sentences


def _how_many(cells: list[Completed]) -> str:
    blocks = [block for cell in cells for block in cell.pairing.blocks]
    calls = [repeat.latency_s for block in blocks for repeat in block.repeats]
    again = sum(bool(block.superseded) for block in blocks)
    repeated = f", {again} of them timed once more" if again else ""
    return (
        f"{plural(len(blocks), 'block')}{repeated}, {grouped(len(calls))} calls, {seconds(sum(calls))} of timed work."
    )


def _how_precise(loaded: LoadedRun, timed: list[tuple[Facts, Completed]]) -> str:
    measure = loaded.plan.matrix.measure
    found = [
        half for cell, outcome in timed
        if isinstance(cell.timing, Timing) and (half := compute_precision(cell.timing, outcome)) is not None
    ]  # fmt: skip
    kept = sum(half <= measure.precision for half in found)
    return (
        f"Asked for: ±{round_share(measure.precision)} within {seconds(measure.max_s)} a cell; "
        f"{kept} of {plural(len(timed), 'cell')} reached it."
    )
