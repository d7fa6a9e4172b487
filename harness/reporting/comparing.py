"""Line two runs up: machines, then cell by cell times and, where they mean the same thing in both, scores.

Losses, paired scores and ratios over the baseline are relative to each run's own baseline. Where these differ, none of
them is given; latencies and scores of the cells themselves still are.
"""

from pathlib import Path

from harness.core.base import Frozen
from harness.core.outcome import Completed
from harness.core.plan import Plan
from harness.core.quality import BASELINE_AT_OTHER_SEEDS, Delta, Interval, Score
from harness.core.units import Absent
from harness.reporting.comparing_machines import condition_differences, machine_differences
from harness.reporting.comparing_plans import (
    baseline_differences,
    cell_differences,
    plan_differences,
    setting_differences,
)
from harness.reporting.loaded import LoadedRun, load

ABSOLUTE = frozenset({"alignment", "correctness"})
"""Kinds of metrics that read pictures and prompts only, no other pictures."""


class ScorePair(Frozen):
    """A metric of one cell in both runs: scores, and losses against each run's own baseline.

    Where `refused` says why, the two numbers do not mean the same thing and none is given; where `loss_refused` does,
    the scores are given and the losses are not.
    """

    metric: str
    score_a: float | None = None
    score_b: float | None = None
    loss_a: float | None = None
    loss_b: float | None = None
    refused: str = ""
    loss_refused: str = ""


class CellPair(Frozen):
    """A cell in both runs: seconds per image, how many times faster the second is, verdicts, and scores.

    `interval` is that of `speedup`; whatever differs between the runs' machines and minutes is part of it.
    `baseline_adjusted` is the same with each run's own baseline as the measure: what slows both alike cancels. It is
    absent where the baselines differ. `differences` names settings and files of the cell that differ.
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
    """Two runs lined up: what differs around the cells, and the cells."""

    differences: tuple[str, ...]
    baselines: tuple[str, ...] = ()
    """How the baselines differ: nothing that is relative to them is comparable then."""
    cells: tuple[CellPair, ...]


def compare_runs(first: Path, second: Path) -> Comparison:
    """Return one row per cell that either run has, after everything that differs around them.

    Metrics that both runs scored are refused, one by one, where their definitions, prompts or (for distances between
    sets, which fall with n) numbers of images differ. Raises ResultsError if a run cannot be read.
    """
    runs = load(first), load(second)
    cells = dict.fromkeys(planned.id for run in runs for planned in run.plan.compared)
    baselines = baseline_differences(runs[0].plan, runs[1].plan)
    return Comparison(
        differences=(*plan_differences(*runs), *machine_differences(runs[0].plan, runs[1].plan)),
        baselines=baselines,
        cells=tuple(_cell(cell_id, runs, _apart(baselines)) for cell_id in cells),
    )


def _apart(baselines: tuple[str, ...]) -> str:
    return f"the baselines differ: {'; '.join(baselines)}" if baselines else ""


def _cell(cell_id: str, runs: tuple[LoadedRun, LoadedRun], apart: str) -> CellPair:
    from harness.stats.latency import image_s

    first, second = runs
    mine, theirs = first.completed(cell_id), second.completed(cell_id)
    latencies = [image_s(cell.pairing, cell.batch) if cell else None for cell in (mine, theirs)]
    settings, differences = _differences(cell_id, *runs)
    other = Absent(absent=f"other settings: {'; '.join(settings)}") if settings else None
    timed = latencies[0] and latencies[1] and not other
    return CellPair(
        cell=cell_id,
        latency_a_s=latencies[0],
        latency_b_s=latencies[1],
        speedup=latencies[0] / latencies[1] if timed else None,  # type: ignore[operator]
        interval=other or _interval(mine, theirs),
        baseline_adjusted=Absent(absent=apart) if apart else other or _baseline_adjusted(cell_id, first, second),
        differences=differences,
        conditions=condition_differences(mine, theirs) if mine and theirs else (),
        verdict_a=_standing(first, cell_id),
        verdict_b=_standing(second, cell_id),
        quality=_quality(cell_id, runs, apart, other.absent if other else ""),
    )


def _differences(cell_id: str, first: LoadedRun, second: LoadedRun) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the settings that differ between a cell of both runs, and these with the files that differ."""
    found = [next((p for p in run.plan.compared if p.id == cell_id), None) for run in (first, second)]
    mine, theirs = found
    if mine is None or theirs is None:
        return (), ()
    return setting_differences(mine, theirs), cell_differences(mine, theirs)


