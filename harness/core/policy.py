"""Policies: named sets of rules that decide what may ship, and their wording."""

import math
from datetime import date
from typing import Annotated, Literal, get_args

from pydantic import Field

from harness.core.base import Frozen
from harness.core.rule import RELATIVE, SHARES, Correction, Rule
from harness.core.units import format_percent, format_seconds

ImageDamage = Literal[
    "blur", "scaling", "jpeg", "noise", "sharpening", "contrast", "brightness", "saturation",
    "hue", "banding",
]  # fmt: skip
"""Every image of a set is damaged."""
SetDamage = Literal["wrong-prompt", "collapse", "some-damaged"]
"""Some images of a set are replaced or damaged."""
FAMILIES: tuple[str, ...] = (*get_args(ImageDamage), *get_args(SetDamage))
MOST_LEVEL = 5
LADDER_IMAGES = 256
"""The damage ladder is scored on the first prompts, up to this many images."""


class Sees(Frozen):
    """A demand on the gating metrics: they must fail the baseline's images with this damage at this
    level.

    Levels are KADID-10k's: 1 hardly visible, 3 slightly annoying, 5 very annoying; 0 is below what
    most people notice.
    """

    damage: Annotated[
        ImageDamage | SetDamage | Literal["every"],
        Field(description="a family of damage, or every: all that no other entry names"),
    ]
    level: Annotated[int, Field(ge=0, le=MOST_LEVEL)]


SEES = "sees"
"""What a waiver names instead of a rule to accept a pass that is blind to a damage."""


class Waiver(Frozen):
    """One accepted exception: a rule that need not pass in one cell, by whom, why and until when.

    It covers a rule in any state, *fail* included. A cell whose rules are all waived is *missing*.
    """

    cell: Annotated[str, Field(min_length=1, description="a cell's id")]
    rule: Annotated[
        str,
        Field(
            min_length=1,
            description="a quantity, one metric of it (loss of fid:bundled), or sees",
        ),
    ]
    why: Annotated[str, Field(min_length=1, description="the reason, for readers")]
    who: Annotated[str, Field(min_length=1, description="the person who answers for it")]
    until: Annotated[date, Field(description="the last day it holds, UTC")]

    @property
    def quantity(self) -> str:
        return self.rule.partition(" of ")[0]

    @property
    def metric(self) -> str:
        """The metric it is limited to, or ''."""
        return self.rule.partition(" of ")[2]

    def covers(self, cell_id: str, quantity: str, metric: str = "") -> bool:
        """Return whether it is about this rule of this cell."""
        named = self.metric in ("", metric, metric.partition(":")[0])
        return self.cell == cell_id and self.quantity == quantity and named

    def __str__(self) -> str:
        return f"{self.rule} in {self.cell}, waived by {self.who} until {self.until}: {self.why}"


class PolicyFile(Frozen):
    """A policy file. Of rules on the same quantity, metric and severity, the last that fits a cell
    decides."""

    about: str = ""
    correction: Correction = "holm"
    gate: tuple[Rule, ...] = (Rule(margin=0.05),)
    sees: tuple[Sees, ...] = ()
    """Damages that the gating metrics must notice, else a pass does not count."""
    waive: tuple[Waiver, ...] = ()
    """Exceptions that were accepted; they are counted and shown in red."""
    valid_days: Annotated[int, Field(ge=1, le=3660)] = 90
    """Days for which a signature under this policy holds."""

    @property
    def demanded(self) -> dict[str, int]:
        """Family of damage → the level at which it must be noticed, in the order of families."""
        levels: dict[str, int] = {str(wanted.damage): wanted.level for wanted in self.sees}
        found = {family: levels.get(family, levels.get("every")) for family in FAMILIES}
        return {family: level for family, level in found.items() if level is not None}

    def rules_in_every_cell(self, metric: str) -> tuple[Rule, ...]:
        """Return the error rules that judge a gating metric in every cell: of those on the same
        quantity the last."""
        found = {
            rule.quantity: rule
            for rule in self.gate
            if rule.severity == "error"
            and not rule.where
            and (rule.names(metric) if rule.metric else rule.quantity in RELATIVE)
        }
        return tuple(found.values())


