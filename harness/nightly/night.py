"""One night: bench, history, detection, a repetition, traces, and the report."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import filelock

from harness import api, store
from harness.core.errors import ExitCode, HarnessError, MachineError
from harness.core.history import LevelChange
from harness.core.outcome import find_failure
from harness.core.parsing import expand_user
from harness.finding import LoadedMatrix
from harness.history.acceptance import read_accepted
from harness.history.merging import place_last
from harness.history.night import NightlyRecord, write_nightly
from harness.history.table import History
from harness.matrix import is_shipped
from harness.nightly.following import (
    Followed,
    Lineage,
    find_accepted_file,
    list_changes,
    write_page,
    write_sentences,
)
from harness.nightly.notifying import Targets
from harness.nightly.repetition import begin_repetition, choose_cells
from harness.nightly.watching import read_commits
from harness.store.layout import history_file, nightly_lock
from harness.store.write import writing_failed


class NightlyOptions(NamedTuple):
    """Where a night's runs and pages go, whether it notifies, and who watches its progress."""

    results: Path = api.RESULTS
    out: Path | None = None
    notify: bool = False
    watch: api.Watch = api.UNWATCHED
    notice: Callable[[str], None] = lambda _: None


USUAL = NightlyOptions()


class NightlyResult(NamedTuple):
    """What a night found: its run, its repetition, all changes, and the page."""

    run: Path
    repetition: Path | None
    followed: Followed
    failed: tuple[str, ...]
    """Cells that failed, each with the reason."""
    page: Path

    @property
    def answer(self) -> tuple[str, str]:
        """The answer of the page in two sentences."""
        return write_sentences(self.followed)

    @property
    def here(self) -> tuple[LevelChange, ...]:
        """The changes of this night's machine."""
        machine = self.followed.history.night(_read_id(self.run)).machine
        return tuple(change for change in self.followed.changes if change.machine == machine)

    @property
    def exit_code(self) -> ExitCode:
        """5 cells failed, 1 a new regression, 6 a suspected one, else 0."""
        states = {change.state for change in self.here if change.direction == "worse"}
        if self.failed:
            return ExitCode.CELLS_FAILED
        if "new" in states:
            return ExitCode.GATE_FAILED
        return ExitCode.INCONCLUSIVE if "suspected" in states else ExitCode.PASS


class _Work(NamedTuple):
    """A night's matrix with its file, and its options."""

    loaded: LoadedMatrix
    lineage: Lineage
    path: Path
    options: NightlyOptions

    @property
    def results(self) -> Path:
        return expand_user(self.options.results)


def run_nightly(path: Path, loaded: LoadedMatrix, options: NightlyOptions = USUAL) -> NightlyResult:
    """Measure a matrix anew and report what changed since earlier nights.

    Each cell is measured once. Suspected changes are measured once more, for better and worse
    alike, and the repetition is added to the history. Raises MachineError if another night runs in
    the same results folder, UsageError for a wrong [nightly] table, before anything is measured.
    """
    matrix = loaded.matrix
    lineage = Lineage(matrix.name, matrix.nightly, find_accepted_file(path))
    work = _Work(loaded, lineage, path, options)
    commits = read_commits(matrix.nightly.watch, Path() if is_shipped(path) else path.parent)
    targets = Targets(matrix.nightly.notify) if options.notify else None
    read_accepted(lineage.accepted_file)
    with _lock(work.results):
        result = _run(work, commits)
    if targets is not None and _is_news(result):
        title = f"{matrix.name}: {result.run.name}"
        if not targets.send(title, " ".join(result.answer)):
            options.notice("The notification could not be sent to every target.")
    return result


def _run(work: _Work, commits: dict[str, str]) -> NightlyResult:
    record = NightlyRecord(watched=commits, matrix=_spell_path(work.path))
    run = _begin(work, record)
    failed = _measure(work, run)
    api.report(run)
    history = _add(work, History.build(work.results, work.lineage.name), run)
    followed = list_changes(history, work.lineage, work.results)
    cells = choose_cells(history, followed.changes, _read_id(run))
    repetition = None
    if work.lineage.settings.repeat and cells:
        work.options.notice(f"Suspected changes are measured again: {', '.join(cells)}")
        repetition = begin_repetition(work.loaded, cells, work.results)
        write_nightly(repetition, record.model_copy(update={"repetition_of": _read_id(run)}))
        failed += _measure(work, repetition)
        api.report(repetition)
        history = _add(work, history, repetition)
        followed = list_changes(history, work.lineage, work.results)
    if _trace(work, run, followed):
        followed = list_changes(history, work.lineage, work.results)
    page = write_page(followed, work.results, work.options.out)
    return NightlyResult(run, repetition, followed, failed, page)


def _begin(work: _Work, record: NightlyRecord) -> Path:
    """Return the folder of a new run: no earlier measurement is continued."""
    run = api.open_run(work.loaded, results=work.results, fresh=True)
    write_nightly(run, record)
    return run


def _measure(work: _Work, run: Path) -> tuple[str, ...]:
    """Measure, evaluate and gate a run; return the cells that failed."""
    api.run_until_decided(run, policy=work.loaded.policy, watch=work.options.watch)
    found = ((cell, find_failure(outcome)) for cell, outcome in store.read_outcomes(run).items())
    return tuple(
        f"{cell}: {failure.kind} during {failure.phase}: {failure.message.splitlines()[0]}"
        for cell, failure in found
        if failure is not None
    )


def _add(work: _Work, history: History, run: Path) -> History:
    """Return the saved history with a run of tonight, in its place after all earlier ones."""
    found = place_last(history.add([run]), _read_id(run))
    found.save(history_file(work.results, work.lineage.name))
    return found


def _trace(work: _Work, run: Path, followed: Followed) -> bool:
    """Trace the baseline and the cells that alarm, or all; return whether any was traced.

    A cell that cannot be traced is stated; the night goes on.
    """
    wanted = work.lineage.settings.trace
    night = followed.history.night(_read_id(run))
    alarming = tuple(
        dict.fromkeys(
            change.cell or night.baseline
            for change in followed.changes
            if change.machine == night.machine and change.state in ("new", "suspected")
        )
    )
    if wanted == "never" or (wanted == "on change" and not alarming):
        return False
    cells = ("",) if wanted == "always" else tuple(dict.fromkeys((night.baseline, *alarming)))
    traced = False
    for cell in cells:
        try:
            with work.options.watch.measuring() as progress:
                traced = bool(api.profile(run, cell, progress=progress)) or traced
        except HarnessError as error:
            work.options.notice(f"No trace of {cell or 'every cell'}: {error.what}")
    return traced


def _is_news(result: NightlyResult) -> bool:
    return bool(result.failed) or any(
        change.state in ("new", "suspected") for change in result.here
    )


@contextmanager
def _lock(results: Path) -> Iterator[None]:
    """Allow one night at a time in a results folder: two would slow each other down."""
    path = nightly_lock(results)
    lock = filelock.FileLock(path, timeout=0)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except filelock.Timeout as error:
        fix = "Wait for it to end: two nights at once would slow each other down."
        raise MachineError("another harness nightly runs here", str(results), fix) from error
    except OSError as error:
        raise writing_failed(path, error, "--results") from error
    try:
        yield
    finally:
        lock.release()


def _read_id(run: Path) -> str:
    return store.read_plan(run).run_id


def _spell_path(path: Path) -> str:
    """Return the matrix file as it is recorded; '' for a shipped one."""
    return "" if is_shipped(path) else str(expand_user(path).resolve())
