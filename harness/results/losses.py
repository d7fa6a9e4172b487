"""The losses of a cell, each with the rule that judges it, and the worst of them."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

from harness.core.base import Frozen
from harness.core.quality import Delta, Interval, Uncertainty
from harness.core.rule import RELATIVE, Rule
from harness.core.units import Absent
from harness.core.verdict import RuleVerdict

if TYPE_CHECKING:
    from harness.results.cell import CellResult
    from harness.results.run import Run


class GatedLoss(NamedTuple):
    """One metric's loss or relative change; `rule` is None if no rule judges it."""

    delta: Delta
    quantity: Literal["loss", "change"] = "loss"
    rule: Rule | None = None
    verdict: RuleVerdict | None = None

    @property
    def value(self) -> Interval | Absent:
        """The loss or change as a share; absent if its confidence distribution is."""
        figures = self.delta.figures(self.quantity)
        return figures if isinstance(figures, Absent) else figures[0]

    @property
    def spread(self) -> Uncertainty | Absent:
        """Its confidence distribution."""
        figures = self.delta.figures(self.quantity)
        return figures if isinstance(figures, Absent) else figures[1]

    @property
    def is_warning(self) -> bool:
        return self.rule is not None and self.rule.severity == "warning"

    @property
    def limits(self) -> tuple[float, ...]:
        """The finite ends of the rule's window."""
        return tuple(end for end in self.rule.window if math.isfinite(end)) if self.rule else ()

    @property
    def is_two_sided(self) -> bool:
        """Whether a change for the better counts as well."""
        return len(self.limits) == 2

    @property
    def margin(self) -> float | None:
        """The distance from 0 to the nearest limit; None without such a limit."""
        return min((abs(end) for end in self.limits if end), default=None)

    @property
    def used(self) -> float:
        """The share of its margin that it uses, or the loss itself without a margin."""
        if isinstance(self.value, Absent):
            return -math.inf
        size = abs(self.value.estimate) if self.is_two_sided else self.value.estimate
        return size / (self.margin or 1.0)


class WorstLoss(Frozen):
    """The loss that uses most of its margin; `whole` says what 100 % is, after the percentage."""

    metric: str
    whole: str
    loss: Interval
    limit: float | None = None


def find_gated_losses(cell: "CellResult") -> tuple[GatedLoss, ...]:
    """Return the losses that rules judged, errors first; before the gate those they will judge."""
    if cell.verdict is None:
        return _foresee(cell)
    found = [
        GatedLoss(cell.deltas[judged.metric], judged.rule.quantity, judged.rule, judged)  # type: ignore[arg-type]
        for judged in cell.verdict.rules
        if judged.rule.quantity in RELATIVE and judged.metric in cell.deltas
    ]
    return tuple(sorted(found, key=lambda loss: loss.is_warning))


def _foresee(cell: "CellResult") -> tuple[GatedLoss, ...]:
    found: dict[tuple[str, str], GatedLoss] = {}
    for rule in cell.run.policy.gate:
        quantity = rule.quantity
        if quantity in RELATIVE and rule.severity == "error" and rule.fits(cell.planned.cell):
            for metric, delta in cell.deltas.items():
                if rule.names(metric) if rule.metric else delta.gates:
                    found[quantity, metric] = GatedLoss(delta, quantity, rule)  # type: ignore[arg-type]
    return tuple(found.values())


def find_worst_loss(losses: Sequence[GatedLoss]) -> WorstLoss | Absent:
    """Return the loss that uses most of its margin, or why there is none."""
    worst = max(losses, key=lambda loss: loss.used, default=None)
    if worst is not None and isinstance(worst.value, Interval):
        definition = worst.delta.definition
        return WorstLoss(
            metric=worst.delta.metric,
            whole=definition.whole,
            loss=worst.value,
            limit=worst.margin,
        )
    reasons = dict.fromkeys(loss.value.absent for loss in losses if isinstance(loss.value, Absent))
    return Absent(absent="; ".join(reasons) or "no metric gates this cell")


def find_margins(run: "Run") -> tuple[float, ...]:
    """Return the different margins that decide about a run's candidates, rising."""
    margins = {loss.margin for cell in run.candidates for loss in cell.deciding_losses}
    return tuple(sorted(margin for margin in margins if margin is not None))
