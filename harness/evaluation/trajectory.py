"""Which metrics judge a cell: paired ones only where it keeps the denoising trajectory."""

from harness.axes import resolve_setting
from harness.core.axis import Cell
from harness.core.plan import Plan
from harness.metrics import Metric


def list_changed_axes(plan: Plan, cell: Cell) -> tuple[str, ...]:
    """Return the axes on which a cell changes the denoising trajectory, in canonical order.

    An axis counts if the two settings differ and either value is declared to change the trajectory.
    """
    baseline = {setting.axis: setting for setting in plan.find(plan.baseline_id).cell.settings}
    own = {setting.axis: setting for setting in cell.settings}
    changed = []
    for axis in dict.fromkeys([*baseline, *own]):
        before, after = baseline.get(axis), own.get(axis)
        if before == after:
            continue
        values = [resolve_setting(setting) for setting in (before, after) if setting is not None]
        if any(value.trajectory == "changed" for value in values):
            changed.append(axis)
    return tuple(changed)


def keeps_trajectory(plan: Plan, cell: Cell) -> bool:
    """Return whether paired metrics may judge this cell."""
    return not list_changed_axes(plan, cell)


BY_NAME_ONLY = "reported only: this metric judges where a rule names it"


def explain_not_gating(plan: Plan, cell: Cell, metric: Metric) -> str:
    """Return why a metric's loss does not judge a cell by default, or an empty string."""
    if not plan.model.quality_applies:
        return f"images of {plan.model.title} are not judged"
    if metric.kind == "paired" and (axes := list_changed_axes(plan, cell)):
        verb = "change" if len(axes) > 1 else "changes"
        return (
            f"{' and '.join(axes)} {verb} the denoising trajectory: other images are not worse "
            "images"
        )
    return "" if metric.gates_by_default else BY_NAME_ONLY
