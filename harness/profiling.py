"""Why a cell is fast or slow: trace it once more, and read what its trace says."""

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
"""Stands for the id of a run's baseline."""


class Explained(NamedTuple):
    """What a cell's trace says, what to do about it, and what changed against another cell's."""

    run: Path
    cell: str
    trace: Trace
    facts: TraceFacts
    bound: Bound
    advice: tuple[Advice, ...]
    against: str = ""
    diff: TraceDiff | None = None


def profile(run: Path, cell: str = "", *, progress: Progress | None = None, inline: bool = False) -> tuple[str, ...]:
    """Trace one completed cell of a run, or all of them, in a worker as the run had; return their ids.

    `inline` does it in this process. Only traces are written: what was timed stays. Raises UsageError for a cell that
    is not in the run, NothingToDo where nothing completed, MachineError where a cell cannot be traced, here or at all;
    those before it keep theirs.
    """
    from harness.execution.launchers import InlineLauncher, ProcessLauncher
    from harness.execution.runner import Retracing

    decided = read_plan(run)
    chosen = [_completed(run, decided, cell)] if cell else _all_completed(run, decided)
    here = describe_machine()
    notes = _differences(decided, here)
    with lock_run(run):
        launcher = InlineLauncher() if inline else ProcessLauncher(decided.model.uses_torch, bool(here.gpus))
        try:
            launcher.prepare()
            tracing = Retracing(run, decided, launcher, progress or SilentProgress(), notes)
            for planned in chosen:
                tracing.retrace(planned)
        finally:
            launcher.close()
    return tuple(planned.id for planned in chosen)


def explain(run: Path, cell: str, against: str = "", other: Path | None = None) -> Explained:
    """Return what the trace of a cell says, with the changes since `against`, a cell of the `other` run or of this one.

    Raises UsageError for a cell that is not in the run, NothingToDo with the command to run where it has no trace.
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
    """Return a cell with what its trace says, or raise NothingToDo."""
    planned = _completed(run, read_plan(run), cell)
    outcome, facts = read_outcome(run, planned.id), read_trace_facts(run, planned.id)
    assert isinstance(outcome, Completed)
    if isinstance(outcome.trace, Absent):
        reason = outcome.trace.absent
    elif facts is None:
        reason = "what it says is not there"
    else:
        return planned, outcome, outcome.trace, facts
    raise NothingToDo(f"no trace to read: {reason}", planned.id, f"Run: harness profile {run} {planned.id}")


def _completed(run: Path, decided: Plan, cell: str) -> PlannedCell:
    """Return the planned cell of this id; UsageError if there is none, NothingToDo if it did not complete."""
    known = {planned.id: planned for planned in decided.cells}
    wanted = decided.baseline_id if cell == BASELINE else cell
    if wanted not in known:
        raise UsageError(f'no cell "{cell}" in this run. {did_you_mean(cell, [*known, BASELINE])}', str(run))
    outcome = read_outcome(run, wanted)
    if isinstance(outcome, Completed):
        return known[wanted]
    failed = find_failure(outcome)
    why = f"it failed in {failed.phase}: {failed.message.splitlines()[0]}" if failed else "it was not run yet"
    if isinstance(outcome, Skipped):
        why = f"it was skipped: {outcome.reason}"
    raise NothingToDo(
        f"only a completed cell has a trace; {why}",
        wanted,
        "Choose another: harness report lists them.",
    )


def _all_completed(run: Path, decided: Plan) -> list[PlannedCell]:
    outcomes = read_outcomes(run)
    chosen = [planned for planned in decided.compared if isinstance(outcomes.get(planned.id), Completed)]
    if not chosen:
        raise NothingToDo(
            "no cell of this run completed",
            str(run),
            f"Run: harness run {decided.matrix.name}.toml",
        )
    return chosen


def _differences(decided: Plan, here: Machine) -> tuple[str, ...]:
    """Say how a trace taken here is none of what was timed; MachineError where the cells cannot run here."""
    there = decided.machine
    if there.device != here.device:
        raise MachineError(
            f"the run was made on {there.title}; this is {here.title}",
            "",
            "Trace it on that machine.",
        )
    notes = []
    if there.title != here.title:
        notes.append(f"traced on another machine ({here.title}) than it was timed on ({there.title})")
    changed = [name for name in ("torch", "diffusers") if there.packages.get(name) != here.packages.get(name)]
    notes += [
        f"traced with {name} {here.packages.get(name)}, timed with {there.packages.get(name)}" for name in changed
    ]
    if resolve_model(decided.matrix.model).describe().digest != decided.model.digest:
        notes.append("the model's weights are others than those that were timed")
    return tuple(notes)
