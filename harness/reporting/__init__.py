"""The report of a run: one page, a table for CI, a CSV, figures for print, and the results as a frame."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas

    from harness.reporting.comparing import Comparison

__all__ = ["compare_runs", "frame", "write_report"]


def write_report(run: Path, out: Path) -> Path:
    """Write index.html, report.md, results.csv and figures/ of a run to `out`; return out/index.html.

    Raises ResultsError where the results cannot be read and MachineError where `out` cannot be written.
    """
    from harness.reporting.write import write_report as write  # drawing libraries load only when a report is written

    return write(run, out)


def frame(run: Path) -> "pandas.DataFrame":
    """Return the results of a run as a pandas frame, one row a cell: times in s, sizes in bytes, losses as shares.

    An absent figure is `pandas.NA`, and the column `absent` says why. ResultsError where they cannot be read.
    """
    from harness.reporting.rows import read_frame

    return read_frame(run)


def compare_runs(first: Path, second: Path) -> "Comparison":
    """Line two runs up: what differs around the cells, and each cell; scores that mean other things are refused."""
    from harness.reporting.comparing import compare_runs as compare

    return compare(first, second)
