"""Comparisons of runs with published figures, and exports: a paper, a data set, trackers."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.core.errors import UsageError
from harness.core.parsing import expand_user

if TYPE_CHECKING:
    from harness.reporting.compared_runs import ComparedRuns
    from harness.results import Run

__all__ = ["KINDS", "compare", "export"]

KINDS = ("paper", "parquet", "mlflow", "wandb", "trackio")
"""What an export can be."""


def compare(*folders: Path, ledger: Path | None = None, out: Path | None = None) -> "ComparedRuns":
    """Return two or more runs in one table, each later one against the first, with what may not be
    compared and the published figures that have a counterpart.

    `out` is the folder that the page is written to; claims of the file `ledger` come first. Raises
    UsageError for fewer than two runs, ResultsError if one cannot be read, LedgerError with every
    mistake in the ledger.
    """
    from harness.exporting.published import list_published
    from harness.reporting.compared_runs import compare_all

    if len(folders) < 2:
        raise UsageError(
            "a comparison needs two runs or more", fix="Such as: harness compare RUN RUN"
        )
    runs = load_runs(folders)
    published, unmatched = list_published(runs, ledger)
    found = compare_all(runs).model_copy(
        update={"published": published, "unmatched_claims": unmatched}
    )
    if out is not None:
        from harness.reporting.comparison_page import write_comparison

        write_comparison(found, runs, expand_user(out))
    return found


def export(*folders: Path, out: Path, kind: str = "paper", force: bool = False) -> Path:
    """Export judged runs into a folder and return its main file.

    `paper` is a LaTeX paper, `parquet` a data set with its cards; `mlflow`, `wandb` and `trackio`
    are local stores, one tracked run per cell. With `force` the files of an earlier export are
    replaced. Raises UsageError if the folder is in use or the kind unknown, ResultsError if a run
    was not evaluated or judged, or if metrics have different definitions, MachineError if a
    client's package is missing.
    """
    from harness.exporting.checks import check_folder, load_exportable

    if kind not in KINDS:
        what = f'no export is called "{kind}"'
        raise UsageError(what, "--as", f"The exports are: {', '.join(KINDS)}")
    out = expand_user(out)
    check_folder(out, force)
    runs = load_exportable(folders)
    if kind == "paper":
        from harness.exporting.paper import write_paper

        return write_paper(runs, out, force)
    if kind == "parquet":
        from harness.exporting.data_set import write_data_set

        return write_data_set(runs, out, force)
    from harness.exporting.trackers import write_tracked

    return write_tracked(runs, out, kind)


def load_runs(folders: Sequence[Path]) -> "tuple[Run, ...]":
    """Return loaded runs; ResultsError if one cannot be read."""
    from harness.results import Run

    return tuple(Run.load(folder) for folder in folders)
