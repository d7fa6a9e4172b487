"""The gate: judge each cell of a run by a policy, with controlled error rates."""

from harness.gating.judging import judge, judge_run

__all__ = ["judge", "judge_run"]
