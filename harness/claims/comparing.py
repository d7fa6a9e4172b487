"""Line up what was claimed with what a run measured: confirmed, refuted, or not comparable and why."""

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from harness.claims.claim import OF_A_PAIR, Claim
from harness.claims.matching import circumstances, find_pair, of_the_model
from harness.claims.measuring import Measured, measure
from harness.core.base import Frozen
from harness.core.outcome import Completed
from harness.core.quality import Interval
from harness.core.units import Absent
from harness.store import read_evaluation, read_outcomes, read_plan

Verdict = Literal["confirmed", "refuted", "not comparable"]


class Finding(Frozen):
    """What a run says about a claim. `here` is what it measured, comparable or not; `reasons` why it is not."""

    claim: Claim
    verdict: Verdict
    here: Interval | Absent
    candidate: str = ""
    baseline: str = ""
    reasons: tuple[str, ...] = ()


def compare_claims(run: Path, claims: Iterable[Claim]) -> tuple[Finding, ...]:
    """Return one finding per claim; ResultsError if the run cannot be read.

    Confirmed: the measured interval overlaps what was claimed; refuted: it lies outside, on the same hardware, with
    the same model and settings. Everything else is not comparable; a ratio is measured all the same, for a ratio of
    another machine or model still tells something, seconds and bytes of another model nothing.
    """
    plan, outcomes, evaluation = read_plan(run), read_outcomes(run), read_evaluation(run)
    made = {planned.id: outcome for planned in plan.compared
            if isinstance(outcome := outcomes.get(planned.id), Completed)}  # fmt: skip
    known = [planned.cell for planned in plan.compared if planned.id in made]

    def find(claim: Claim) -> Finding:
        other = circumstances(claim, plan)
        pair = find_pair(claim, known)
        if claim.quantity not in OF_A_PAIR and not of_the_model(claim, plan):
            return Finding(claim=claim, verdict="not comparable", here=Absent(absent=other[-1]), reasons=other)
        if isinstance(pair, Absent):
            return Finding(claim=claim, verdict="not comparable", here=pair, reasons=(*other, pair.absent))
        baseline = pair.baseline.id if pair.baseline else ""
        cells = Measured(pair.candidate.id, made[pair.candidate.id], made.get(baseline), evaluation,
                         made.get(plan.baseline_id))  # fmt: skip
        here = measure(claim, cells)
        reasons = (*other, *pair.differences, *([here.absent] if isinstance(here, Absent) else []))
        verdict: Verdict = "not comparable" if isinstance(here, Absent) or reasons else _verdict(claim, here)
        return Finding(claim=claim, verdict=verdict, here=here, candidate=pair.candidate.id, baseline=baseline,
                       reasons=reasons)  # fmt: skip

    return tuple(find(claim) for claim in claims)


def _verdict(claim: Claim, here: Interval) -> Verdict:
    low, high = claim.window
    return "confirmed" if here.high >= low and here.low <= high else "refuted"
