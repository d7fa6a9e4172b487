"""Delete images and traces of old runs; figures, scores, verdicts and reports stay."""

import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from harness.core.errors import MachineError, ResultsError
from harness.core.plan import Plan
from harness.history.acceptance import FILE_NAME, read_accepted
from harness.history.night import read_nightly
from harness.store import lock_run, readable_runs
from harness.store.layout import TRACE, RunFolder
from harness.store.write import writing_failed


class Keep(NamedTuple):
    """How many of the newest nights of a matrix on a machine keep images and traces; None: all."""

    images: int | None = None
    traces: int | None = None


class Prunable(NamedTuple):
    """What of a run would be deleted: folders of images and files of traces."""

    run: Path
    images: tuple[Path, ...]
    traces: tuple[Path, ...]
    pinned: str = ""
    """Why nothing of it is deleted although it is old."""


class _Known(NamedTuple):
    """A run, newest first: its id, its series, and its cells."""

    run: Path
    run_id: str
    series: tuple[str, str]
    cells: tuple[str, ...]


class Pruning(NamedTuple):
    """What would be deleted, with the number of images and the bytes that become free."""

    runs: tuple[Prunable, ...]
    images: int
    traces: int
    freed_bytes: int

    @property
    def pinned(self) -> tuple[Prunable, ...]:
        """The old runs that keep everything."""
        return tuple(run for run in self.runs if run.pinned)


def plan_pruning(root: Path, keep: Keep, accepted_files: tuple[Path, ...] = ()) -> Pruning:
    """Return what is to be deleted under a results folder; nothing is deleted yet.

    A run that a sign-off bundle or an accepted change points at keeps everything. Raises
    AcceptanceError if a file of accepted changes has mistakes.
    """
    known = [_summarize(run, plan) for run, plan in readable_runs(root)]
    pinned = _find_pinned(known, accepted_files)
    runs = tuple(
        run._replace(images=(), traces=(), pinned=pinned[run.run]) if run.run in pinned else run
        for run in _list_old(known, keep)
    )
    files = [file for run in runs for file in _list_files(run)]
    return Pruning(
        tuple(run for run in runs if run.images or run.traces or run.pinned),
        images=sum(file.suffix == ".png" for file in files),
        traces=sum(len(run.traces) for run in runs),
        freed_bytes=_count_freed(files),
    )


def prune(pruning: Pruning) -> tuple[str, ...]:
    """Delete what a plan lists; return why some runs were passed over.

    Raises MachineError if a file cannot be deleted; what was deleted before stays deleted, and the
    same command goes on.
    """
    passed_over = []
    for found in pruning.runs:
        if found.images or found.traces:
            try:
                with lock_run(found.run):
                    _delete(found)
            except MachineError as error:
                if "another harness" not in error.what:
                    raise
                passed_over.append(f"{found.run.name}: {error.what}")
    return tuple(passed_over)


def _delete(found: Prunable) -> None:
    try:
        for folder in found.images:
            shutil.rmtree(folder)
        for file in found.traces:
            file.unlink(missing_ok=True)
    except OSError as error:
        raise writing_failed(found.run, error) from error


def _summarize(run: Path, plan: Plan) -> _Known:
    series = (plan.matrix.name, plan.machine.title)
    return _Known(run, plan.run_id, series, tuple(planned.id for planned in plan.cells))


def _list_old(runs: list[_Known], keep: Keep) -> Iterator[Prunable]:
    """Yield the runs beyond the newest, each with the folders and files that may go."""
    seen: Counter[tuple[str, str]] = Counter()
    for known in runs:
        place, seen[known.series] = seen[known.series], seen[known.series] + 1
        images, traces = _is_old(place, keep.images), _is_old(place, keep.traces)
        if images or traces:
            yield _find_prunable(known, images, traces)


def _is_old(place: int, kept: int | None) -> bool:
    return kept is not None and place >= kept


def _find_prunable(known: _Known, images: bool, traces: bool) -> Prunable:
    folder = RunFolder(known.run)
    folders = [folder.images(cell) for cell in known.cells] if images else []
    traced = [folder.cell(cell) / TRACE for cell in known.cells] if traces else []
    return Prunable(
        known.run,
        tuple(path for path in folders if path.is_dir() and any(path.iterdir())),
        tuple(path for path in traced if path.exists()),
    )


def _find_pinned(runs: list[_Known], accepted_files: tuple[Path, ...]) -> Mapping[Path, str]:
    """Return run → why it keeps everything."""
    files = {*accepted_files, *(file for known in runs for file in _find_accepted(known.run))}
    accepted = [each for file in sorted(files) for each in read_accepted(file)]
    names = {name: each.change for each in accepted for name in (each.since, each.previous)}
    found = {
        known.run: f"the accepted change {names[known.run_id]} points at it"
        for known in runs
        if known.run_id in names
    }
    signed = [known.run for known in runs if RunFolder(known.run).signed.exists()]
    return found | dict.fromkeys(signed, "a sign-off bundle was made of it")


def _find_accepted(run: Path) -> list[Path]:
    """Return the file next to the matrix of a nightly run."""
    try:
        matrix = read_nightly(run).matrix
    except ResultsError:
        return []
    return [Path(matrix).parent / FILE_NAME] if matrix else []


def _list_files(run: Prunable) -> Iterator[Path]:
    for folder in run.images:
        yield from (path for path in folder.rglob("*") if path.is_file())
    yield from run.traces


def _count_freed(files: list[Path]) -> int:
    """Return the bytes that become free: a file that another run links to stays on the disk."""
    links: dict[tuple[int, int], list[int]] = {}
    for file in files:
        stat = file.stat()
        links.setdefault((stat.st_dev, stat.st_ino), [stat.st_size, stat.st_nlink, 0])[2] += 1
    return sum(size for size, count, gone in links.values() if gone >= count)
