"""Which cells of a run a claim is about, and in what the run's circumstances differ from the claim's."""

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import NamedTuple

from harness.axes import all_axes
from harness.claims.claim import Claim
from harness.core.axis import Scalar
from harness.core.cell import Cell, value_word
from harness.core.plan import Plan
from harness.core.units import Absent


class Pair(NamedTuple):
    """The cells that come nearest to a claim; `differences` are the settings in which they are not as claimed."""

    candidate: Cell
    baseline: Cell | None
    differences: tuple[str, ...]


def find_pair(claim: Claim, cells: Iterable[Cell]) -> Pair | Absent:
    """Return the cell, or the two cells alike but for what the claim compares, with the fewest other differences.

    Of equally near ones the first in the plan's order.
    """
    made = tuple(cells)
    candidates = [cell for cell in made if cell.fits(claim.candidate)]
    if not candidates:
        return Absent(absent=f"no completed cell with {setting_words(claim.candidate)}")
    if not claim.baseline:
        found = [Pair(cell, None, _differences(claim, cell)) for cell in candidates]
        return min(found, key=lambda pair: len(pair.differences))
    baselines = [cell for cell in made if cell.fits(claim.baseline)]
    if not baselines:
        return Absent(absent=f"no completed cell with {setting_words(claim.baseline)} to compare with")
    compared = {*claim.candidate, *claim.baseline}
    pairs = [Pair(mine, theirs, _differences(claim, mine)) for mine in candidates for theirs in baselines
             if _alike(mine, theirs, compared)]  # fmt: skip
    if not pairs:
        axes = ", ".join(sorted(compared))
        return Absent(absent=f"no two completed cells that differ in {axes} only, as {setting_words(claim.candidate)}"
                             f" against {setting_words(claim.baseline)}")  # fmt: skip
    return min(pairs, key=lambda pair: len(pair.differences))


def circumstances(claim: Claim, plan: Plan) -> tuple[str, ...]:
    """Return why this run's machine or model cannot speak for a claim's; empty if it can."""
    reasons = []
    gpu = plan.machine.gpus[0].name if plan.machine.gpus else ""
    if claim.gpu and not (gpu and _any_fits(claim.gpu, (gpu,))):
        reasons.append(f"hardware: {gpu or 'no GPU'}, claimed on {gpu_words(claim)}")
    if not of_the_model(claim, plan):
        reasons.append(f"model: {plan.model.title}, claimed for {model_words(claim)}")
    return tuple(reasons)


def of_the_model(claim: Claim, plan: Plan) -> bool:
    """Return whether the run's model is the claim's, by its title or by the id, name or path the matrix gives."""
    options = plan.matrix.model.options.values()
    names = (plan.model.title, *(text for text in options if isinstance(text, str)))
    return not claim.model or _any_fits(claim.model, names)


def gpu_words(claim: Claim) -> str:
    """Return the hardware a claim was made on: `H100`, `any GPU`, `any machine`."""
    return " or ".join(_named(glob) or "any GPU" for glob in claim.gpu) or "any machine"


def model_words(claim: Claim) -> str:
    """Return the model a claim is about, by the first of its names."""
    return _named(claim.model[0]) if claim.model else "any model"


def setting_words(settings: dict[str, Scalar]) -> str:
    """Return settings for people: `steps 4, distillation lcm-lora`; an axis that may have any value is left out."""
    named = [f"{axis} {value_word(value)}" for axis, value in settings.items() if value != "*"]
    return ", ".join(named) or "any settings"


def _alike(mine: Cell, theirs: Cell, compared: set[str]) -> bool:
    first, second = mine.by_axis, theirs.by_axis
    return mine.id != theirs.id and all(first[axis] == second.get(axis) for axis in first if axis not in compared)


def _differences(claim: Claim, cell: Cell) -> tuple[str, ...]:
    found, claimed = cell.by_axis, {**_plain(claim), **claim.settings}
    return tuple(f"{axis} {found.get(axis, '?')}, claimed with {value_word(claimed[axis])}"
                 for axis in cell.misfits(claimed) if axis in found)  # fmt: skip


def _plain(claim: Claim) -> dict[str, Scalar]:
    """The axes of techniques that a claim does not name, without the technique: a figure says what it was made with.

    Not the precision: its default is decided by the plan.
    """
    named = {*claim.settings, *claim.candidate, *claim.baseline}
    return {axis.name: axis.default for axis in all_axes()
            if axis.default not in (None, "auto") and axis.open_value is None and axis.name not in named}  # fmt: skip


def _any_fits(globs: Iterable[str], names: Iterable[str]) -> bool:
    lowered = [name.lower() for name in names]
    return any(fnmatchcase(name, glob.lower()) for glob in globs for name in lowered)


def _named(glob: str) -> str:
    return " ".join(part for part in glob.split("*") if part)
