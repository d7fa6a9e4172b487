"""Compare two runs: what differs around the cells, then cell by cell times and scores.

`compared_runs` compares any number of them.

Losses, paired scores and speedups are relative to each run's own baseline. If the baselines differ,
none of them is given; latencies and scores of the cells themselves still are.
"""

from collections import defaultdict
from pathlib import Path

from harness.core.base import Frozen
from harness.core.machine import Machine
from harness.core.outcome import Completed
from harness.core.plan import Plan, PlannedCell
from harness.core.quality import BASELINE_AT_OTHER_SEEDS, Interval, Score, Uncertainty
from harness.core.units import Absent
from harness.reporting.text import MACHINE_STATE
from harness.reporting.timing import format_state
from harness.results import CellResult, Run

Estimated = tuple[Interval, Uncertainty]
ABSOLUTE = frozenset({"alignment", "correctness"})
"""Kinds of metrics that read images and prompts only, no other images."""
_NOTABLE = 0.03
"""The least difference of a mean clock or power that is named."""
_MOST_PACKAGES = 6
_MEANS = ("clock_mhz", "memory_clock_mhz", "power_w", "cpu_mhz")
_UNTIMED = Absent(absent="not timed in both runs")
_UNPAIRED = Absent(absent="not timed alongside a baseline in both runs")


class ScorePair(Frozen):
    """A metric of one cell in both runs: scores, and losses against each run's own baseline.

    `refused` says why neither number is given, `loss_refused` why only the losses are not. The
    changes are second − first, with intervals as if both errors were independent.
    """

    metric: str
    score_a: float | None = None
    score_b: float | None = None
    loss_a: float | None = None
    loss_b: float | None = None
    score_change: Interval | None = None
    loss_change: Interval | None = None
    refused: str = ""
    loss_refused: str = ""


class CellPair(Frozen):
    """A cell in both runs: seconds per image, speedup of the second over the first, and scores.

    `interval` is that of `speedup`; differences between machines and times of day are part of it.
    `baseline_adjusted` is the ratio of the speedups over each run's own baseline, in which these
    cancel; absent if the baselines differ. `differences` names settings and files that differ.
    """

    cell: str
    latency_a_s: float | None
    latency_b_s: float | None
    speedup: float | None
    interval: Interval | Absent
    baseline_adjusted: Interval | Absent
    differences: tuple[str, ...] = ()
    conditions: tuple[str, ...]
    """How the machine's state differed while the cell was timed."""
    verdict_a: str
    verdict_b: str
    quality: tuple[ScorePair, ...]


class Comparison(Frozen):
    """Two runs: what differs around the cells, and the cells."""

    runs: tuple[str, str] = ("A", "B")
    """The letters of both runs."""
    differences: tuple[str, ...]
    baselines: tuple[str, ...] = ()
    """How the baselines differ: no value relative to them is comparable then."""
    cells: tuple[CellPair, ...]


def compare_runs(first: Path, second: Path) -> Comparison:
    """Return one row per cell that either run has, and everything that differs around them.

    Raises ResultsError if a run cannot be read.
    """
    return compare_loaded((Run.load(first), Run.load(second)))


def compare_loaded(runs: tuple[Run, Run], letters: tuple[str, str] = ("A", "B")) -> Comparison:
    """Return one row per cell that either run has, and everything that differs around them.

    A metric is refused if its definition, its prompts or (for distances between sets, which fall
    with n) its number of images differ.
    """
    plans = runs[0].plan, runs[1].plan
    baselines = list_baseline_differences(*plans)
    reason = f"the baselines differ: {'; '.join(baselines)}" if baselines else ""
    cells = dict.fromkeys(cell.id for run in runs for cell in run.cells)
    return Comparison(
        runs=letters,
        differences=(*_compare_plans(*runs), *_compare_machines(*plans)),
        baselines=baselines,
        cells=tuple(_compare_cells(cell_id, runs, reason) for cell_id in cells),
    )


def list_baseline_differences(first: Plan, second: Plan) -> tuple[str, ...]:
    """Return how the models and baselines of two runs differ; empty if losses are comparable."""
    return (*_compare_models(first, second), *_compare_baselines(first, second))


