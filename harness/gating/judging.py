"""Judge a run: every candidate's gating metrics against the margin, corrected across cells."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.core.errors import ResultsError
from harness.core.matrix import Gate
from harness.core.outcome import Completed
from harness.core.plan import Plan
from harness.core.quality import Delta, Evaluation, Uncertainty
from harness.core.units import Absent
from harness.core.verdict import Judgement
from harness.gating.cell import Evidence, judge_cell
from harness.stats.confidence import p_value
from harness.stats.noninferiority import holm_levels
from harness.store import read_evaluation, read_outcomes, read_plan, write_judgement


def judge(run: Path) -> Judgement:
    """Judge an evaluated run by its matrix's gate; store and return the verdicts.

    Raises ResultsError if the run was not evaluated yet.
    """
    plan = read_plan(run)
    evaluation = read_evaluation(run)
    if evaluation is None:
        raise ResultsError("the run was not evaluated yet", str(run), "Run: harness evaluate " + run.name)
    outcomes = read_outcomes(run)
    completed = [p.id for p in plan.compared if isinstance(outcomes.get(p.id), Completed)]
    judgement = judge_evaluation(plan, evaluation, completed)
    write_judgement(run, judgement)
    return judgement


def judge_evaluation(plan: Plan, evaluation: Evaluation, completed: Sequence[str]) -> Judgement:
    """Return the verdicts of the completed candidates, in the plan's order.

    Tested for each cell: H0 "some gating metric lost the margin or more". Its p-value is the largest of its metrics'
    (intersection–union: no correction within a cell). Across cells Holm's step-down keeps the chance of passing any
    cell that should not pass at or below alpha. Failing uses alpha as it is: it chooses nothing.
    """
    gate = plan.matrix.gate
    cells = [cell_id for cell_id in completed if cell_id != plan.baseline_id]
    evidence = {cell_id: _evidence(cell_id, gate, evaluation) for cell_id in cells}
    alphas = _alphas(evidence, gate)
    verdicts = []
    for cell_id in cells:
        if not plan.model.quality_applies:
            continue
        verdicts.append(judge_cell(cell_id, evidence[cell_id], gate, alphas.get(cell_id, gate.alpha)))
    return Judgement(
        run_id=plan.run_id, correction=gate.correction, margin=gate.margin, alpha=gate.alpha, cells=tuple(verdicts)
    )


def _evidence(cell_id: str, gate: Gate, evaluation: Evaluation) -> Evidence:
    deltas = [delta for delta in evaluation.deltas if delta.cell_id == cell_id and _gates(delta, gate)]
    have = {delta.metric for delta in deltas}
    reported = {delta.metric for delta in evaluation.deltas if delta.cell_id == cell_id}
    missing = {name: why for name, why in evaluation.missing.items() if not gate.metrics or name in gate.metrics}
    for name in gate.metrics:
        if name not in have and name not in reported:
            missing.setdefault(name, "it was not evaluated")
    return Evidence(tuple(deltas), missing, frozenset(evaluation.blind), bool(reported))


def _gates(delta: Delta, gate: Gate) -> bool:
    """A literal gate leaves out metrics that have no literal change, unless it names them."""
    structurally = gate.loss == "literal" and isinstance(delta.literal, Absent) and delta.definition.kind == "paired"
    return delta.gates and not (structurally and delta.metric not in gate.metrics)


def _alphas(evidence: Mapping[str, Evidence], gate: Gate) -> dict[str, float]:
    """Return the alpha each cell is held against; cells that cannot pass whatever their p take no share."""
    p_values = {}
    for cell_id, found in evidence.items():
        losses = [loss_of(delta, gate) for delta in found.deltas]
        known = [loss for loss in losses if isinstance(loss, Uncertainty)]
        if known and len(known) == len(losses) and not found.missing:
            p_values[cell_id] = max(p_value(loss, gate.margin) for loss in known)
    return holm_levels(p_values, gate.alpha) if gate.correction == "holm" else {}


def loss_of(delta: Delta, gate: Gate) -> Uncertainty | Absent:
    """Return the confidence distribution of the loss that the gate judges by."""
    return delta.loss_uncertainty if gate.loss == "calibrated" else delta.literal_uncertainty
