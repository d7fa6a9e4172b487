"""Bring a matrix's history up to date and list its changes."""

import datetime
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from harness import api
from harness.core.catalog import did_you_mean
from harness.core.errors import NothingToDo, ResultsError, UsageError
from harness.core.history import LevelChange
from harness.core.matrix import NightlySettings
from harness.core.parsing import expand_user
from harness.history.acceptance import FILE_NAME, read_accepted
from harness.history.changes import Criteria, find_changes
from harness.history.night import find_lineage, read_nightly
from harness.history.statements import list_statements
from harness.history.table import History
from harness.matrix import is_shipped
from harness.reporting.trend_changes import group_changes
from harness.reporting.trend_files import write_trend
from harness.reporting.trend_text import write_answer
from harness.store import read_plan
from harness.store.layout import RunFolder, history_file, trend_folder


class Followed(NamedTuple):
    """A matrix's history with its changes, and sentences on breaks."""

    history: History
    changes: tuple[LevelChange, ...]
    statements: tuple[str, ...]
    accepted_file: Path
    false_alarms: str = NightlySettings().false_alarms
    """The budget of the detection."""


class Lineage(NamedTuple):
    """The name of a matrix, what its nightly is set to, and its file of accepted changes."""

    name: str
    settings: NightlySettings
    accepted_file: Path


def follow(name: Path, results: Path, *, anew: bool = False) -> Followed:
    """Bring the history of a matrix up to date, save it, and return it with its changes.

    `name` is a matrix file, a shipped matrix, or the name of a matrix that has runs. With `anew`
    every run is read again. Raises NothingToDo if it has no night.
    """
    results = expand_user(results)
    lineage = find_settings(expand_user(name), results)
    history = History.build(results, lineage.name, anew=anew)
    if not history.nights:
        fix = f"Make one with: harness nightly {name}"
        raise NothingToDo("this matrix has no night yet", lineage.name, fix)
    history.save(history_file(results, lineage.name))
    return list_changes(history, lineage, results)


def list_changes(history: History, lineage: Lineage, results: Path) -> Followed:
    """Return a history with its changes as of today."""
    today = datetime.datetime.now(datetime.timezone.utc).date()
    accepted = read_accepted(lineage.accepted_file)
    criteria = Criteria(lineage.settings.budget, accepted, today, results)
    changes = find_changes(history, criteria)
    statements, allowed = list_statements(history), lineage.settings.false_alarms
    return Followed(history, changes, statements, lineage.accepted_file, allowed)


def write_page(followed: Followed, results: Path, out: Path | None = None) -> Path:
    """Write the trend page of a history and return its index.html."""
    history = replace(followed.history, notes=followed.statements)
    folder = expand_user(out) if out else trend_folder(results, history.lineage)
    budget = f"budget of false alarms: {followed.false_alarms}"
    return write_trend(history, followed.changes, folder, results, (budget,))


def write_sentences(followed: Followed) -> tuple[str, str]:
    """Return what changed in two sentences."""
    return write_answer(
        followed.history, group_changes(followed.history, followed.changes)
    ).sentences


def add_runs(paths: Iterable[Path], results: Path) -> tuple[tuple[str, int], ...]:
    """Add runs that lie elsewhere, such as another machine's, and return matrix → new nights.

    A path is a run, a folder of runs, or the history file of another machine. Images are not
    needed. Raises ResultsError if a path holds none of them, UsageError for a path that is missing.
    """
    results = expand_user(results)
    runs: dict[str, list[Path]] = {}
    files: dict[str, list[History]] = {}
    for path in map(expand_user, paths):
        if path.is_file():
            other = History.load(path)
            files.setdefault(other.lineage, []).append(other)
        for run in _list_runs(path) if not path.is_file() else ():
            runs.setdefault(find_lineage(run) or "", []).append(run)
    added = []
    for name in dict.fromkeys((*files, *runs)):
        history = History.build(results, name)
        before = len(history.nights)
        for other in files.get(name, ()):
            history = history.join(other)
        history = history.add(runs.get(name, ())).mark_stale(results)
        history.save(history_file(results, name))
        added.append((name, len(history.nights) - before))
    return tuple(added)


def _list_runs(path: Path) -> list[Path]:
    if RunFolder(path).run_json.exists():
        return [path]
    if not path.is_dir():
        raise UsageError("no such file or folder", str(path), "Name a run, or a folder of runs.")
    found = sorted(folder for folder in path.iterdir() if RunFolder(folder).run_json.exists())
    if not found:
        fix = "Name a run, a folder of runs, or a history file (results/history/*.parquet)."
        raise ResultsError("no run in this folder", str(path), fix)
    return found


def find_settings(name: Path, results: Path) -> Lineage:
    """Return what is known of a matrix by its file or by the name of its runs."""
    if name.suffix == ".toml" or is_shipped(name) or name.is_file():
        matrix = api.load(name).matrix
        return Lineage(matrix.name, matrix.nightly, find_accepted_file(name))
    known = list_lineages(results)
    if str(name) not in known:
        what = f'no history of a matrix "{name}" here'
        raise UsageError(what, str(results), did_you_mean(str(name), known))
    return known[str(name)]


def find_accepted_file(matrix: Path) -> Path:
    """Return the file of accepted changes: next to a matrix, in the working folder if it ships."""
    return (Path() if is_shipped(matrix) else expand_user(matrix).parent) / FILE_NAME


def list_lineages(results: Path) -> dict[str, Lineage]:
    """Return name → matrix of every history file and every run, by its newest run's plan."""
    found: dict[str, Lineage] = {}
    for file in sorted((results / "history").glob("*.parquet")):
        found[file.stem] = Lineage(file.stem, NightlySettings(), Path(FILE_NAME))
    newest: dict[str, Path] = {}
    for run in sorted(results.iterdir()) if results.is_dir() else ():
        if RunFolder(run).run_json.exists() and (name := find_lineage(run)):
            newest[name] = run
    for name, run in newest.items():
        matrix = read_nightly(run).matrix
        accepted = Path(matrix).parent if matrix else Path()
        found[name] = Lineage(name, read_plan(run).matrix.nightly, accepted / FILE_NAME)
    return found
