"""Compare two or more runs: all cells in one table, each later run against the first, and what may
not be compared."""

from collections.abc import Iterator, Sequence
from itertools import combinations
from string import ascii_uppercase
from typing import NamedTuple

from harness.core.base import Frozen
from harness.core.quality import Interval
from harness.core.units import Absent
from harness.reporting.comparison import Comparison, compare_loaded, list_baseline_differences
from harness.results import CellResult, Run, Standing
from harness.results.losses import WorstLoss
from harness.results.pareto import LossAxis, ParetoPoint, find_pareto_points

FEWER_STEPS, BASELINE = "fewer steps", "baseline"
_FOLLOWS_DISTILLATION = ("guidance", "scheduler")
"""Axes that a distilled adapter sets along with itself."""


class ComparedRun(Frozen):
    """One of the runs. `title` says in what it differs from the others; `group` is the letter of
    the first run whose losses are comparable with its own."""

    letter: str
    run_id: str
    title: str
    model: str
    machine: str
    baseline: str
    group: str


class ComparedCell(Frozen):
    """A cell of one of the runs; figures are relative to that run's own baseline.

    `technique` names the family: the settings in which it differs from the baseline, besides steps.
    """

    run: str
    cell: str
    technique: str
    steps: str
    standing: Standing
    image_s: Interval | Absent
    speedup: Interval | Absent
    worst_loss: Interval | Absent
    worst_metric: str = ""
    peak_memory_bytes: int | Absent
    on_front: bool = False


class Incomparable(Frozen):
    """Figures of two runs that have different meanings, and why."""

    runs: tuple[str, str]
    what: str
    reason: str


class PublishedFigure(Frozen):
    """A published claim next to the figure of one of the runs; `here` is empty if none has it."""

    claim: str
    what: str
    claimed: str
    run: str = ""
    here: str = ""
    cells: str = ""
    verdict: str
    reasons: tuple[str, ...] = ()
    source: str
    url: str = ""
    date: str = ""


class ComparedRuns(Frozen):
    """Two or more runs: one table, each later run against the first, and published figures."""

    runs: tuple[ComparedRun, ...]
    cells: tuple[ComparedCell, ...]
    pairs: tuple[Comparison, ...]
    incomparable: tuple[Incomparable, ...] = ()
    chart_notes: tuple[str, ...] = ()
    """What a reader of the joint chart must know."""
    published: tuple[PublishedFigure, ...] = ()
    unmatched_claims: int = 0
    """Shipped claims without a measured figure in any of the runs."""


class FamilyPoint(NamedTuple):
    """A point of the joint chart: the run's letter, its technique, and whether it is on the front
    of its group of runs."""

    run: str
    technique: str
    point: ParetoPoint
    on_front: bool


class JointChart(NamedTuple):
    """The points of all runs on one axis of losses, in the order of runs."""

    points: tuple[FamilyPoint, ...]
    axis: LossAxis


def compare_all(runs: Sequence[Run]) -> ComparedRuns:
    """Return the comparison of two or more loaded runs."""
    letters = name_runs(len(runs))
    chart = build_joint_chart(runs)
    fronts = {(p.run, p.point.cell.id) for p in chart.points if p.on_front}
    groups = group_runs(runs)
    return ComparedRuns(
        runs=tuple(
            ComparedRun(
                letter=letter,
                run_id=run.plan.run_id,
                title=title,
                model=run.plan.model.title,
                machine=run.plan.machine.title,
                baseline=run.plan.baseline_id,
                group=group,
            )
            for letter, run, title, group in zip(
                letters, runs, title_runs(runs), groups, strict=True
            )
        ),
        cells=tuple(
            _build_row(letter, cell, (letter, cell.id) in fronts)
            for letter, run in zip(letters, runs, strict=True)
            for cell in run.cells
        ),
        pairs=tuple(
            compare_loaded((runs[0], run), (letters[0], letter))
            for letter, run in zip(letters[1:], runs[1:], strict=True)
        ),
        incomparable=tuple(_list_incomparable(letters, runs)),
        chart_notes=_list_chart_notes(runs, groups, chart),
    )


