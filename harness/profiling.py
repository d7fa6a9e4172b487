"""Explain why a cell is fast or slow: trace it again, and read the facts of its trace."""

from pathlib import Path
from typing import NamedTuple

from harness.axes.compatibility import make_fit_check
from harness.core.catalog import did_you_mean
from harness.core.errors import MachineError, NothingToDo, UsageError
from harness.core.machine import Machine
from harness.core.outcome import Completed, Skipped, find_failure
from harness.core.plan import Plan, PlannedCell
from harness.core.trace import Trace, TraceFacts
from harness.core.units import Absent
from harness.execution import Progress, SilentProgress
from harness.measure.machine import describe_machine
from harness.models import resolve_model
from harness.store import lock_run, read_outcomes, read_plan, read_trace_facts
from harness.store.read import read_outcome
from harness.tracing import Advice, Bound, TracedCell, TraceDiff, advise, compare, find_bound

BASELINE = "baseline"
"""Means the id of a run's baseline."""


class Explained(NamedTuple):
    """Facts of a cell's trace, advice, and the changes against another cell's trace."""

    run: Path
    cell: str
    trace: Trace
    facts: TraceFacts
    bound: Bound
    advice: tuple[Advice, ...]
    against: str = ""
    diff: TraceDiff | None = None


def profile(
    run: Path, cell: str = "", *, progress: Progress | None = None, inline: bool = False
) -> tuple[str, ...]:
    """Trace one completed cell of a run, or all of them, and return their ids.

    Each cell gets a worker like in the run, or with `inline` this process. Measurements stay as
    they are. Raises UsageError for an unknown cell, NothingToDo if no cell completed, and
    MachineError if a cell cannot be traced; traces before it are kept.
    """
    from harness.execution.launchers import InlineLauncher, ProcessLauncher
    from harness.execution.runner import Retracing

    decided = read_plan(run)
    chosen = [_completed(run, decided, cell)] if cell else _all_completed(run, decided)
    here = describe_machine()
    notes = _differences(decided, here)
    with lock_run(run):
        launcher = (
            InlineLauncher()
            if inline
            else ProcessLauncher(decided.model.uses_torch, bool(here.gpus))
        )
        try:
            launcher.prepare()
            tracing = Retracing(run, decided, launcher, progress or SilentProgress(), notes)
            for planned in chosen:
                tracing.retrace(planned)
        finally:
            launcher.close()
    return tuple(planned.id for planned in chosen)


def explain(run: Path, cell: str, against: str = "", other: Path | None = None) -> Explained:
    """Explain the trace of a cell, with the changes against a cell of this or the `other` run.

    Raises UsageError for an unknown cell, and NothingToDo if it has no trace.
    """
    planned, outcome, trace, facts = _traced(run, cell)
    decided = read_plan(run)
    fits = make_fit_check(planned.cell, decided.model, decided.machine)
    traced = TracedCell(facts, outcome, planned.cell, decided.model, fits)
    explained = Explained(run, planned.id, trace, facts, find_bound(traced), advise(traced))
    if not against and other is None:
        return explained
    before, *_, facts_before = _traced(other or run, against or planned.id)
    name = f"{before.id} of {other.name}" if other else before.id
    return explained._replace(against=name, diff=compare(facts_before, facts))


def _traced(run: Path, cell: str) -> tuple[PlannedCell, Completed, Trace, TraceFacts]:
    """Return a cell with its trace and facts, or raise NothingToDo."""
    planned = _completed(run, read_plan(run), cell)
    outcome, facts = read_outcome(run, planned.id), read_trace_facts(run, planned.id)
    assert isinstance(outcome, Completed)
    if isinstance(outcome.trace, Absent):
        reason = outcome.trace.absent
    elif facts is None:
        reason = "its facts are missing"
    else:
        return planned, outcome, outcome.trace, facts
    raise NothingToDo(
        f"no trace to read: {reason}", planned.id, f"Run: harness profile {run} {planned.id}"
    )


def _completed(run: Path, decided: Plan, cell: str) -> PlannedCell:
    """Return a completed cell by its id, or raise UsageError or NothingToDo."""
    known = {planned.id: planned for planned in decided.cells}
    wanted = decided.baseline_id if cell == BASELINE else cell
    if wanted not in known:
        raise UsageError(
            f'no cell "{cell}" in this run. {did_you_mean(cell, [*known, BASELINE])}', str(run)
        )
    outcome = read_outcome(run, wanted)
    if isinstance(outcome, Completed):
        return known[wanted]
    failed, why = find_failure(outcome), "it was not run yet"
    if failed:
        why = f"it failed in {failed.phase}: {failed.message.splitlines()[0]}"
    elif isinstance(outcome, Skipped):
        why = f"it was skipped: {outcome.reason}"
    what = f"only a completed cell has a trace; {why}"
    raise NothingToDo(what, wanted, "Choose another: harness report lists them.")


def _all_completed(run: Path, decided: Plan) -> list[PlannedCell]:
    outcomes = read_outcomes(run)
    chosen = [
        planned for planned in decided.compared if isinstance(outcomes.get(planned.id), Completed)
    ]
    if not chosen:
        fix = f"Run: harness run {decided.matrix.name}.toml"
        raise NothingToDo("no cell of this run completed", str(run), fix)
    return chosen


def _differences(decided: Plan, here: Machine) -> tuple[str, ...]:
    """Return notes on how a trace taken here differs from the run; MachineError elsewhere."""
    there = decided.machine
    if there.device != here.device:
        what = f"the run was made on {there.title}; this is {here.title}"
        raise MachineError(what, "", "Trace it on that machine.")
    notes = []
    if there.title != here.title:
        notes.append(f"traced on another machine ({here.title}) than timed ({there.title})")
    for name in ("torch", "diffusers"):
        timed, traced = there.packages.get(name), here.packages.get(name)
        if timed != traced:
            notes.append(f"traced with {name} {traced}, timed with {timed}")
    if resolve_model(decided.matrix.model).describe().digest != decided.model.digest:
        notes.append("traced with other model weights than timed")
    return tuple(notes)