def _compare_cells(cell_id: str, runs: tuple[Run, Run], baselines: str) -> CellPair:
    from harness.stats.latency import image_s

    found = tuple(next((c for c in run.cells if c.id == cell_id), None) for run in runs)
    first, second = found
    mine, theirs = (cell.samples if cell else None for cell in found)
    seconds = [image_s(made.pairing, made.batch) if made else None for made in (mine, theirs)]
    settings = compare_settings(first.planned, second.planned) if first and second else ()
    files = _compare_files(first.planned, second.planned) if first and second else ()
    other = Absent(absent=f"other settings: {'; '.join(settings)}") if settings else None
    comparable = seconds[0] and seconds[1] and not other
    return CellPair(
        cell=cell_id,
        latency_a_s=seconds[0],
        latency_b_s=seconds[1],
        speedup=seconds[0] / seconds[1] if comparable else None,  # type: ignore[operator]
        interval=other or _compare_times(mine, theirs),
        baseline_adjusted=Absent(absent=baselines)
        if baselines
        else other or _compare_speedups(first, second),
        differences=(*settings, *files),
        conditions=compare_conditions(mine, theirs) if mine and theirs else (),
        verdict_a=_name_verdict(first),
        verdict_b=_name_verdict(second),
        quality=_compare_quality(first, second, baselines, other) if first and second else (),
    )


def _compare_times(mine: Completed | None, theirs: Completed | None) -> Interval | Absent:
    """Return how many times faster the second run's cell is, from the blocks of both."""
    from harness.stats.speedup import unpaired

    if mine is None or theirs is None or not mine.repeats or not theirs.repeats:
        return _UNTIMED
    return unpaired(mine.pairing, theirs.pairing, (mine.batch, theirs.batch)).interval


def _compare_speedups(first: CellResult | None, second: CellResult | None) -> Interval | Absent:
    """Return the second run's speedup over its own baseline ÷ the first run's over its own."""
    from harness.stats.speedup import between

    for cell in (first, second):
        if (
            cell is None
            or cell.samples is None
            or cell.is_baseline
            or not cell.samples.pairing.of("baseline")
        ):
            return _UNPAIRED
    assert first and second
    if isinstance(first.ratio, Absent):
        return first.ratio
    return (
        second.ratio
        if isinstance(second.ratio, Absent)
        else between(first.ratio, second.ratio).interval
    )


def _name_verdict(cell: CellResult | None) -> str:
    """Return a cell's verdict, or its status, or that the run does not have it."""
    if cell is None:
        return "absent"
    if cell.verdict:
        return cell.verdict.result
    if cell.samples and cell.is_baseline:
        return "baseline"
    return cell.outcome.status if cell.outcome else "not run"


def _compare_quality(
    first: CellResult, second: CellResult, baselines: str, other: Absent | None
) -> tuple[ScorePair, ...]:
    shared = [metric for metric in first.scores if metric in second.scores]
    if other:
        return tuple(ScorePair(metric=metric, refused=other.absent) for metric in shared)
    return tuple(_compare_scores(metric, first, second, baselines) for metric in shared)


def _compare_scores(
    metric: str, first: CellResult, second: CellResult, baselines: str
) -> ScorePair:
    cells = (first, second)
    mine, theirs = (cell.scores[metric] for cell in cells)
    refused = _refuse_scores((mine, first.run.plan), (theirs, second.run.plan))
    relative = any(_is_relative(cell.scores[metric], cell.run.plan) for cell in cells)
    if refused or (baselines and relative):
        reasons = "; ".join(reason for reason in (refused, baselines) if reason)
        return ScorePair(metric=metric, refused=reasons)
    losses = [None if baselines else _find_loss(cell, metric) for cell in cells]
    return ScorePair(
        metric=metric,
        score_a=mine.value.estimate,
        score_b=theirs.value.estimate,
        loss_a=losses[0],
        loss_b=losses[1],
        score_change=subtract((mine.value, mine.uncertainty), (theirs.value, theirs.uncertainty)),
        loss_change=None if baselines else _subtract_losses(first, second, metric),
        loss_refused=baselines,
    )


