"""Which measured cell to deploy: under limits, and in each situation of the decision table."""

from collections.abc import Sequence
from math import ceil

from harness.core.base import Frozen
from harness.core.errors import NothingToDo, ResultsError, UsageError
from harness.core.units import Absent, format_bytes, format_seconds
from harness.deployment.constraints import Constraints
from harness.deployment.decision_table import Objective, Situation, load_decision_table
from harness.deployment.default_check import DefaultCheck, check_default
from harness.deployment.figures import DecisionFigure, read_figure
from harness.deployment.ranking import RankedCells, compare_times
from harness.deployment.text import (
    NOT_UNDER_LOAD,
    list_costs,
    list_unmeasured,
    write_figure,
    write_unmet,
    write_versus,
)
from harness.results import CellResult, Run
from harness.results.format import format_rate

ANY = Constraints()


class Pick(Frozen):
    """A recommended cell: what it is chosen by, the next best, and what it costs."""

    cell: str
    standing: str
    figure: DecisionFigure
    shown: str
    """The figure in words."""
    ties: tuple[str, ...] = ()
    """Cells that cannot be distinguished from it; it is the likelier one on the Pareto front."""
    runner_up: str = ""
    versus: str = ""
    """How its time compares with the runner-up's."""
    costs: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class SituationAnswer(Frozen):
    """The answer for one situation, and what was not measured and would matter there."""

    name: str
    question: str
    pick: Pick | Absent
    unmeasured: tuple[str, ...] = ()


class Nearest(Frozen):
    """The cell that misses the limits by least; `excess` is a share of the limit."""

    cell: str
    excess: float
    unmet: tuple[str, ...]


class Recommendation(Frozen):
    """Everything a run says about what to deploy."""

    run_id: str
    model: str
    machine: str
    policy: str
    constraints: Constraints
    objective: Objective
    answer: Pick | Nearest
    would_meet: tuple[str, ...] = ()
    """Cells that meet the limits and may not ship, with the reason."""
    situations: tuple[SituationAnswer, ...]
    default: DefaultCheck

    @property
    def is_met(self) -> bool:
        """Whether a cell that may ship meets all limits."""
        return isinstance(self.answer, Pick)


def recommend(run: Run, constraints: Constraints = ANY) -> Recommendation:
    """Return the best cell that may ship under the constraints, and the decision table.

    Cells with the verdict pass and the baseline count. Raises ResultsError for a run without
    verdicts, NothingToDo where quality does not apply, UsageError for a cost without prices.
    """
    _require_verdicts(run)
    if constraints.cheapest and not run.has_prices:
        fix = "Add [prices] to the matrix, such as per_hour = { '*H100*' = 2.5 }."
        raise UsageError("the matrix gives no prices", "--cost", fix)
    allowed = list_allowed(run)
    objective = _choose_objective(constraints)
    meeting = [cell for cell in allowed if not _list_unmet(cell, constraints)]
    ranked = RankedCells(meeting, objective)
    if meeting and not ranked.cells:
        figure = read_figure(meeting[0], objective)
        raise ResultsError(str(figure), run.folder.name, f"No cell has a {objective}.")
    answer = (
        _make_pick(ranked, bool(constraints.requests_per_s))
        if ranked.cells
        else _find_nearest(allowed, constraints)
    )
    fastest = RankedCells(allowed, "latency").cells
    return Recommendation(
        run_id=run.plan.run_id,
        model=run.plan.model.title,
        machine=run.plan.machine.title,
        policy=run.policy.name,
        constraints=constraints,
        objective=objective,
        answer=answer,
        would_meet=_list_would_meet(run, constraints) if constraints.has_limits else (),
        situations=tuple(_answer(run, allowed, row) for row in load_decision_table().situation),
        default=check_default(run, fastest[0] if fastest else None),
    )


def list_allowed(run: Run) -> list[CellResult]:
    """Return the measured cells that may ship: the baseline and those that pass."""
    return [cell for cell in run.cells if cell.samples and cell.standing in ("baseline", "pass")]


def _require_verdicts(run: Run) -> None:
    name = run.folder.name
    if not run.plan.model.quality_applies:
        fix = f"Speeds and memory are in harness report {name}."
        raise NothingToDo("random weights have no quality: no cell has a verdict", name, fix)
    if run.judgement is None:
        step = "gate" if run.evaluation else "evaluate"
        raise ResultsError("the run has no verdicts yet", name, f"Run: harness {step} {name}")
    if run.baseline.samples is None:
        raise ResultsError("the baseline did not complete", name, f"Run: harness run {name}")


