"""Policies: named sets of rules that say what may ship."""

from harness.core.base import Frozen
from harness.core.damage import FAMILIES, Sees
from harness.core.rule import RELATIVE, Correction, Rule


class PolicyFile(Frozen):
    """What a policy file says. Of rules on the same quantity, metric and severity the last that fits a cell decides."""

    about: str = ""
    correction: Correction = "holm"
    gate: tuple[Rule, ...] = (Rule(margin=0.05),)
    sees: tuple[Sees, ...] = ()
    """What the metrics that judge must notice for a pass to count."""

    @property
    def demanded(self) -> dict[str, int]:
        """Family of damage → the level at which it must be noticed, in the order of families."""
        levels: dict[str, int] = {str(wanted.damage): wanted.level for wanted in self.sees}
        found = {family: levels.get(family, levels.get("every")) for family in FAMILIES}
        return {family: level for family, level in found.items() if level is not None}

    def rules_in_every_cell(self, metric: str) -> tuple[Rule, ...]:
        """Return the error rules that judge a gating metric in every cell: of those on the same quantity the last."""
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
        """Return this policy with a matrix's own rules after its own, so that they decide where both fit."""
        if not rules:
            return self
        word = "rule" if len(rules) == 1 else "rules"
        return self.model_copy(
            update={"name": f"{self.name} with {len(rules)} {word} of the matrix", "gate": (*self.gate, *rules)}
        )
