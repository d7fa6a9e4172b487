"""The verdict of one metric on one cell."""

import math

from harness.core.matrix import Gate
from harness.core.quality import Delta, Uncertainty
from harness.core.units import Absent
from harness.core.verdict import MetricVerdict, Threshold
from harness.gating.wording import Finding, sentence
from harness.stats.confidence import lower_bound, p_value, standard_error, upper_bound
from harness.stats.noninferiority import decide, least_prompts
from harness.stats.power import prompts_needed


def judge_delta(delta: Delta, gate: Gate, alpha: float, blind: bool) -> MetricVerdict:
    """Return the verdict of a metric: passing at level 1 − alpha, failing at level 1 − gate.alpha."""
    calibrated = gate.loss == "calibrated"
    loss = delta.loss if calibrated else delta.literal
    spread = delta.loss_uncertainty if calibrated else delta.literal_uncertainty
    if isinstance(loss, Absent) or isinstance(spread, Absent):
        reason = loss.absent if isinstance(loss, Absent) else str(spread)
        return judge_missing(delta.metric, reason, gate)
    least = least_prompts(gate.margin, alpha)
    decision = decide(spread, gate.margin, 1 - alpha, 1 - gate.alpha)
    why = ""
    if decision == "pass" and blind:
        decision, why = "inconclusive", "blind"
    elif decision == "pass" and delta.prompts < least:
        decision, why = "inconclusive", "few"
    needed = None
    if decision == "inconclusive" and why != "blind":
        needed = max(_needed(loss.estimate, spread, delta.prompts, (gate, alpha)) or 0, least) or None
        needed = None if not why and _hopeless(loss.estimate, gate.margin) else needed
    finding = Finding(
        delta=delta,
        gate=gate,
        result=decision,
        observed=loss.estimate,
        lower=lower_bound(spread, 1 - gate.alpha),
        upper=upper_bound(spread, 1 - alpha),
        level=1 - alpha,
        needed=needed,
        why=why,
    )
    return MetricVerdict(
        threshold=_threshold(delta.metric, gate),
        result=decision,
        observed=loss.estimate,
        upper=finding.upper,
        lower=finding.lower,
        p_value=p_value(spread, gate.margin),
        level=1 - alpha,
        prompts_needed=needed,
        sentence=sentence(finding),
    )


def judge_missing(metric: str, reason: str, gate: Gate) -> MetricVerdict:
    """Return the verdict of a metric that has no loss: missing, never a pass."""
    return MetricVerdict(
        threshold=_threshold(metric, gate),
        result="missing",
        observed=None,
        upper=None,
        lower=None,
        p_value=None,
        level=None,
        sentence=f"{metric} is missing: {reason}",
    )


def _hopeless(estimate: float, margin: float) -> bool:
    """An estimate on the margin to a thousandth of it: no number of prompts is worth naming."""
    return math.isclose(estimate, margin, rel_tol=1e-3)


def _needed(estimate: float, spread: Uncertainty, prompts: int, test: tuple[Gate, float]) -> int | None:
    """Return how many prompts settle it if the loss is as estimated: as a pass below the margin, else as a fail."""
    gate, alpha = test
    level = 1 - (alpha if estimate < gate.margin else gate.alpha)
    needed = prompts_needed(gate.margin - estimate, standard_error(spread), prompts, level)
    return None if needed is None else max(needed, prompts + 1)


def _threshold(metric: str, gate: Gate) -> Threshold:
    return Threshold(metric=metric, margin=gate.margin, alpha=gate.alpha, loss=gate.loss)
