"""What may be exported: judged runs whose scores mean the same, into a folder that is free."""

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

from harness.core.errors import ResultsError, UsageError
from harness.reporting.compared_runs import list_definition_differences
from harness.results import Run

MANIFEST = "harness-export.json"
"""Names the files of an export: --force replaces these only."""


def load_exportable(folders: Sequence[Path]) -> tuple[Run, ...]:
    """Return loaded runs that may be exported together.

    Raises UsageError if a run is named twice, and ResultsError if one was not evaluated or judged,
    or if two disagree in the definition of a metric.
    """
    twice = {folder.name for folder in folders if folders.count(folder) > 1}
    if twice:
        fix = "Name each run once."
        raise UsageError(f"this run is named twice: {', '.join(sorted(twice))}", "RUN…", fix)
    runs = tuple(Run.load(folder) for folder in folders)
    for run in runs:
        _check_stages(run)
    for first, second in combinations(runs, 2):
        if apart := list_definition_differences(first, second):
            what = f"scores have another meaning than in {first.folder.name}: {'; '.join(apart)}"
            fix = "Export the runs separately, or score them alike: harness evaluate RUN"
            raise ResultsError(what, str(second.folder), fix)
    return runs


def _check_stages(run: Run) -> None:
    name, where = run.folder.name, str(run.folder)
    if run.evaluation is None:
        raise ResultsError("the run was not evaluated yet", where, f"Run: harness evaluate {name}")
    if run.judgement is None:
        raise ResultsError("the run was not judged yet", where, f"Run: harness gate {name}")


def check_folder(out: Path, force: bool) -> None:
    """Raise UsageError if the folder of an export holds other files, or is a file."""
    if out.is_file():
        raise UsageError("this is a file, not a folder", str(out), "Name a folder with --to.")
    if not force and out.is_dir() and any(out.iterdir()):
        known = (out / MANIFEST).exists()
        what = "this folder holds an earlier export" if known else "this folder is in use"
        fix = "Name another folder with --to, or add --force: it replaces files of an export only."
        raise UsageError(what, str(out), fix)
