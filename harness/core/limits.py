"""Limits and rules in words."""

import math

from harness.core.policy import Policy
from harness.core.rule import SHARES, Rule
from harness.core.units import format_percent, format_seconds


def figure_words(value: float, digits: int = 4) -> str:
    """Return a figure with a few significant digits and a true minus sign."""
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    return f"{value:.{digits}g}".replace("-", "−")


def margin_words(share: float) -> str:
    """Return a share that a person chose, without needless decimals: `5 %`, `0.2 %`."""
    return f"{share * 100:.6g} %".replace("-", "−")


def quantity_words(rule: Rule, value: float) -> str:
    """Return a value of a rule's quantity with its unit."""
    if rule.quantity in SHARES:
        return format_percent(value)
    if rule.quantity in ("latency-s", "cold-start-s"):
        return "∞" if math.isinf(value) else format_seconds(value)
    return figure_words(value) + {"speedup": "×", "peak-memory-gib": " GiB", "energy-j": " J"}.get(rule.quantity, "")


def limit_words(rule: Rule) -> str:
    """Return a rule's limit: `5 %`, `±2 %`, `±2 % of 23.48 (23.01 to 23.95)`, `at least 2×`."""
    low, high = rule.window
    if rule.margin is not None:
        margin = margin_words(rule.margin)
        if rule.target is not None:
            return f"±{margin} of {rule.target:.8g} ({figure_words(low, 6)} to {figure_words(high, 6)})"
        return f"±{margin}" if rule.quantity == "change" else margin
    ends = [margin_words(end) if rule.quantity in SHARES else quantity_words(rule, end) for end in (low, high)]
    if math.isfinite(low) and math.isfinite(high):
        return f"{ends[0]} to {ends[1]}"
    return f"at least {ends[0]}" if math.isfinite(low) else f"at most {ends[1]}"


def rule_words(rule: Rule) -> str:
    """Return a whole rule: `loss of every gating metric below 5 %`, `speedup at least 2×`, `warning: …`."""
    what: str = rule.quantity
    if rule.quantity in ("loss", "change"):
        what += f" of {rule.metric or 'every gating metric'}"
    elif rule.metric:
        what += f" of {rule.metric}"
    between = " below" if rule.quantity == "loss" else " within" if rule.margin is not None else ""
    level = "" if rule.level == 0.95 else f" at {margin_words(rule.level)} confidence"
    where = f", where {_wwrite_measured(rule)}" if rule.where else ""
    lead = "warning: " if rule.severity == "warning" else ""
    return f"{lead}{what}{between} {limit_words(rule)}{level}{where}"


def sees_words(policy: Policy) -> str:
    """Return what a policy demands to be noticed: `must notice every damage at level 3`; empty if nothing."""
    parts = [
        f"{wanted.damage}{' damage' if wanted.damage == 'every' else ''} at level {wanted.level}"
        for wanted in policy.sees
    ]
    return f"must notice {', '.join(parts)}" if parts else ""


def _wwrite_measured(rule: Rule) -> str:
    """Return which cells a rule is meant for: `precision = bf16`, or globs on cell ids."""
    if isinstance(rule.where, dict):
        return " and ".join(f"{axis} = {value}" for axis, value in rule.where.items())
    globs = (rule.where,) if isinstance(rule.where, str) else rule.where
    return " or ".join(map(repr, globs))
