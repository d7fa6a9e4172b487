"""Sentences on signing and verification."""

from collections.abc import Sequence

from harness.core.policy import SEES
from harness.core.units import plural
from harness.core.verdict import CellVerdict


def list_undecided(verdicts: Sequence[CellVerdict]) -> str:
    """Return which verdicts are open, each with its reason."""
    lines = "\n".join(f"  - {v.cell_id}: {v.result}: {v.reason}" for v in verdicts)
    open_cells = plural(len(verdicts), "verdict is", "verdicts are")
    return f"cannot sign: {open_cells} open\n{lines}"


def propose_waiver(verdict: CellVerdict) -> str:
    """Return what to do about an open verdict, with the waiver that would accept it."""
    rules = [judged for judged in verdict.errors if judged.result == verdict.result]
    first = "Measure until each is decided, or sign other cells with --select"
    if not rules and not verdict.blind_to:
        return f"{first}."
    rule = SEES
    if rules:
        rule = rules[0].rule.quantity + (f" of {rules[0].metric}" if rules[0].metric else "")
    table = f'cell = "{verdict.cell_id}"\nrule = "{rule}"\nwhy = "…"\nwho = "…"\nuntil = YYYY-MM-DD'
    return f"{first}, or accept them in a policy file, one by one:\n[[waive]]\n{table}"
