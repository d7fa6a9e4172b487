"""Whether a run's figures confirm the default configuration: 4 steps, compiled, 16 bit."""

from collections.abc import Iterator
from typing import Literal

from harness.core.base import Frozen
from harness.core.quality import Interval
from harness.core.units import Absent
from harness.deployment.decision_table import Ingredient, load_decision_table
from harness.deployment.ranking import compare_times
from harness.deployment.text import write_axis, write_evidence
from harness.results import CellResult, Run

Finding = Literal["confirmed", "contradicted", "mixed", "open", "not measured"]


class IngredientCheck(Frozen):
    """What a run says about one part of the default, with the pairs of cells that show it."""

    name: str
    finding: Finding
    evidence: tuple[str, ...]


class DefaultCheck(Frozen):
    """What a run says about the default as a whole, and about each of its parts."""

    default: str
    finding: Finding
    reason: str
    ingredients: tuple[IngredientCheck, ...]


def check_default(run: Run, best: CellResult | None) -> DefaultCheck:
    """Return whether the run confirms the default; `best` is its fastest cell that may ship."""
    table = load_decision_table()
    parts = [part for part in table.ingredient if not part.alternative]
    checks = tuple(_check_ingredient(run, part) for part in table.ingredient)
    whole = [cell for cell in run.cells if cell.samples and all(p.fits(cell) for p in parts)]
    finding, reason = (
        _judge_whole(whole, best)
        if whole
        else _judge_parts(checks[: len(parts)], " and ".join(map(write_axis, parts)))
    )
    names = [part.name for part in parts] + [p.name for p in table.ingredient if p.alternative]
    return DefaultCheck(
        default=", ".join(names), finding=finding, reason=reason, ingredients=checks
    )


def _judge_whole(whole: list[CellResult], best: CellResult | None) -> tuple[Finding, str]:
    """Judge the cells that have every part of the default."""
    passing = [cell for cell in whole if cell.standing == "pass"]
    if not passing:
        reasons = "; ".join(f"{cell.id}: {cell.standing}, {cell.reason}" for cell in whole)
        failed = any(cell.standing == "fail" for cell in whole)
        return ("contradicted" if failed else "open"), reasons
    own = passing[0]
    if best is None or best in passing:
        return "confirmed", f"{(best or own).id} is the fastest cell that passes"
    ratio = compare_times(own, best)
    surely = isinstance(ratio, Interval) and ratio.low > 1
    return ("contradicted" if surely else "open"), write_evidence(best, own, ratio)


def _judge_parts(checks: tuple[IngredientCheck, ...], all_parts: str) -> tuple[Finding, str]:
    against = [check.name for check in checks if check.finding == "contradicted"]
    reason = f"no cell has {all_parts}"
    if against:
        return "contradicted", f"{reason}, and these parts are contradicted: {', '.join(against)}"
    return "not measured", reason


def _check_ingredient(run: Run, part: Ingredient) -> IngredientCheck:
    """Compare each cell that has a part with the cell that differs in it alone, or the baseline."""
    signs: set[bool | None] = set()
    evidence = []
    for cell, other in _pair(run, part):
        ratio = compare_times(other, cell)
        evidence.append(write_evidence(cell, other, ratio))
        signs.add(_is_support(cell, other, ratio))
    return IngredientCheck(name=part.name, finding=_join(signs), evidence=tuple(evidence))


def _pair(run: Run, part: Ingredient) -> Iterator[tuple[CellResult, CellResult]]:
    for cell in run.candidates:
        if cell.samples is None or not part.fits(cell):
            continue
        rest = {a: v for a, v in cell.planned.cell.by_axis.items() if a != part.axis}
        twins = [
            other
            for other in run.cells
            if other.samples and not part.fits(other) and not part.against_baseline
            if {a: v for a, v in other.planned.cell.by_axis.items() if a != part.axis} == rest
        ]
        if twins or not part.fits(run.baseline):
            yield cell, twins[0] if twins else run.baseline


def _is_support(cell: CellResult, other: CellResult, ratio: Interval | Absent) -> bool | None:
    """Return whether a pair speaks for its ingredient; None: undecided.

    A verdict counts against it only where the other cell has a better one.
    """
    if cell.standing == "fail" and other.standing in ("pass", "baseline"):
        return False
    if isinstance(ratio, Absent) or ratio.low <= 1 <= ratio.high:
        return None
    return ratio.low > 1


def _join(signs: set[bool | None]) -> Finding:
    if not signs:
        return "not measured"
    if {True, False} <= signs:
        return "mixed"
    return "confirmed" if True in signs else "contradicted" if False in signs else "open"
