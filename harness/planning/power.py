"""Forecast what a run can decide, from the standard errors of an earlier run."""

from collections.abc import Iterator

from harness.core.axis import Cell
from harness.core.base import Frozen
from harness.core.plan import Plan
from harness.core.quality import Delta, Evaluation, Uncertainty
from harness.core.rule import RELATIVE, Rule
from harness.core.units import Absent
from harness.stats.confidence import standard_error
from harness.stats.noninferiority import (
    Forecast,
    Pilot,
    drift_needed,
    forecast,
    least_prompts,
    sequential_needed,
)


class Power(Frozen):
    """One metric of one cell under one rule, at 90 % power. Losses are shares."""

    cell_id: str
    metric: str
    quantity: str
    margin: float
    seen: float | None
    """Loss in the earlier run; None for a new cell, which gets its widest spread and no loss."""
    pilot_prompts: int
    error: float
    """Standard error at the earlier run's prompts."""
    prompts: int
    """Most prompts of a cell in the planned run."""
    prompts_needed: int | None
    """Required prompts if the loss is as seen; None: too many, since it is close to the margin."""
    prompts_expected: float
    """Mean prompts of the planned run: fewer than `prompts` if it is adaptive."""
    decides: float
    """Probability that the planned run decides."""
    passes_up_to: float | None
    """The largest true loss that passes; None: not even an unchanged cell passes."""
    fails_from: float
    """The smallest true loss that fails."""
    detects: float
    """The smallest true loss that is significant."""


def forecast_power(plan: Plan, pilot: Evaluation) -> tuple[Power, ...]:
    """Return a forecast for each candidate and metric that an error rule judges by a margin.

    Normal theory on the pilot's standard errors, which fall as 1 / √prompts; a pass at the
    strictest level that Holm's correction may hold a cell against. A metric that the pilot did not
    score has no row.
    """
    candidates = [
        planned.cell
        for planned in plan.cells
        if planned.role == "candidate" and planned.skip is None
    ]
    share = 1 / max(1, len(candidates)) if plan.policy.correction == "holm" else 1.0
    rows = []
    for cell in candidates:
        for delta, rule, own in _judged(plan, cell, pilot):
            shown, spread = _figures(delta, rule)
            if shown is not None and spread is not None:
                rows.append(
                    _forecast(plan, cell, (delta, rule, share), (shown if own else None, spread))
                )
    return tuple(rows)


def _judged(plan: Plan, cell: Cell, pilot: Evaluation) -> Iterator[tuple[Delta, Rule, bool]]:
    """Yield a cell's deltas and rules; for a new cell, the pilot's least precise deltas."""
    own = {delta.metric: delta for delta in pilot.deltas if delta.cell_id == cell.id}
    for metric in dict.fromkeys(delta.metric for delta in pilot.deltas):
        all_deltas = [delta for delta in pilot.deltas if delta.metric == metric and delta.gates]
        for quantity in sorted(RELATIVE):
            same = (rule for rule in plan.policy.gate if rule.quantity == quantity)
            rules = [rule for rule in same if _judges(rule, cell, metric)]
            if not rules:
                continue
            if metric in own:
                if own[metric].gates or (rules[-1].metric and own[metric].if_named):
                    yield own[metric], rules[-1], True
            elif all_deltas:
                yield max(all_deltas, key=lambda delta: _error(delta, rules[-1])), rules[-1], False


def _judges(rule: Rule, cell: Cell, metric: str) -> bool:
    named = not rule.metric or rule.names(metric)
    return rule.severity == "error" and rule.margin is not None and named and rule.fits(cell)


def _figures(delta: Delta, rule: Rule) -> tuple[float | None, Uncertainty | None]:
    figures = delta.figures(rule.quantity)
    return (None, None) if isinstance(figures, Absent) else (figures[0].estimate, figures[1])


def _error(delta: Delta, rule: Rule) -> float:
    """Return the standard error of one prompt."""
    _, spread = _figures(delta, rule)
    return 0.0 if spread is None else Pilot(standard_error(spread), delta.prompts).error_at(1)


def _forecast(
    plan: Plan,
    cell: Cell,
    test: tuple[Delta, Rule, float],
    figures: tuple[float | None, Uncertainty],
) -> Power:
    (delta, rule, share), (seen, spread) = test, figures
    pilot, margin = Pilot(standard_error(spread), delta.prompts), rule.margin or 0.0
    interim_analyses = plan.interim_analyses or (len(plan.prompts),)
    error = pilot.error_at(interim_analyses[-1])
    loss = abs(seen or 0.0) if rule.quantity == "change" else (seen or 0.0)
    alpha = rule.alpha * share if loss < margin else rule.alpha
    least_to_pass = least_prompts(rule.least_damage, rule.alpha * share)
    least = least_to_pass if loss < margin else 0
    needed = sequential_needed(margin - loss, pilot, alpha, interim_analyses)
    enough = tuple(
        analysis for analysis in interim_analyses if analysis >= least
    )  # earlier analyses cannot pass a cell
    ahead = Forecast(0.0, float(interim_analyses[-1]))
    if enough:
        ahead = forecast(margin - loss, pilot, alpha, interim_analyses)
    passes_up_to = margin - drift_needed(rule.alpha * share, interim_analyses) * error
    return Power(
        cell_id=cell.id,
        metric=delta.metric,
        quantity=rule.quantity,
        margin=margin,
        seen=seen,
        pilot_prompts=delta.prompts,
        error=pilot.error,
        prompts=interim_analyses[-1],
        prompts_needed=None if needed is None else max(needed, least),
        prompts_expected=max(ahead.prompts, float(enough[0])) if enough else ahead.prompts,
        decides=ahead.power,
        passes_up_to=passes_up_to
        if passes_up_to >= 0 and interim_analyses[-1] >= least_to_pass
        else None,
        fails_from=margin + drift_needed(rule.alpha, interim_analyses) * error,
        detects=drift_needed(rule.alpha, interim_analyses) * error,
    )
