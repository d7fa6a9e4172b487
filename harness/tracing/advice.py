"""Advice from a trace: up to three sentences on what slows a cell down and what to try."""

from harness.tracing import call_rules, denoiser_rules
from harness.tracing.rule import Advice, AdviceRule
from harness.tracing.traced_cell import TracedCell, find_bound

SENTENCES = 3
RULES: tuple[AdviceRule, ...] = (*denoiser_rules.RULES, *call_rules.RULES)


def advise(cell: TracedCell) -> tuple[Advice, ...]:
    """Return at most three pieces of advice, sorted by the share of the call they concern.

    Where no rule applies: one on what the denoiser's time is spent on. Values that are already set,
    or that the cell's other settings exclude, are never suggested.
    """
    bound = find_bound(cell)
    found = [advice for rule in RULES if (advice := rule(cell, bound)) is not None]
    found.sort(key=lambda advice: (-advice.concerns, advice.rule))
    if found:
        return tuple(found[:SENTENCES])
    busy = 1 - bound.idle_share
    return (
        Advice(rule="bound", sentence=bound.sentence, figure=busy, unit="share busy", concerns=0.0),
    )
