"""Runs that exist only as losses, to judge: cells given as metric → (estimate, standard error)."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from harness.core.axis import Cell, Setting
from harness.core.matrix import Matrix, Prices
from harness.core.outcome import Outcome
from harness.core.plan import Plan, PlannedCell
from harness.core.policy import Policy
from harness.core.quality import Definition, Delta, Evaluation, MetricKind, Rung, Score, Tail, Uncertainty
from harness.core.units import Absent
from harness.core.verdict import CellVerdict, Judgement
from harness.gating import judge_run
from harness.results import Run
from harness.stats.confidence import interval, student
from tests.builders.scored_run import _completed, _machine, _model

QUESTIONS = {"distribution": "variety", "paired": "identity"}
KINDS: dict[str, MetricKind] = {
    "clip:bundled": "alignment",
    "lpips:bundled": "paired",
    "fid:bundled": "distribution",
    "psnr": "paired",
}
Loss = tuple[float, float] | str
COMPLETED = _completed(())


def delta(cell_id: str, metric: str, loss: Loss, prompts: int = 256, gates: bool = True) -> Delta:
    """A delta whose loss is (estimate, standard error), or absent for the reason given."""
    definition = Definition(
        metric=metric, kind=KINDS[metric], question=QUESTIONS.get(KINDS[metric], "content"), extractor="x",
        weights_sha256="", resize="none",
        value_range="",
        reference="the baseline at other seeds, same prompts", library="x", better="lower",
    )  # fmt: skip
    spread: Uncertainty | Absent = Absent(absent=str(loss))
    shown = spread
    if not isinstance(loss, str):
        spread = student(*loss, 255)
        shown = interval(spread, loss[0], "test")  # type: ignore[assignment]
    return Delta(
        cell_id=cell_id, metric=metric, definition=definition, baseline=1, candidate=1, literal=shown,
        literal_uncertainty=spread, loss=shown, loss_uncertainty=spread, calibration={}, n=prompts, prompts=prompts,
        gates=gates, why_not="" if gates else "reported only",
    )  # fmt: skip


class Known(NamedTuple):
    """What else is known of a run: blind and missing metrics, raw outcomes, tails, scores, looks."""

    blind: tuple[str, ...] = ()
    ladder: tuple[Rung, ...] = ()
    not_monotone: Mapping[str, tuple[str, ...]] = {}
    missing: Mapping[str, str] = {}
    outcomes: Mapping[str, Outcome] = {}
    tails: tuple[Tail, ...] = ()
    interim_analyses: tuple[int, ...] = ()
    quality_applies: bool = True
    prompts: Mapping[str, int] = {}
    """Cell → the prompts it was judged on, where cells differ."""
    kept: Mapping[str, bool] = {}
    """Metric → whether its loss may judge; the others are only reported."""
    resolved_from: Mapping[str, int] = {}
    """Metric → the prompts from which on it needs no allowance for few images."""
    prices: Prices = Prices()


NO_MORE = Known()


def verdicts(
    cells: Mapping[str, Mapping[str, Loss]],
    policy: Policy | None = None,
    prompts: int = 256,
    known: Known = NO_MORE,
) -> dict[str, CellVerdict]:
    """Judge cells given as metric → loss."""
    return {cell.cell_id: cell for cell in judged(cells, policy, prompts, known).cells}


def judged(
    cells: Mapping[str, Mapping[str, Loss]],
    policy: Policy | None = None,
    prompts: int = 256,
    known: Known = NO_MORE,
) -> Judgement:
    """Judge cells given as metric → loss; the estimate is the loss, the literal change and the score alike."""
    names = ["baseline", *cells]
    planned = tuple(_planned(name) for name in names)
    plan = Plan(
        run_id="r", matrix=Matrix(name="m", axes={}, prices=known.prices), policy=policy or Policy(), matrix_sha256="",
        model=_model().model_copy(update={"quality_applies": known.quality_applies}), machine=_machine(), prompts=(),
        baseline_id="baseline", cells=planned, interim_analyses=known.interim_analyses,
    )  # fmt: skip
    deltas = tuple(
        delta(name, metric, loss, known.prompts.get(name, prompts), known.kept.get(metric, True)).model_copy(
            update={"resolved_from": known.resolved_from.get(metric)}
        )
        for name, found in cells.items()
        for metric, loss in found.items()
    )
    evaluation = Evaluation(
        run_id="r", scores=tuple(_score(delta) for delta in deltas if not isinstance(delta.loss, Absent)),
        deltas=deltas, ladder=known.ladder, tails=known.tails, not_monotone=dict(known.not_monotone),
        blind=dict.fromkeys(known.blind, "no damage could move it here"), missing=dict(known.missing), seconds=0.0,
    )  # fmt: skip
    outcomes = {name: known.outcomes.get(name, COMPLETED) for name in names}
    return judge_run(Run(Path(), plan, outcomes, evaluation))


def _planned(name: str) -> PlannedCell:
    settings = (Setting(axis="steps", name=name.partition("-")[0]),)
    role = "baseline" if name == "baseline" else "candidate"
    cell = Cell(id=name, settings=settings, build_key=name, call_key=name)
    return PlannedCell(cell=cell, role=role, order=0, estimate_s=1, content_key=name)


def _score(found: Delta) -> Score:
    assert not isinstance(found.loss, Absent)
    assert not isinstance(found.loss_uncertainty, Absent)
    return Score(cell_id=found.cell_id, definition=found.definition, value=found.loss,
                 uncertainty=found.loss_uncertainty, n=found.n, prompts=found.prompts)  # fmt: skip
