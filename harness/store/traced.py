"""Traces that can be read: one that nobody can read explains nothing, so it counts as none."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from harness.core.errors import ResultsError
from harness.core.outcome import Completed, Outcome
from harness.core.trace import TraceFacts
from harness.core.units import Absent
from harness.store.read import read_trace_facts


class Traced(NamedTuple):
    """Cell id → outcome, a trace that cannot be read being absent with the reason; what the other traces say."""

    outcomes: dict[str, Outcome]
    facts: dict[str, TraceFacts]


def read_traced(run: Path, outcomes: Mapping[str, Outcome]) -> Traced:
    """Return a run's outcomes with what their traces say; never raises for a trace: the rest stands without it."""
    checked, facts = dict(outcomes), {}
    for cell_id, outcome in outcomes.items():
        if not isinstance(outcome, Completed) or isinstance(outcome.trace, Absent):
            continue
        found = _facts(run, cell_id, outcome)
        if isinstance(found, Absent):
            checked[cell_id] = outcome.model_copy(update={"trace": found})
        else:
            facts[cell_id] = found
    return Traced(checked, facts)


def _facts(run: Path, cell_id: str, cell: Completed) -> TraceFacts | Absent:
    try:
        found = read_trace_facts(run, cell_id)
    except ResultsError as error:
        return Absent(absent=str(error))
    where = f" of {cell.reused_from}, from where the cell was taken over" if cell.reused_from else ""
    return found or Absent(absent=f"what its trace says is not in this run’s folder{where}")
