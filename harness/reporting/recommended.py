"""Optimize after profiling: what a run recommends, and which of that was never looked into with a profiler."""

from pathlib import Path
from typing import NamedTuple

from harness.reporting.answer import Answer, build_answer
from harness.reporting.facts import Facts, all_facts
from harness.reporting.loaded import LoadedRun, load
from harness.reporting.pareto import Point, list_points
from harness.reporting.profiled import is_profiled

UNPROFILED = "unprofiled: no trace says why it is fast"


class Recommended(NamedTuple):
    """The answer, the chart's points, and the cells that they recommend though they have no trace.

    These are the one that the answer names, and every one that may ship and is on the front.
    """

    answer: Answer
    points: tuple[Point, ...]
    unprofiled: frozenset[str]


def recommended(loaded: LoadedRun, facts: tuple[Facts, ...]) -> Recommended:
    """Return what a run recommends, cells without a trace marked."""
    answer, points = build_answer(loaded, facts), list_points(loaded, facts)
    front = {point.cell_id for point in points if point.front}
    named = {cell.id for cell in facts if cell.standing == "pass" and cell.id in front}
    named |= {answer.best} if answer.recommends else set()
    unprofiled = frozenset(cell_id for cell_id in named if not is_profiled(loaded, cell_id))
    marked = tuple(_marked(point) if point.cell_id in unprofiled else point for point in points)
    return Recommended(answer, marked, unprofiled)


def unprofiled_cells(run: Path) -> frozenset[str]:
    """Return the cells that a run's report recommends without a trace; ResultsError where it cannot be read."""
    loaded = load(run)
    return recommended(loaded, all_facts(loaded)).unprofiled


def _marked(point: Point) -> Point:
    return point.model_copy(update={"unprofiled": True, "facts": (*point.facts, UNPROFILED)})
