"""The deliberate repetition of suspected changes: once, with more rounds and images, added."""

import glob
from pathlib import Path

from harness import api, store
from harness.core.history import LevelChange
from harness.core.matrix import Matrix
from harness.core.plan import Plan
from harness.finding import LoadedMatrix
from harness.history.table import History
from harness.measure.machine import lock_packages

LONGER, MORE_PRECISE = 3, 2
"""A repetition may take so many times as long, and aims at an interval so many times as narrow."""


def choose_cells(history: History, changes: tuple[LevelChange, ...], run: str) -> tuple[str, ...]:
    """Return the cells to measure again: those of suspected changes, for better and worse alike.

    A change that was measured again before is not once more.
    """
    night = history.night(run)
    cells = (
        change.cell or night.baseline
        for change in changes
        if change.state == "suspected" and change.machine == night.machine and not change.remeasured
    )
    return tuple(cell for cell in dict.fromkeys(cells) if cell in night.cells)


def begin_repetition(loaded: LoadedMatrix, cells: tuple[str, ...], results: Path) -> Path:
    """Return the folder of a new run that measures cells again, the last one first.

    It takes more rounds, and images at as many other seeds besides the usual ones.
    """
    matrix = extend(loaded.matrix)
    again = loaded._replace(
        matrix=matrix, text=loaded.text + "\n# measured again by harness nightly\n"
    )
    decided = api.plan(again, select=tuple(map(glob.escape, cells)), results=results)
    return store.create_run(results, reverse(decided), again.text, lock_packages())


def extend(matrix: Matrix) -> Matrix:
    """Return a matrix with more measurement rounds and more images."""
    measure = matrix.measure.model_copy(
        update={
            "max_s": matrix.measure.max_s * LONGER,
            "precision": matrix.measure.precision / MORE_PRECISE,
        }
    )
    seeds = matrix.seeds
    if not matrix.prompts.latent:  # from one latent every seed gives the same image
        first = max(seeds) + 1
        seeds = (*seeds, *range(first, first + len(seeds)))
    return matrix.model_copy(update={"measure": measure, "seeds": seeds})


def reverse(decided: Plan) -> Plan:
    """Return a plan whose candidates run in the opposite order, after the baseline's own cells."""
    candidates = [planned for planned in decided.cells if planned.role == "candidate"]
    others = [planned for planned in decided.cells if planned.role != "candidate"]
    cells = tuple(
        planned.model_copy(update={"order": order})
        for order, planned in enumerate((*others, *reversed(candidates)))
    )
    return decided.model_copy(update={"cells": cells})
