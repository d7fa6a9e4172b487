"""A run as one night of a history: its facts and figures, kept in the run's folder once read."""

import json
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from harness.core.base import Frozen
from harness.core.errors import MachineError, ResultsError
from harness.core.history import Night
from harness.core.machine import Machine
from harness.core.outcome import Completed
from harness.core.units import Absent
from harness.history.quantities import read_figures
from harness.results.run import Run
from harness.store.layout import RunFolder
from harness.store.read import created_at
from harness.store.write import write_atomically

VERSION = 2
"""Version of readings.json; another one is read anew from the run."""
SHORT_COMMIT = 12


class NightlyRecord(Frozen):
    """What `harness nightly` records in a run besides the plan: stored as nightly.json."""

    watched: dict[str, str] = {}
    """Repository → its commit, with `+changes` if its files differ from it."""
    repetition_of: str = ""
    matrix: str = ""
    """The matrix file, next to which changes are accepted."""


class NightRun(NamedTuple):
    """A night and its rows: cell, quantity, value, low, high, basis."""

    lineage: str
    night: Night
    rows: list[tuple[str, str, float, float, float, str]]


def find_lineage(folder: Path) -> str | None:
    """Return the name of the matrix that a run belongs to; None if its plan cannot be read."""
    try:
        document = json.loads(RunFolder(folder).run_json.read_bytes())
        return str(document["plan"]["matrix"]["name"])
    except (OSError, ValueError, LookupError, TypeError):
        return None


def read_nights(root: Path, lineage: str, anew: bool = False) -> Iterator[NightRun]:
    """Yield the nights of a matrix under a results folder, in no order.

    With `anew` their figures are computed again. Runs that nothing was measured of, and runs that
    cannot be read, are left out.
    """
    for folder in root.iterdir() if root.is_dir() else ():
        if RunFolder(folder).run_json.exists():
            with suppress(ResultsError):
                if anew:
                    _forget_kept(folder)
                found = read_night(folder, lineage)
                if found is not None:
                    yield found


def read_night(folder: Path, lineage: str = "") -> NightRun | None:
    """Return a run as a night; None if nothing of it was measured, or if it is of another matrix
    than `lineage`.

    Its figures are computed once and kept in the run's folder until its records change. Raises
    ResultsError if the run cannot be read.
    """
    stamp = _stamp(folder)
    found = _read_kept(folder, stamp)
    if found is None:
        if lineage and find_lineage(folder) != lineage:
            return None
        found = _compute(Run.load(folder))
        if found is not None:
            with suppress(MachineError):  # read-only results can be followed too
                _keep(folder, stamp, found)
    return found if found is None or lineage in ("", found.lineage) else None


def read_nightly(folder: Path) -> NightlyRecord:
    """Return what `harness nightly` recorded in a run; an empty record for other runs."""
    path = RunFolder(folder).nightly
    try:
        return NightlyRecord.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return NightlyRecord()
    except (OSError, ValidationError) as error:
        fix = "Delete this file: the run's figures do not depend on it."
        raise ResultsError("damaged or unreadable file", str(path), fix) from error


def write_nightly(folder: Path, record: NightlyRecord) -> None:
    """Write what `harness nightly` knows about a run besides its plan."""
    write_atomically(RunFolder(folder).nightly, record.model_dump_json(indent=1).encode())


def _compute(run: Run) -> NightRun | None:
    if not any(isinstance(outcome, Completed) for outcome in run.outcomes.values()):
        return None
    rows = [(cell.id, *figure) for cell in run.cells for figure in read_figures(cell)]
    record = read_nightly(run.folder)
    night = Night(
        run=run.plan.run_id,
        time=_read_time(run.folder),
        machine=run.plan.machine.title,
        facts=_collect_facts(run, record),
        cells=tuple(cell.id for cell in run.cells),
        baseline=run.plan.baseline_id,
        missing={cell.id: cell.absence.absent for cell in run.cells if cell.samples is None},
        repetition_of=record.repetition_of,
    )
    return NightRun(run.plan.matrix.name, night, rows)


def _collect_facts(run: Run, record: NightlyRecord) -> dict[str, str]:
    machine, model = run.plan.machine, run.plan.model
    facts = {"host": machine.name, **_read_packages(run.folder), **machine.facts}
    facts |= {"model": f"{model.title} ({model.digest[:SHORT_COMMIT]})"}
    facts |= {"harness commit": _describe_commit(machine)}
    facts |= {f"commit of {name}": commit for name, commit in record.watched.items()}
    files = ((cell.id, axis, digest) for cell in run.plan.cells
             for axis, digest in cell.files.items())  # fmt: skip
    facts |= {f"{axis} files of {cell}": digest[:SHORT_COMMIT] for cell, axis, digest in files}
    return {name: value for name, value in facts.items() if value}


def _read_packages(folder: Path) -> dict[str, str]:
    """Return name → version of all packages that were installed when the run began, if known."""
    try:
        lines = RunFolder(folder).packages.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return {}
    pairs = (line.partition("==")[::2] for line in lines)
    return {name: version for name, version in pairs if version}


def _describe_commit(machine: Machine) -> str:
    if isinstance(machine.git_commit, Absent):
        return ""
    return machine.git_commit[:SHORT_COMMIT] + ("+changes" if machine.git_dirty is True else "")


def _read_time(folder: Path) -> datetime:
    text = created_at(folder)
    form = "%Y%m%dT%H%M%S.%fZ" if "." in text else "%Y%m%dT%H%M%SZ"
    try:
        return datetime.strptime(text.partition("_")[0], form).replace(tzinfo=timezone.utc)
    except ValueError:
        written = RunFolder(folder).run_json.stat().st_mtime
        return datetime.fromtimestamp(written, timezone.utc)


def _stamp(folder: Path) -> list[list[int]]:
    """Return sizes and times of the records that the figures come from."""
    return [[stat.st_size, stat.st_mtime_ns] for stat in map(Path.stat, _records(folder))]


def _records(folder: Path) -> Iterator[Path]:
    run = RunFolder(folder)
    for path in (run.run_json, run.deltas, run.nightly):
        if path.exists():
            yield path
    yield from sorted(run.cells.glob("*/outcome.json"))


def _read_kept(folder: Path, stamp: list[list[int]]) -> NightRun | None:
    try:
        document: dict[str, Any] = json.loads(RunFolder(folder).readings.read_bytes())
        if document["version"] != VERSION or document["stamp"] != stamp:
            return None
        bases = document["bases"]
        rows = [(*row, bases[basis]) for *row, basis in document["rows"]]
        return NightRun(document["lineage"], Night.model_validate(document["night"]), rows)  # type: ignore[arg-type]
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _forget_kept(folder: Path) -> None:
    with suppress(OSError):  # read-only results keep theirs
        RunFolder(folder).readings.unlink(missing_ok=True)


def keep_night(folder: Path, found: NightRun) -> None:
    """Keep a run's figures in its folder until its records change; MachineError if that fails."""
    _keep(folder, _stamp(folder), found)


def _keep(folder: Path, stamp: list[list[int]], found: NightRun) -> None:
    bases: dict[str, int] = {}
    rows = [(*row, bases.setdefault(basis, len(bases))) for *row, basis in found.rows]
    document = {
        "version": VERSION,
        "lineage": found.lineage,
        "stamp": stamp,
        "night": found.night.model_dump(mode="json"),
        "rows": rows,
        "bases": list(bases),
    }
    write_atomically(RunFolder(folder).readings, json.dumps(document).encode())