def name_runs(count: int) -> tuple[str, ...]:
    """Return one letter per run: A, B … Z, A2, B2 …"""
    return tuple(
        ascii_uppercase[index % 26] + (str(index // 26 + 1) if index >= 26 else "")
        for index in range(count)
    )


def title_runs(runs: Sequence[Run]) -> tuple[str, ...]:
    """Return what tells runs apart: model, machine, matrix, or the run's id if these are equal."""
    parts = [
        [run.plan.model.title for run in runs],
        [run.plan.machine.title for run in runs],
        [run.plan.matrix.name for run in runs],
    ]
    differing = [names for names in parts if len(set(names)) > 1]
    titles = [" · ".join(names) for names in zip(*differing, strict=True)]
    if len(set(titles)) < len(runs):
        return tuple(run.plan.run_id for run in runs)
    return tuple(titles)


def name_technique(cell: CellResult) -> str:
    """Return the family of a cell: `lcm-lora + bf16`, `fewer steps`, `baseline`."""
    if cell.is_baseline:
        return BASELINE
    mine, theirs = cell.planned.cell.by_axis, cell.run.baseline.planned.cell.by_axis
    changed = [axis for axis in mine if mine[axis] != theirs.get(axis) and axis != "steps"]
    if "distillation" in changed:
        changed = [axis for axis in changed if axis not in _FOLLOWS_DISTILLATION]
    return " + ".join(_name_value(axis, mine[axis]) for axis in changed) or FEWER_STEPS


def _name_value(axis: str, value: str) -> str:
    """Return a value that names its axis where it does not speak for itself: `guidance 5`."""
    bare = value.replace(".", "").isdigit() or value in ("none", "default", "auto")
    return f"{axis} {value}" if bare else value


def _build_row(letter: str, cell: CellResult, on_front: bool) -> ComparedCell:
    worst, normalized, peak = cell.worst_loss, cell.normalized, cell.peak_memory
    return ComparedCell(
        run=letter,
        cell=cell.id,
        technique=name_technique(cell),
        steps=cell.planned.cell.by_axis.get("steps", ""),
        standing=cell.standing,
        image_s=normalized if isinstance(normalized, Absent) else normalized.image_s,
        speedup=cell.speedup,
        worst_loss=worst.loss if isinstance(worst, WorstLoss) else worst,
        worst_metric=worst.metric if isinstance(worst, WorstLoss) else "",
        peak_memory_bytes=peak if isinstance(peak, Absent) else peak.count,
        on_front=on_front,
    )


def group_runs(runs: Sequence[Run]) -> tuple[str, ...]:
    """Return for each run the letter of the first run with comparable losses."""
    letters = name_runs(len(runs))
    groups: list[str] = []
    for index, run in enumerate(runs):
        fits = (
            letters[earlier]
            for earlier in range(index)
            if groups[earlier] == letters[earlier]
            and not list_baseline_differences(runs[earlier].plan, run.plan)
            and not list_definition_differences(runs[earlier], run)
        )
        groups.append(next(fits, letters[index]))
    return tuple(groups)


def list_definition_differences(first: Run, second: Run) -> tuple[str, ...]:
    """Return the metrics that mean something else in each run: `psnr: resize: 'a' ≠ 'b'`."""
    mine, theirs = first.definitions, second.definitions
    found = (
        (metric, definition.difference(theirs[metric]))
        for metric, definition in mine.items()
        if metric in theirs
    )
    return tuple(f"{metric}: {apart}" for metric, apart in found if apart)


def _list_incomparable(letters: Sequence[str], runs: Sequence[Run]) -> Iterator[Incomparable]:
    for (a, first), (b, second) in combinations(zip(letters, runs, strict=True), 2):
        if apart := list_baseline_differences(first.plan, second.plan):
            what = "losses, paired scores and speedups over the baseline"
            yield Incomparable(
                runs=(a, b), what=what, reason=f"the baselines differ: {'; '.join(apart)}"
            )
        for reason in list_definition_differences(first, second):
            yield Incomparable(runs=(a, b), what="scores and losses", reason=reason)
        hosts = first.plan.machine.title, second.plan.machine.title
        if hosts[0] != hosts[1]:
            reason = f"the machines differ: {hosts[0]} ≠ {hosts[1]}"
            yield Incomparable(
                runs=(a, b), what="latencies as an effect of the technique", reason=reason
            )


def build_joint_chart(runs: Sequence[Run]) -> JointChart:
    """Return the points of all runs, each with its place on the front of its group of runs."""
    from harness.stats.pareto import pareto_front

    axis, letters, groups = choose_joint_axis(runs), name_runs(len(runs)), group_runs(runs)
    found = [
        (group, letter, point)
        for letter, group, run in zip(letters, groups, runs, strict=True)
        for point in find_pareto_points(run, axis)
    ]
    fronts: set[tuple[str, str]] = set()
    for group in set(groups):
        places = {
            (letter, point.cell.id): (point.image_s.estimate, point.loss.estimate)
            for other, letter, point in found
            if other == group
        }
        fronts.update(pareto_front(places))
    return JointChart(
        tuple(
            FamilyPoint(
                letter, name_technique(point.cell), point, (letter, point.cell.id) in fronts
            )
            for _, letter, point in found
        ),
        axis,
    )


def choose_joint_axis(runs: Sequence[Run]) -> LossAxis:
    """Return the axis of losses that all runs share, or one without a margin."""
    axes = {run.loss_axis for run in runs}
    return axes.pop() if len(axes) == 1 else LossAxis(margin=None)


def _list_chart_notes(
    runs: Sequence[Run], groups: Sequence[str], chart: JointChart
) -> tuple[str, ...]:
    letters, notes = name_runs(len(runs)), []
    if len(set(groups)) > 1:
        members = [
            " and ".join(
                letter for letter, own in zip(letters, groups, strict=True) if own == group
            )
            for group in dict.fromkeys(groups)
        ]
        notes.append(
            f"Losses are comparable only within {'; '.join(members)}: each of these has its own "
            "baseline or definitions, and its own Pareto front."
        )
    if chart.axis.margin is None and any(run.loss_axis.margin is not None for run in runs):
        notes.append("The runs have different margins: no margin is drawn.")
    drawn = {point.run for point in chart.points}
    notes += [
        f"No cell of {letter} has a loss: run harness evaluate {run.plan.run_id}."
        for letter, run in zip(letters, runs, strict=True)
        if letter not in drawn
    ]
    return tuple(notes)
