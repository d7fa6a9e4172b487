"""The losses of a cell, each with the rule it is held against, and the worst of them."""

import math
from typing import Literal, NamedTuple

from harness.core.base import Frozen
from harness.core.plan import PlannedCell
from harness.core.quality import Delta, Interval, Uncertainty
from harness.core.rule import RELATIVE, Rule
from harness.core.units import Absent
from harness.core.verdict import RuleVerdict
from harness.reporting.loaded import LoadedRun


class GatedLoss(NamedTuple):
    """One metric's calibrated loss or relative change; `rule` is None where nothing judges it."""

    delta: Delta
    quantity: Literal["loss", "change"] = "loss"
    rule: Rule | None = None
    verdict: RuleVerdict | None = None

    @property
    def value(self) -> Interval | Absent:
        """The loss or the change, as a share; absent too where its confidence distribution is."""
        figures = self.delta.figures(self.quantity)
        return figures if isinstance(figures, Absent) else figures[0]

    @property
    def spread(self) -> Uncertainty | Absent:
        """Its confidence distribution."""
        figures = self.delta.figures(self.quantity)
        return figures if isinstance(figures, Absent) else figures[1]

    @property
    def limits(self) -> tuple[float, ...]:
        """The ends it must lie between, as far as there are any."""
        return tuple(end for end in self.rule.window if math.isfinite(end)) if self.rule else ()

    @property
    def two_sided(self) -> bool:
        """Whether a change for the better counts as well."""
        return len(self.limits) == 2

    @property
    def margin(self) -> float | None:
        """How far from 0 it may lie: the margin; None where no limit says so."""
        list_margins = [abs(end) for end in self.limits if end]
        return min(list_margins, default=None)

    @property
    def used(self) -> float:
        """How much of its margin it uses, the loss itself where it has none; what is absent uses nothing."""
        if isinstance(self.value, Absent):
            return -math.inf
        size = abs(self.value.estimate) if self.two_sided else self.value.estimate
        return size / (self.margin or 1.0)


class WorstLoss(Frozen):
    """The loss that uses most of its margin; `limit` is that margin, None where no rule has one.

    `whole` says what 100 % is, in words that follow the percentage.
    """

    metric: str
    whole: str
    loss: Interval
    limit: float | None = None


def list_gated_losses(loaded: LoadedRun, cell_id: str) -> tuple[GatedLoss, ...]:
    """Return the losses and changes that rules judge, errors first; before the gate those its rules will judge."""
    verdict = loaded.verdict(cell_id)
    deltas = {delta.metric: delta for delta in loaded.deltas(cell_id)}
    if verdict is None:
        return _foreseen(loaded, cell_id, deltas)
    gated = [
        GatedLoss(deltas[judged.metric], judged.rule.quantity, judged.rule, judged)  # type: ignore[arg-type]
        for judged in verdict.rules
        if judged.rule.quantity in RELATIVE and judged.metric in deltas
    ]
    return tuple(sorted(gated, key=lambda found: found.rule is not None and found.rule.severity == "warning"))


def _foreseen(loaded: LoadedRun, cell_id: str, deltas: dict[str, Delta]) -> tuple[GatedLoss, ...]:
    cell = loaded.plan.find(cell_id).cell
    found: dict[tuple[str, str], GatedLoss] = {}
    for rule in loaded.policy.gate:
        if rule.quantity in RELATIVE and rule.severity == "error" and rule.fits(cell):
            meant = [d for d in deltas.values() if (rule.names(d.metric) if rule.metric else d.gates)]
            found |= {(rule.quantity, d.metric): GatedLoss(d, rule.quantity, rule) for d in meant}  # type: ignore[arg-type]
    return tuple(found.values())


def deciding_losses(loaded: LoadedRun, cell_id: str) -> tuple[GatedLoss, ...]:
    """Return what decides about a cell's quality: losses under rules of severity error, else those that would gate."""
    gated = [found for found in list_gated_losses(loaded, cell_id) if found.rule and found.rule.severity == "error"]
    return tuple(gated) or tuple(GatedLoss(delta) for delta in loaded.deltas(cell_id) if delta.gates)


def worst_loss(loaded: LoadedRun, planned: PlannedCell) -> WorstLoss | Absent:
    """Return the deciding loss that uses most of its margin."""
    if planned.id == loaded.plan.baseline_id:
        return Absent(absent="the baseline loses nothing against itself")
    if loaded.evaluation is None:
        return Absent(absent="not evaluated yet")
    gated = deciding_losses(loaded, planned.id)
    worst = max(gated, key=lambda found: found.used, default=None)
    if worst is not None and isinstance(worst.value, Interval):
        return WorstLoss(
            metric=worst.delta.metric, whole=worst.delta.definition.whole, loss=worst.value, limit=worst.margin
        )
    reasons = dict.fromkeys(found.value.absent for found in gated if isinstance(found.value, Absent))
    return Absent(absent="; ".join(reasons) or "no metric gates this cell")


def list_margins(loaded: LoadedRun) -> tuple[float, ...]:
    """Return the different margins that decide about this run's cells, rising."""
    cells = [planned.id for planned in loaded.candidates]
    found = {gated.margin for cell in cells for gated in deciding_losses(loaded, cell)}
    return tuple(sorted(margin for margin in found if margin is not None))
