"""The run's own A/A check: the baseline timed against itself must come out as 1.00."""

from harness.core.base import Frozen
from harness.core.plan import RERUN_ID
from harness.core.quality import Interval
from harness.reporting.loaded import LoadedRun
from harness.reporting.paired import compute_speedup
from harness.reporting.wording import plus_minus


class SelfCheck(Frozen):
    """What timing the baseline against itself gave; `holds` is None where it was not done."""

    holds: bool | None
    sentence: str


def self_check(loaded: LoadedRun) -> SelfCheck | None:
    """Return the A/A check of a run, or None where the baseline has no rerun that completed."""
    rerun = loaded.completed(RERUN_ID)
    if rerun is None:
        return None
    found = compute_speedup(loaded, rerun)
    if found is None:
        why = rerun.pairing.stopped or rerun.pairing.why or "it was timed alone"
        return SelfCheck(holds=None, sentence=f"The baseline was not timed against itself: {why}.")
    if not isinstance(found.interval, Interval):
        return SelfCheck(holds=None, sentence=f"The baseline against itself: {found.interval.absent}.")
    value = found.interval
    words = f"The baseline against itself: {value.estimate:.3f}× [{value.low:.3f}, {value.high:.3f}]"
    if value.low <= 1.0 <= value.high:
        return SelfCheck(holds=True, sentence=f"{words} in {found.rounds} groups: holds 1.00, as it must.")
    off = plus_minus(abs(value.estimate - 1)).lstrip("±")
    return SelfCheck(
        holds=False,
        sentence=f"{words} does not hold 1.00: two processes that do the same differ here by {off}, so take no speedup "
        "of that size for one. One run in twenty says so by chance; if the next one does too, close other programs and "
        "lock the clocks.",
    )  # fmt: skip
