"""Optimize after profiling: which recommendations were never looked into with a profiler."""

from harness.core.trace import Trace
from harness.reporting.facts import Facts
from harness.reporting.loaded import Loaded
from harness.reporting.pareto import Point

UNPROFILED = "unprofiled"


def profile_command(loaded: Loaded, cell_id: str) -> str:
    """Return the command that traces one cell of a finished run."""
    return f"harness profile {loaded.run.name} {cell_id}"


def is_profiled(loaded: Loaded, cell_id: str) -> bool:
    """Whether a cell has a trace."""
    cell = loaded.completed(cell_id)
    return cell is not None and isinstance(cell.trace, Trace)


def unprofiled(loaded: Loaded, facts: tuple[Facts, ...], points: tuple[Point, ...], best: str) -> frozenset[str]:
    """Return the cells that a page recommends though they have no trace.

    The one that the answer names (`best`, or an empty string), and every one that may ship and is on the front.
    """
    front = {point.cell_id for point in points if point.front}
    recommended = {cell.id for cell in facts if cell.standing == "pass" and cell.id in front} | (
        {best} if best else set()
    )
    return frozenset(cell_id for cell_id in recommended if not is_profiled(loaded, cell_id))
