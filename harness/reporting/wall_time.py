"""Where the wall time of a run went."""

from harness.core.base import Frozen
from harness.core.outcome import Completed, find_failure
from harness.reporting.text import PHASES
from harness.results import Run


class WallTimeRow(Frozen):
    """One use of time in seconds, with its share of the whole."""

    name: str
    note: str
    wall_s: float
    share: float


class WallTime(Frozen):
    """The uses of time that add up to `total_s`; `notes` say what the sum does not show."""

    rows: tuple[WallTimeRow, ...]
    total_s: float
    notes: tuple[str, ...] = ()


def sum_phases(run: Run) -> tuple[dict[str, float], float, int]:
    """Return seconds by phase, seconds of failed cells, and the cells taken over."""
    sums: dict[str, float] = {}
    failed, reused = 0.0, 0
    for outcome in run.outcomes.values():
        failure = find_failure(outcome)
        failed += failure.wall_s if failure else 0.0
        if isinstance(outcome, Completed):
            for phase, seconds in outcome.phases_s.items():  # of reused cells: later stages
                sums[phase] = sums.get(phase, 0.0) + seconds
            reused += outcome.reused_from is not None
    return sums, failed, reused


def build_wall_time(run: Run, report_s: float) -> WallTime:
    """Return the wall time of a run; `report_s` is what this report took until it was drawn."""
    sums, failed, reused = sum_phases(run)
    listed = {phase for _, _, phases in PHASES for phase in phases}
    other = sorted(set(sums) - listed)
    times: dict[str, float] = {}
    for stage, seconds in run.times:
        times[stage] = times.get(stage, 0.0) + seconds
    rest = times.get("run", 0.0) - sum(sums.values()) - failed
    own = max(rest, 0.0) + times.get("plan", 0.0) + times.get("gate", 0.0)
    scoring = times.get("evaluate", run.evaluation.seconds if run.evaluation else 0.0)
    entries = [(name, note, sum(sums.get(p, 0.0) for p in phases)) for name, note, phases in PHASES]
    entries += [
        ("Other phases", ", ".join(other), sum(sums[phase] for phase in other)),
        ("Failed cells", "until they failed", failed),
        ("Scoring", "metrics and their intervals", scoring),
        ("This report", "until the page was drawn", report_s),
        ("The harness itself", "run minus all phases, planning, judging", own),
    ]
    notes = [f"The images of {reused} cells were taken over from earlier runs."] if reused else []
    if "run" not in times:
        notes.append("The run stage has no recorded wall time: the harness's own share is unknown.")
    elif rest < 0:
        notes.append("The run was interrupted: its own share of the time is unknown.")
    total = sum(seconds for *_, seconds in entries)
    rows = tuple(
        WallTimeRow(name=name, note=note, wall_s=seconds, share=seconds / total)
        for name, note, seconds in entries
        if seconds > 0
    )
    return WallTime(rows=rows, total_s=total, notes=tuple(notes))
