"""Measures what an optimization of an image-generation model buys, and what quality it costs.

import harness

matrix = harness.load("quickstart")
run = harness.run(matrix)            # results/<time>_<matrix>_<machine>
harness.evaluate(run)
print(harness.gate(run).result)
harness.report(run)                  # reports/<same name>/index.html
harness.frame(run)                   # a pandas DataFrame, one row a cell

run = harness.bench(matrix)          # all of it, an adaptive run until every cell is decided
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    # ruff: noqa: F401 - for type checkers; at run time __getattr__ finds them
    from harness.api import LoadedMatrix, bench, evaluate, frame, gate, load, plan, report, run
    from harness.core.axis import Cell
    from harness.core.errors import (
        ExitCode,
        HarnessError,
        MachineError,
        MatrixError,
        NothingToDo,
        ResultsError,
        UsageError,
    )
    from harness.core.machine import Machine
    from harness.core.matrix import Matrix
    from harness.core.outcome import Completed, Failed, Outcome, Skipped
    from harness.core.plan import Plan
    from harness.core.quality import Delta, Evaluation, Score
    from harness.core.timing import Repeat
    from harness.core.units import Absent
    from harness.core.verdict import Judgement

__version__ = "0.1.0"

_HOMES = {
    "harness.api": (
        "LoadedMatrix", "bench", "evaluate", "frame", "gate", "load", "plan", "report", "run",
    ),
    "harness.core.axis": ("Cell",),
    "harness.core.errors": (
        "ExitCode", "HarnessError", "MachineError", "MatrixError", "NothingToDo", "ResultsError",
        "UsageError",
    ),
    "harness.core.machine": ("Machine",),
    "harness.core.matrix": ("Matrix",),
    "harness.core.outcome": ("Completed", "Failed", "Outcome", "Skipped"),
    "harness.core.plan": ("Plan",),
    "harness.core.quality": ("Delta", "Evaluation", "Score"),
    "harness.core.timing": ("Repeat",),
    "harness.core.units": ("Absent",),
    "harness.core.verdict": ("Judgement",),
}  # fmt: skip

__all__ = sorted(name for names in _HOMES.values() for name in names)  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that `import harness` costs nothing."""
    for module, names in _HOMES.items():
        if name in names:
            return getattr(import_module(module), name)
    raise AttributeError(f"module 'harness' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