def _choose_objective(constraints: Constraints) -> Objective:
    if constraints.cheapest:
        return "cost"
    only_rate = constraints.requests_per_s is not None and constraints.latency_s is None
    return "throughput" if only_rate else "latency"


def _make_pick(ranked: RankedCells, under_load: bool = False) -> Pick:
    best, *others = ranked.cells
    figure, prices = ranked.figures[best.id], best.run.plan.matrix.prices
    second = others[0] if others else None
    return Pick(
        cell=best.id,
        standing=best.standing,
        figure=figure,
        shown=write_figure(ranked.objective, figure, prices.currency),
        ties=tuple(cell.id for cell in ranked.tied if cell is not best),
        runner_up=second.id if second else "",
        versus=write_versus(compare_times(second, best), second.id) if second else "",
        costs=list_costs(best),
        notes=(NOT_UNDER_LOAD,) if under_load else (),
    )


def _answer(run: Run, allowed: Sequence[CellResult], row: Situation) -> SituationAnswer:
    unmeasured = (*list_unmeasured(run, row.technique), *row.unmeasured)
    return SituationAnswer(
        name=row.name,
        question=row.question,
        pick=_pick_in(run, allowed, row),
        unmeasured=unmeasured,
    )


def _pick_in(run: Run, allowed: Sequence[CellResult], row: Situation) -> Pick | Absent:
    if row.system and row.system.lower() not in run.plan.machine.os.lower():
        return Absent(absent=f"measured on {run.plan.machine.title}: run the matrix there")
    cells = [cell for cell in allowed if not row.only or any(t.fits(cell) for t in row.technique)]
    if row.objective == "loss":
        cells = [c for c in cells if _is_surely_faster(c)] or [run.baseline]
    ranked = RankedCells(cells, row.objective)
    if ranked.cells:
        return _make_pick(ranked)
    tried = [c for c in run.candidates if any(t.fits(c) for t in row.technique)]
    verdicts = ", ".join(f"{cell.id} ({cell.standing})" for cell in tried)
    return Absent(
        absent=f"none may ship: {verdicts}" if tried else "no cell of this kind was measured"
    )


def _is_surely_faster(cell: CellResult) -> bool:
    return not cell.is_baseline and not isinstance(cell.speedup, Absent) and cell.speedup.low > 1


def _list_unmet(cell: CellResult, limits: Constraints) -> list[tuple[float, str]]:
    """Return each limit that a cell does not surely keep: by which share, and in words."""
    found: list[tuple[float, str]] = []
    latency, image_s = read_figure(cell, "latency"), read_figure(cell, "throughput")
    memory = read_figure(cell, "memory")
    rate = limits.requests_per_s
    for limit, figure, name, write in (
        (limits.latency_s, latency, "latency", format_seconds),
        (limits.memory_bytes, memory, "peak memory", format_bytes),
    ):
        if limit is None:
            continue
        if isinstance(figure, Absent):
            found.append((float("inf"), f"{name} unknown: {figure.absent}"))
        elif figure.bound > limit:
            excess = figure.bound / limit - 1
            found.append((excess, write_unmet(name, write(figure.bound), write(limit), excess)))
    if rate is not None and isinstance(image_s, Absent):
        found.append((float("inf"), f"throughput unknown: {image_s.absent}"))
    elif rate is not None and not isinstance(image_s, Absent) and 1 / image_s.bound < rate:
        needed = rate * image_s.bound
        shown = f"{format_rate(1 / image_s.bound)} images/s"
        text = write_unmet("throughput", shown, f"{format_rate(rate)}/s", 1 - 1 / needed, True)
        found.append((needed - 1, f"{text}: {ceil(needed)} such devices would do"))
    return found


def _find_nearest(allowed: Sequence[CellResult], limits: Constraints) -> Nearest:
    """Return the allowed cell whose worst excess over a limit is least."""
    misses = {cell.id: _list_unmet(cell, limits) for cell in allowed}
    nearest = min(misses, key=lambda key: max((miss[0] for miss in misses[key]), default=0.0))
    excess = max((miss[0] for miss in misses[nearest]), default=0.0)
    return Nearest(cell=nearest, excess=excess, unmet=tuple(text for _, text in misses[nearest]))


def _list_would_meet(run: Run, limits: Constraints) -> tuple[str, ...]:
    cells = [c for c in run.candidates if c.samples and c.standing != "pass"]
    meeting = [cell for cell in cells if not _list_unmet(cell, limits)]
    return tuple(f"{cell.id}: {cell.standing}, {cell.reason}" for cell in meeting)
