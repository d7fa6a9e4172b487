"""Deploy a run: recommend one of its cells."""

from dataclasses import replace
from pathlib import Path

from harness.deployment import Constraints, Recommendation
from harness.deployment import recommend as recommend_cell
from harness.gating import judge_run
from harness.matrix import load_policy
from harness.results import Run


def recommend(run: Path, constraints: Constraints) -> Recommendation:
    """Return which measured cell to deploy under constraints, and the decision table of the run.

    A policy among the constraints judges the run again, without storing the verdicts. Raises
    ResultsError if the run was not judged.
    """
    judged = Run.load(run)
    if constraints.policy and judged.evaluation:
        judgement = judge_run(judged, load_policy(constraints.policy))
        judged = replace(judged, judgement=judgement)
    return recommend_cell(judged, constraints)
