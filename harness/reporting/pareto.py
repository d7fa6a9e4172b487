"""Which cells are on the front of speed against loss, and what a chart of them needs."""

from harness.core.base import Frozen
from harness.core.units import Absent
from harness.reporting.facts import Facts, Standing, WorstLoss
from harness.reporting.loaded import Loaded
from harness.reporting.wording import factor_interval, seconds_interval, share_interval


class Point(Frozen):
    """One cell in the chart: seconds per image and worst loss, each with the ends of its interval."""

    cell_id: str
    standing: Standing
    latency_s: float
    latency_low_s: float
    latency_high_s: float
    loss: float
    loss_low: float
    loss_high: float
    front: bool
    facts: tuple[str, ...]


def _point(cell: Facts, baseline_id: str) -> Point | None:
    if isinstance(cell.timing, Absent):
        return None
    image_s = cell.timing.image_s
    lines = [f"{seconds_interval(image_s)} per image", f"speedup {factor_interval(cell.timing.speedup)}"]
    loss, low, high = 0.0, 0.0, 0.0
    if isinstance(cell.worst, WorstLoss):
        loss, low, high = cell.worst.loss.estimate, cell.worst.loss.low, cell.worst.loss.high
        lines.append(f"worst loss {share_interval(cell.worst.loss)} ({cell.worst.metric})")
    elif cell.id != baseline_id:
        return None
    return Point(
        cell_id=cell.id, standing=cell.standing, front=False, facts=tuple(lines),
        latency_s=image_s.estimate, latency_low_s=image_s.low, latency_high_s=image_s.high,
        loss=loss, loss_low=low, loss_high=high,
    )  # fmt: skip


def points_of(loaded: Loaded, facts: tuple[Facts, ...]) -> tuple[Point, ...]:
    """Return the cells that have both a time and a loss, the front marked; the baseline loses 0."""
    from harness.stats.pareto import pareto_front

    made = [point for cell in facts if (point := _point(cell, loaded.plan.baseline_id))]
    if all(point.cell_id == loaded.plan.baseline_id for point in made):
        return ()
    front = set(pareto_front({point.cell_id: (point.latency_s, point.loss) for point in made}))
    return tuple(point.model_copy(update={"front": point.cell_id in front}) for point in made)


def not_drawn(facts: tuple[Facts, ...], points: tuple[Point, ...]) -> tuple[str, ...]:
    """Return the cells that could not be drawn, each with the reason."""
    drawn = {point.cell_id for point in points}
    missing = []
    for cell in facts:
        if cell.id not in drawn:
            absent = cell.timing if isinstance(cell.timing, Absent) else cell.worst
            reason = absent.absent if isinstance(absent, Absent) else "nothing to compare it with"
            missing.append(f"{cell.id} ({reason})")
    return tuple(missing)