def _find_loss(cell: CellResult, metric: str) -> float | None:
    delta = cell.deltas.get(metric)
    return None if delta is None or isinstance(delta.loss, Absent) else delta.loss.estimate


def _subtract_losses(first: CellResult, second: CellResult, metric: str) -> Interval | None:
    deltas = [cell.deltas.get(metric) for cell in (first, second)]
    figures = [delta.figures("loss") if delta else None for delta in deltas]
    mine, theirs = (figure if isinstance(figure, tuple) else None for figure in figures)
    return subtract(mine, theirs) if mine and theirs else None


def subtract(mine: Estimated, theirs: Estimated) -> Interval:
    """Return theirs − mine with its interval, as if their errors were independent."""
    from harness.stats.confidence import difference, interval

    change = theirs[0].estimate - mine[0].estimate
    return interval(difference(mine[1], theirs[1]), change, "difference of independent figures")


def _is_relative(score: Score, plan: Plan) -> bool:
    """Return whether a score is a distance to its run's baseline, at the same or other seeds."""
    definition = score.definition
    if definition.kind in ABSOLUTE:
        return False
    to_baseline = definition.reference.startswith(BASELINE_AT_OTHER_SEEDS)
    to_baseline = to_baseline or plan.matrix.quality.reference is None
    return definition.kind != "distribution" or to_baseline


def _refuse_scores(first: tuple[Score, Plan], second: tuple[Score, Plan]) -> str:
    """Return why two scores cannot be compared; empty if they can."""
    (mine, plan_a), (theirs, plan_b) = first, second
    reasons = [mine.definition.difference(theirs.definition)]
    shared = min(mine.prompts, theirs.prompts)
    if plan_a.prompts[:shared] != plan_b.prompts[:shared]:
        reasons.append("prompts: the runs have other prompts")
    if mine.definition.kind == "distribution" and mine.n != theirs.n:
        reasons.append(f"n: {mine.n} ≠ {theirs.n} images")
    return "; ".join(reason for reason in reasons if reason)


def _compare_plans(first: Run, second: Run) -> tuple[str, ...]:
    """Return what two runs measured differently, besides their machines: `seeds: [0] ≠ [7]`."""
    plans = first.plan, second.plan
    found = [
        *_compare_models(*plans),
        *(f"baseline: {text}" for text in _compare_baselines(*plans)),
    ]
    seeds = [list(plan.matrix.seeds) for plan in plans]
    found += [f"seeds: {seeds[0]} ≠ {seeds[1]}"] if seeds[0] != seeds[1] else []
    found += _compare_prompts(*plans)
    starts = [plan.latent and plan.latent.sha256 for plan in plans]
    found += ["prompts.latent: the images start from other noise"] if starts[0] != starts[1] else []
    found += _compare_shared_cells(*plans)
    policies = [
        (run.policy.name, run.policy.correction, run.policy.gate) for run in (first, second)
    ]
    if policies[0] != policies[1]:
        names = policies[0][0], policies[1][0]
        differ = f"{names[0]} ≠ {names[1]}" if names[0] != names[1] else f"{names[0]}, other rules"
        found.append(f"policy: {differ}")
    return tuple(found)


def compare_settings(first: PlannedCell, second: PlannedCell) -> tuple[str, ...]:
    """Return the settings that differ, such as `resolution 512x512 ≠ 1024x1024`."""
    mine, theirs = first.cell.by_axis, second.cell.by_axis
    axes = dict.fromkeys((*mine, *theirs))
    values = ((axis, mine.get(axis, "none"), theirs.get(axis, "none")) for axis in axes)
    return tuple(f"{axis} {one} ≠ {other}" for axis, one, other in values if one != other)


def _compare_files(first: PlannedCell, second: PlannedCell) -> tuple[str, ...]:
    """Return the axes with the same value and other files, such as a replaced adapter."""
    differences = []
    for axis in sorted(first.files.keys() & second.files.keys()):
        mine, theirs = first.files[axis], second.files[axis]
        setting = first.cell.setting(axis)
        if mine != theirs and setting == second.cell.setting(axis):
            differences.append(f"{axis} {setting}: files {mine[:12]} ≠ {theirs[:12]}")
    return tuple(differences)


