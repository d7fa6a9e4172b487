"""The report of a run: a page, Markdown, a CSV, print figures; and comparisons of runs."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas

    from harness.reporting.comparison import Comparison

__all__ = ["compare_runs", "frame", "unprofiled_cells", "write_report"]


def write_report(folder: Path, out: Path, timed: bool = True) -> Path:
    """Write index.html, report.md, results.csv, junit.xml and figures/; return the index.

    Without `timed` it does not show how long drawing took: equal runs get equal bytes. Raises
    ResultsError if the results cannot be read and MachineError if `out` cannot be written.
    """
    from harness.reporting.page import write_report as write  # loads the drawing libraries

    return write(folder, out, timed)


def frame(folder: Path) -> "pandas.DataFrame":
    """Return a run's results, one row per cell: times in s, sizes in bytes, losses as shares.

    Absent values are `pandas.NA`, and the column `absent` says why. Raises ResultsError if the
    results cannot be read.
    """
    from harness.results import Run
    from harness.results.columns import make_frame

    return make_frame(Run.load(folder))


def compare_runs(first: Path, second: Path) -> "Comparison":
    """Compare two runs cell by cell; scores with different definitions are refused."""
    from harness.reporting.comparison import compare_runs as compare

    return compare(first, second)


def unprofiled_cells(folder: Path) -> frozenset[str]:
    """Return the cells that a run's report recommends without a trace."""
    from harness.reporting.answer import build_answer, list_unprofiled
    from harness.results import Run

    run = Run.load(folder)
    return list_unprofiled(run, build_answer(run))
