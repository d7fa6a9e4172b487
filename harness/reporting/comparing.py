"""Line two runs up, cell by cell: latencies always, scores only where they mean the same thing in both."""

from pathlib import Path

from harness.core.base import Frozen
from harness.core.outcome import Completed
from harness.core.plan import Plan
from harness.core.quality import Delta, Score
from harness.core.units import Absent
from harness.reporting.loaded import Loaded, load


class ScorePair(Frozen):
    """A metric of one cell in both runs: scores, and losses against each run's own baseline.

    Where `refused` says why, the two numbers do not mean the same thing and none is given.
    """

    metric: str
    score_a: float | None = None
    score_b: float | None = None
    loss_a: float | None = None
    loss_b: float | None = None
    refused: str = ""


class CellPair(Frozen):
    """A cell in both runs: seconds per image, how many times faster the second is, verdicts, and scores."""

    cell: str
    latency_a_s: float | None
    latency_b_s: float | None
    speedup: float | None
    verdict_a: str
    verdict_b: str
    quality: tuple[ScorePair, ...]


def compare_runs(first: Path, second: Path) -> tuple[CellPair, ...]:
    """Return one row per cell that either run has.

    Metrics that both runs scored are refused, one by one, where their definitions, prompts or (for distances between
    sets, which fall with n) numbers of images differ. Raises ResultsError if a run cannot be read.
    """
    runs = load(first), load(second)
    cells = dict.fromkeys(planned.id for run in runs for planned in run.plan.compared)
    return tuple(_cell(cell_id, *runs) for cell_id in cells)


def _cell(cell_id: str, first: Loaded, second: Loaded) -> CellPair:
    latencies = [_latency(run, cell_id) for run in (first, second)]
    theirs = _scores(second, cell_id)
    quality = [_pair((mine, first), (theirs[name], second)) for name, mine in _scores(first, cell_id).items()
               if name in theirs]  # fmt: skip
    return CellPair(
        cell=cell_id,
        latency_a_s=latencies[0],
        latency_b_s=latencies[1],
        speedup=latencies[0] / latencies[1] if latencies[0] and latencies[1] else None,
        verdict_a=_standing(first, cell_id),
        verdict_b=_standing(second, cell_id),
        quality=tuple(quality),
    )


def _pair(first: tuple[Score, Loaded], second: tuple[Score, Loaded]) -> ScorePair:
    (mine, run_a), (theirs, run_b) = first, second
    metric = mine.definition.metric
    if refused := _why_not((mine, run_a.plan), (theirs, run_b.plan)):
        return ScorePair(metric=metric, refused=refused)
    return ScorePair(
        metric=metric,
        score_a=mine.value.estimate,
        score_b=theirs.value.estimate,
        loss_a=_loss(run_a, mine),
        loss_b=_loss(run_b, theirs),
    )


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


def _scores(run: Loaded, cell_id: str) -> dict[str, Score]:
    scores = run.evaluation.scores if run.evaluation else ()
    return {score.definition.metric: score for score in scores if score.cell_id == cell_id}


def _loss(run: Loaded, score: Score) -> float | None:
    found: Delta | None = next((d for d in run.deltas(score.cell_id) if d.metric == score.definition.metric), None)
    return None if found is None or isinstance(found.loss, Absent) else found.loss.estimate


def _latency(run: Loaded, cell_id: str) -> float | None:
    outcome = run.outcomes.get(cell_id)
    return outcome.latency_s if isinstance(outcome, Completed) else None


def _standing(run: Loaded, cell_id: str) -> str:
    """Return a cell's verdict, or what became of it, or that the run does not have it."""
    if cell_id not in {planned.id for planned in run.plan.compared}:
        return "absent"
    if verdict := run.verdict(cell_id):
        return verdict.result
    outcome = run.outcomes.get(cell_id)
    if isinstance(outcome, Completed) and cell_id == run.plan.baseline_id:
        return "baseline"
    return outcome.status if outcome else "not run"
