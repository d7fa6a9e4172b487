"""Whether a cell keeps the baseline's denoising trajectory, so that its images should match."""

from harness.axes import resolve_setting
from harness.core.axis import Cell
from harness.core.plan import Plan


def changed_axes(plan: Plan, cell: Cell) -> tuple[str, ...]:
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
    return not changed_axes(plan, cell)
