"""Hold a run against a policy: pass, fail, inconclusive or missing, with the error rate we accept."""

from harness.gating.judging import judge, judge_evaluation

__all__ = ["judge", "judge_evaluation"]
