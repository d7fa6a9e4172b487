"""Which metrics may judge which cells."""

from harness.core.axis import Cell
from harness.core.plan import Plan
from harness.evaluation.trajectory import changed_axes
from harness.metrics import Metric

BY_NAME_ONLY = "reported only: this metric judges where a rule names it"


def why_not_gating(plan: Plan, cell: Cell, metric: Metric) -> str:
    """Return why a metric's loss does not judge a cell by default; an empty string if it does."""
    if not plan.model.quality_applies:
        return f"the pictures of {plan.model.title} mean nothing: its quality is not judged"
    if metric.kind == "paired" and (axes := changed_axes(plan, cell)):
        verb = "change" if len(axes) > 1 else "changes"
        return (
            f"{' and '.join(axes)} {verb} the denoising trajectory: other images are not worse "
            "images"
        )
    return "" if metric.gates_by_default else BY_NAME_ONLY
