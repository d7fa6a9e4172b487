"""Waivers of a policy: which hold on a day, what they cover, and notes on those without use."""

from collections.abc import Sequence
from datetime import date, datetime, timezone
from typing import NamedTuple

from harness.core.catalog import did_you_mean
from harness.core.policy import Policy, Waiver
from harness.core.rule import Rule
from harness.core.verdict import CellVerdict, RuleVerdict
from harness.results import Run

Rules = tuple[tuple[Rule, str], ...]
"""Rules with the metric that each judges; empty if the quantity belongs to no metric."""


class Waivers(NamedTuple):
    """The waivers that hold on `today` (UTC)."""

    holding: tuple[Waiver, ...]
    today: date

    def find(self, cell_id: str, quantity: str, metric: str = "") -> Waiver | None:
        """Return the waiver of a rule in a cell, or None."""
        covering = (w for w in self.holding if w.covers(cell_id, quantity, metric))
        return next(covering, None)

    def find_deciding(self, cell_id: str, rules: Rules) -> Rules:
        """Return the rules of a cell that are not waived."""
        return tuple(
            (rule, metric)
            for rule, metric in rules
            if rule.severity == "warning" or self.find(cell_id, rule.quantity, metric) is None
        )

    def apply(self, cell_id: str, judged: RuleVerdict) -> RuleVerdict:
        """Return a rule's verdict with its waiver, if it needs and has one."""
        if judged.result == "pass" or judged.rule.severity == "warning":
            return judged
        found = self.find(cell_id, judged.rule.quantity, judged.metric)
        return judged if found is None else judged.model_copy(update={"waiver": found})


def choose_waivers(policy: Policy, today: date | None) -> Waivers:
    """Return the waivers that hold on a day; without one, today in UTC."""
    day = today or datetime.now(timezone.utc).date()
    return Waivers(tuple(waiver for waiver in policy.waive if day <= waiver.until), day)


def list_waiver_notes(
    policy: Policy, run: Run, waivers: Waivers, verdicts: Sequence[CellVerdict]
) -> tuple[str, ...]:
    """Return a line for each waiver that is expired, fits nothing, or is not needed."""
    used = {waiver for verdict in verdicts for waiver in verdict.waivers}
    planned, judged = [cell.id for cell in run.candidates], {v.cell_id for v in verdicts}
    notes = []
    for waiver in policy.waive:
        what = f"the waiver of {waiver.rule} in {waiver.cell}"
        if waiver not in waivers.holding:
            notes.append(f"{what} expired on {waiver.until}; {waiver.who} answered for it")
        elif waiver.cell not in planned:
            notes.append(f"{what}: no such cell. {did_you_mean(waiver.cell, planned)}")
        elif waiver.cell not in judged:
            notes.append(f"{what} has no use: the cell has no verdict")
        elif waiver not in used:
            notes.append(f"{what} is not needed: nothing it covers is open. Remove it")
    return tuple(notes)