def _compare_planned(first: PlannedCell, second: PlannedCell) -> tuple[str, ...]:
    return (*compare_settings(first, second), *_compare_files(first, second))


def _compare_baselines(first: Plan, second: Plan) -> tuple[str, ...]:
    return _compare_planned(first.find(first.baseline_id), second.find(second.baseline_id))


def _compare_models(first: Plan, second: Plan) -> list[str]:
    if first.model.digest == second.model.digest:
        return []
    mine, theirs = (f"{plan.model.title} {plan.model.digest[:12]}" for plan in (first, second))
    return [f"model: {mine} ≠ {theirs}"]


def _compare_prompts(first: Plan, second: Plan) -> list[str]:
    sets = [[(p.id, p.text, p.negative) for p in plan.prompts] for plan in (first, second)]
    mine, theirs = sets
    if mine == theirs:
        return []
    if len(mine) == len(theirs):
        return ["prompts: other texts"]
    shared = min(len(mine), len(theirs))
    alike = "the first of them the same" if mine[:shared] == theirs[:shared] else "of other texts"
    return [f"prompts: {len(mine)} ≠ {len(theirs)}, {alike}"]


def _compare_shared_cells(first: Plan, second: Plan) -> list[str]:
    """Return the differences of cells with one name: each once, with the cells that have it."""
    places: dict[str, list[str]] = defaultdict(list)
    theirs = {planned.id: planned for planned in second.compared}
    for planned in first.compared:
        is_named = planned.id == first.baseline_id == second.baseline_id  # as the baseline
        if planned.id in theirs and not is_named:
            for difference in _compare_planned(planned, theirs[planned.id]):
                places[difference].append(planned.id)
    return [f"{', '.join(ids)}: {difference}" for difference, ids in places.items()]


def _compare_machines(first: Plan, second: Plan) -> tuple[str, ...]:
    """Return how machines, software and measuring differ: `driver: 550 ≠ 570`."""
    mine, theirs = _describe(first.machine), _describe(second.machine)
    found = [
        f"{name}: {mine[name]} ≠ {theirs[name]}" for name in mine if mine[name] != theirs[name]
    ]
    found += _compare_packages(first.machine, second.machine)
    timed = first.matrix.measure.model_dump(), second.matrix.measure.model_dump()
    keys = [key for key in timed[0] if timed[0][key] != timed[1][key]]
    return (*found, *(f"measure.{key}: {timed[0][key]} ≠ {timed[1][key]}" for key in keys))


def _describe(machine: Machine) -> dict[str, str]:
    commit = machine.git_commit
    return {
        "machine": machine.name,
        **{name: fact for name, fact in machine.facts.items() if name not in machine.packages},
        "commit": "unknown" if isinstance(commit, Absent) else commit[:12],
    }


def _compare_packages(first: Machine, second: Machine) -> list[str]:
    """Return the packages whose versions differ, the first few by name."""
    mine, theirs = first.packages, second.packages
    differ = [n for n in sorted(mine.keys() | theirs.keys()) if mine.get(n) != theirs.get(n)]
    named = differ[:_MOST_PACKAGES]
    found = [f"{n}: {mine.get(n, 'absent')} ≠ {theirs.get(n, 'absent')}" for n in named]
    more = len(differ) - len(named)
    return [*found, f"{more} more packages"] if more else found


def compare_conditions(first: Completed, second: Completed) -> tuple[str, ...]:
    """Return how the machine's state differed while one cell was timed: mean clocks, power."""
    found = []
    for field in _MEANS:
        mine, theirs = _mean(first, field), _mean(second, field)
        if mine and theirs and abs(theirs / mine - 1) > _NOTABLE:
            states = (format_state(field, mean, mean) for mean in (mine, theirs))
            found.append(f"{MACHINE_STATE[field][0]}: {' ≠ '.join(states)}")
    if first.threads != second.threads:
        found.append(f"CPU threads: {first.threads} ≠ {second.threads}")
    return tuple(found)


def _mean(cell: Completed, field: str) -> float | None:
    blocks = cell.pairing.of("cell")
    values = [getattr(block.conditions, field) for block in blocks]
    known = [value for value in values if not isinstance(value, Absent)]
    return sum(known) / len(known) if known else None