def _quality(cell_id: str, runs: tuple[LoadedRun, LoadedRun], apart: str, other: str) -> tuple[ScorePair, ...]:
    mine, theirs = (_scores(run, cell_id) for run in runs)
    shared = [(mine[name], theirs[name]) for name in mine if name in theirs]
    return tuple(
        ScorePair(metric=pair[0].definition.metric, refused=other) if other else _pair(pair, runs, apart)
        for pair in shared
    )


def _interval(mine: Completed | None, theirs: Completed | None) -> Interval | Absent:
    """Return how many times faster the second run's cell is, from the blocks of both."""
    from harness.stats.speedup import unpaired

    if mine is None or theirs is None or not mine.repeats or not theirs.repeats:
        return Absent(absent="not timed in both runs")
    return unpaired(mine.pairing, theirs.pairing, (mine.batch, theirs.batch)).interval


def _baseline_adjusted(cell_id: str, first: LoadedRun, second: LoadedRun) -> Interval | Absent:
    """Return the second run's speedup over its own baseline ÷ the first run's over its own."""
    from harness.stats.speedup import between, over_baseline

    found = []
    for run in (first, second):
        cell = run.completed(cell_id)
        if cell is None or cell_id == run.plan.baseline_id or not cell.pairing.of("baseline"):
            return Absent(absent="not timed beside a baseline in both runs")
        found.append(over_baseline(run.baseline, cell))
    mine, theirs = found
    if isinstance(mine, Absent) or isinstance(theirs, Absent):
        return mine if isinstance(mine, Absent) else theirs  # type: ignore[return-value]
    return between(mine, theirs).interval


def _pair(scores: tuple[Score, Score], runs: tuple[LoadedRun, LoadedRun], apart: str) -> ScorePair:
    (mine, theirs), (run_a, run_b) = scores, runs
    metric = mine.definition.metric
    refused = _why_not((mine, run_a.plan), (theirs, run_b.plan))
    if refused or (apart and any(_relative(score, run.plan) for score, run in zip(scores, runs, strict=True))):
        return ScorePair(metric=metric, refused="; ".join(reason for reason in (refused, apart) if reason))
    return ScorePair(
        metric=metric,
        score_a=mine.value.estimate,
        score_b=theirs.value.estimate,
        loss_a=None if apart else _loss(run_a, mine),
        loss_b=None if apart else _loss(run_b, theirs),
        loss_refused=apart,
    )


def _relative(score: Score, plan: Plan) -> bool:
    """Whether a score itself is a distance to its run's baseline, at the same or at other seeds."""
    if score.definition.kind in ABSOLUTE:
        return False
    to_baseline = plan.matrix.quality.reference is None or score.definition.reference.startswith(
        BASELINE_AT_OTHER_SEEDS
    )
    return score.definition.kind != "distribution" or to_baseline


def _why_not(first: tuple[Score, Plan], second: tuple[Score, Plan]) -> str:
    """Return in words why two scores cannot be compared; an empty string if they can."""
    (mine, plan_a), (theirs, plan_b) = first, second
    reasons = [mine.definition.difference(theirs.definition)]
    shared = min(mine.prompts, theirs.prompts)
    if plan_a.prompts[:shared] != plan_b.prompts[:shared]:
        reasons.append("prompts: the runs have other prompts")
    if mine.definition.kind == "distribution" and mine.n != theirs.n:
        reasons.append(f"n: {mine.n} ≠ {theirs.n} images")
    return "; ".join(reason for reason in reasons if reason)


def _scores(run: LoadedRun, cell_id: str) -> dict[str, Score]:
    scores = run.evaluation.scores if run.evaluation else ()
    return {score.definition.metric: score for score in scores if score.cell_id == cell_id}


def _loss(run: LoadedRun, score: Score) -> float | None:
    found: Delta | None = next((d for d in run.deltas(score.cell_id) if d.metric == score.definition.metric), None)
    return None if found is None or isinstance(found.loss, Absent) else found.loss.estimate


def _standing(run: LoadedRun, cell_id: str) -> str:
    """Return a cell's verdict, or what became of it, or that the run does not have it."""
    if cell_id not in {planned.id for planned in run.plan.compared}:
        return "absent"
    if verdict := run.verdict(cell_id):
        return verdict.result
    outcome = run.outcomes.get(cell_id)
    if isinstance(outcome, Completed) and cell_id == run.plan.baseline_id:
        return "baseline"
    return outcome.status if outcome else "not run"
