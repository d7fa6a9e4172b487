"""When an adaptive run judges: the numbers of prompts are fixed before anything is measured.

Looks decided by what was seen would void the error rates; so would a look in between.
"""

import math
from collections.abc import Sequence

from harness.core.cell import Cell
from harness.core.plan import Plan
from harness.core.policy import Policy
from harness.core.rule import ESTIMATED
from harness.stats.noninferiority import least_prompts

EARLY_SHARE = 0.4
"""The first look comes at this share of the prompts that a pass needs: it can only stop cells that surely fail."""
FEWEST = 20
"""An interval from fewer prompts decides nothing."""
GROWTH = 1.4
MOST_LOOKS = 6
"""From the first possible pass on; each further look costs a little of every other look's level."""


def decide_looks(plan: Plan) -> Plan:
    """Return the plan with the looks of an adaptive run; as it is where the matrix asks for all images."""
    if plan.matrix.quality.images != "auto" or not plan.model.quality_applies:
        return plan
    cells = [planned.cell for planned in plan.cells if planned.role == "candidate" and planned.skip is None]
    most, to_pass = len(plan.prompts), prompts_to_pass(plan.policy, cells)
    looks = choose_looks(most, to_pass)
    notes = [f"adaptive: verdicts are looked at with {', '.join(map(str, looks))} prompts; the estimate is for {most}"]
    if to_pass > most:
        notes.append(f"no cell can pass with {most} prompts: {len(cells)} cells under this policy need {to_pass}")
    return plan.model_copy(update={"looks": looks, "notes": (*plan.notes, *notes)})


def choose_looks(most: int, to_pass: int) -> tuple[int, ...]:
    """Return the looks (cumulative prompts, rising, the last is `most`) where a pass needs at least `to_pass` prompts.

    One look before a pass is possible stops hopeless cells cheaply; then the first possible pass; then about 1.4 times
    as many prompts each time. Where `most` prompts cannot pass a cell, failing is all there is to look for.
    """
    first = min(to_pass, most)
    early = round(EARLY_SHARE * first)
    looks = {first, most} | ({early} if early >= FEWEST else set())
    steps = min(MOST_LOOKS - 1, round(math.log(most / first, GROWTH))) if most > first else 0
    looks |= {round(first * (most / first) ** (step / steps)) for step in range(1, steps)}
    return tuple(sorted(looks))


def prompts_to_pass(policy: Policy, cells: Sequence[Cell]) -> int:
    """Return the prompts without which the policy passes no cell, at the strictest level Holm may hold one against.

    The level is not spent over looks: a sample without a single destroyed prompt was without one at every earlier look
    too, so the chance of being fooled at any look is that of the first.
    """
    share = 1 / max(1, len(cells)) if policy.correction == "holm" else 1.0
    rules = {(rule.quantity, rule.metric, str(rule.where)): rule for rule in policy.gate if rule.severity == "error"}
    needed = [
        least_prompts(rule.least_damage, rule.alpha * share)
        for rule in rules.values()
        if rule.quantity in ESTIMATED and any(rule.fits(cell) for cell in cells)
    ]
    return max(needed, default=FEWEST)
