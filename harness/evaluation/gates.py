"""Which metrics may judge which cells."""

from harness.core.cell import Cell
from harness.core.plan import Plan
from harness.evaluation.trajectory import changed_axes
from harness.metrics import Metric


def why_not_gating(plan: Plan, cell: Cell, metric: Metric) -> str:
    """Return why a metric is only reported for a cell; an empty string if it judges it."""
    named = plan.matrix.gate.metrics
    if not plan.model.quality_applies:
        return f"the pictures of {plan.model.title} mean nothing: its quality is not judged"
    if named and metric.name not in named:
        return "gate.metrics does not name it"
    if metric.kind == "paired" and (axes := changed_axes(plan, cell)):
        verb = "change" if len(axes) > 1 else "changes"
        return f"{' and '.join(axes)} {verb} the denoising trajectory: other images are not worse images"
    if not named and not metric.gates_by_default:
        return "a pixel metric is reported, and judges only if gate.metrics names it"
    return ""
