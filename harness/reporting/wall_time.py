"""Where the wall time of a run went."""

from harness.core.base import Frozen
from harness.core.outcome import Completed, find_failure
from harness.reporting.loaded import LoadedRun

_PHASES = (
    ("Start and load", "processes, weights, settings", ("start", "load", "apply")),
    ("Compile", "compilers' first calls", ("compile",)),
    ("Warm-up", "calls that are not counted", ("warmup",)),
    ("BaselineWorker", "the baseline’s process beside the cells", ("baseline_worker",)),
    ("Measuring", "blocks of the cells and of the baseline between them", ("repeats",)),
    ("Memory", "a call of its own", ("memory",)),
    ("Images", "the pictures that are scored", ("images",)),
    ("Traces", "profiler passes", ("trace",)),
    ("Arithmetic floor", "operations counted, products timed", ("roofline",)),
    ("Saving", "writing pictures and samples", ("save",)),
)


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


def phase_sums(loaded: LoadedRun) -> tuple[dict[str, float], float, int]:
    """Return seconds by phase of the cells measured in this run, seconds of failed cells, and cells reused."""
    sums: dict[str, float] = {}
    failed, reused = 0.0, 0
    for outcome in loaded.outcomes.values():
        failure = find_failure(outcome)
        failed += failure.wall_s if failure else 0.0
        if isinstance(outcome, Completed):
            for phase, seconds in outcome.phases_s.items():  # what was taken over has none but of later rounds
                sums[phase] = sums.get(phase, 0.0) + seconds
            reused += outcome.reused_from is not None
    return sums, failed, reused


def build_wall_time(loaded: LoadedRun, report_s: float) -> WallTime:
    """Return the ledger of a run; `report_s` is what this report took until the page was drawn."""
    sums, failed, reused = phase_sums(loaded)
    named = {phase for _, _, phases in _PHASES for phase in phases}
    entries = [(name, note, sum(sums.get(phase, 0.0) for phase in phases)) for name, note, phases in _PHASES]
    entries.append(("Other phases", ", ".join(sorted(set(sums) - named)), sum(sums[p] for p in set(sums) - named)))
    entries.append(("Failed cells", "until they failed", failed))
    times: dict[str, float] = {}
    for stage, seconds in loaded.times:
        times[stage] = times.get(stage, 0.0) + seconds
    scoring = times.get("evaluate", loaded.evaluation.seconds if loaded.evaluation else 0.0)
    entries += [
        ("Scoring", "metrics and their intervals", scoring),
        ("This report", "until the page was drawn", report_s),
    ]
    notes = [f"The images of {reused} cells were taken over from earlier runs."] if reused else []
    spent = sum(sums.values()) + failed
    rest = times.get("run", 0.0) - spent
    if "run" not in times:
        notes.append("The wall time of the run stage is not recorded: what the harness itself took is unknown.")
    elif rest < 0:
        notes.append("The run was interrupted: cells took longer than the recorded stages, the rest is unknown.")
    own = max(rest, 0.0) + times.get("plan", 0.0) + times.get("gate", 0.0)
    entries.append(("The harness itself", "run minus all phases, planning, judging", own))
    total = sum(seconds for *_, seconds in entries)
    rows = tuple(
        WallTimeRow(name=name, note=note, wall_s=seconds, share=seconds / total)
        for name, note, seconds in entries
        if seconds > 0
    )
    return WallTime(rows=rows, total_s=total, notes=tuple(notes))