class Policy(PolicyFile):
    """A policy with its name and the sha256 of the file it was read from."""

    name: str = "five-percent"
    sha256: str = ""

    def extended(self, rules: tuple[Rule, ...]) -> "Policy":
        """Return this policy with a matrix's own rules after its own, so that they decide where
        both fit."""
        if not rules:
            return self
        word = "rule" if len(rules) == 1 else "rules"
        return self.model_copy(
            update={
                "name": f"{self.name} with {len(rules)} {word} of the matrix",
                "gate": (*self.gate, *rules),
            }
        )


def figure_words(value: float, digits: int = 4) -> str:
    """Return a figure with a few significant digits and a true minus sign."""
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    return f"{value:.{digits}g}".replace("-", "−")


def margin_words(share: float) -> str:
    """Return a configured share without needless decimals: `5 %`, `0.2 %`."""
    return f"{share * 100:.6g} %".replace("-", "−")


def quantity_words(rule: Rule, value: float) -> str:
    """Return a value of a rule's quantity with its unit."""
    if rule.quantity in SHARES:
        return format_percent(value)
    if rule.quantity in ("latency-s", "cold-start-s"):
        return "∞" if math.isinf(value) else format_seconds(value)
    return figure_words(value) + {"speedup": "×", "peak-memory-gib": " GiB", "energy-j": " J"}.get(
        rule.quantity, ""
    )


def limit_words(rule: Rule) -> str:
    """Return a rule's limit: `5 %`, `±2 %`, `±2 % of 23.48 (23.01 to 23.95)`, `at least 2×`."""
    low, high = rule.window
    if rule.margin is not None:
        margin = margin_words(rule.margin)
        if rule.target is not None:
            span = f"{figure_words(low, 6)} to {figure_words(high, 6)}"
            return f"±{margin} of {rule.target:.8g} ({span})"
        return f"±{margin}" if rule.quantity == "change" else margin
    ends = [
        margin_words(end) if rule.quantity in SHARES else quantity_words(rule, end)
        for end in (low, high)
    ]
    if math.isfinite(low) and math.isfinite(high):
        return f"{ends[0]} to {ends[1]}"
    return f"at least {ends[0]}" if math.isfinite(low) else f"at most {ends[1]}"


def rule_words(rule: Rule) -> str:
    """Return a whole rule: `loss of every gating metric below 5 %`, `speedup at least 2×`,
    `warning: …`."""
    what: str = rule.quantity
    if rule.quantity in ("loss", "change"):
        what += f" of {rule.metric or 'every gating metric'}"
    elif rule.metric:
        what += f" of {rule.metric}"
    between = " below" if rule.quantity == "loss" else " within" if rule.margin is not None else ""
    level = "" if rule.level == 0.95 else f" at {margin_words(rule.level)} confidence"
    where = f", where {_where_words(rule)}" if rule.where else ""
    lead = "warning: " if rule.severity == "warning" else ""
    return f"{lead}{what}{between} {limit_words(rule)}{level}{where}"


def sees_words(policy: Policy) -> str:
    """Return the demands of a policy: `must notice every damage at level 3`; empty if there are
    none."""
    parts = [
        f"{wanted.damage}{' damage' if wanted.damage == 'every' else ''} at level {wanted.level}"
        for wanted in policy.sees
    ]
    return f"must notice {', '.join(parts)}" if parts else ""


def _where_words(rule: Rule) -> str:
    """Return the cells that a rule applies to: `precision = bf16`, or globs on cell ids."""
    if isinstance(rule.where, dict):
        return " and ".join(f"{axis} = {value}" for axis, value in rule.where.items())
    globs = (rule.where,) if isinstance(rule.where, str) else rule.where
    return " or ".join(map(repr, globs))
