"""Write results: every file appears whole or not at all; one writer per run."""

import errno
import itertools
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path

import filelock
from pydantic import BaseModel, TypeAdapter

from harness.core.errors import MachineError
from harness.core.outcome import Outcome
from harness.core.plan import Plan
from harness.core.quality import Definition, Evaluation
from harness.core.sign_off import SignedBundle
from harness.core.timing import Pairing
from harness.core.verdict import Judgement
from harness.store.layout import SCHEMA_VERSION, RunFolder
from harness.store.read import created_at, timestamp

_OUTCOME: TypeAdapter[Outcome] = TypeAdapter(Outcome)

RESULTS_OPTION = "--results"


def write_atomically(path: Path, data: bytes, option: str = "") -> None:
    """Write `data` to a file that appears whole or not at all, even if the process or machine dies.

    Raises MachineError when the disk is full or the folder cannot be written; what was there before
    stays. `option` is the command's option that names another folder, for the error's advice.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise writing_failed(path, error, option) from error
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)  # mkstemp makes private files; results are for others to read
        os.replace(temporary, path)
    except OSError as error:
        Path(temporary).unlink(missing_ok=True)
        raise writing_failed(path, error, option) from error


def writing_failed(path: Path, error: OSError, option: str = "") -> MachineError:
    """Return the error for a failed write; `option` is the option that names another folder."""
    elsewhere = f", or choose another folder with {option}" if option else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        fix = (
            f"Free some space{elsewhere}. Then run the same command again; written files are kept."
        )
        return MachineError("the disk is full", str(path), fix)
    if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
        return MachineError(
            "no permission to write here", str(path), f"Make the folder writable{elsewhere}."
        )
    return MachineError(
        f"cannot write: {error.strerror}", str(path), f"Check the folder and its disk{elsewhere}."
    )


def _json(record: BaseModel) -> bytes:
    return record.model_dump_json(indent=1).encode()


def create_run(root: Path, plan: Plan, matrix_text: str, packages: str = "") -> Path:
    """Create the folder of a new run and return it; raises MachineError if it cannot be written.

    `packages` is the lock of installed packages, one `name==version` per line.
    A run begun in the same second as another of its name gets a number: no run is ever overwritten.
    """
    plan = plan.model_copy(update={"run_id": _claim(root, plan.run_id)})
    folder = RunFolder(root / plan.run_id)
    _write_plan(folder, plan, matrix_text, timestamp(datetime.now(timezone.utc)))
    if packages:
        write_atomically(folder.packages, packages.encode())
    return folder.path


def rewrite_plan(run: Path, plan: Plan, matrix_text: str) -> None:
    """Write a run's changed plan and the matrix text it now follows; the time the run was created
    stays."""
    _write_plan(RunFolder(run), plan, matrix_text, created_at(run))


def _write_plan(folder: RunFolder, plan: Plan, matrix_text: str, created: str) -> None:
    document = {
        "schema_version": SCHEMA_VERSION,
        "created": created,
        "plan": plan.model_dump(mode="json"),
    }
    write_atomically(folder.matrix_toml, matrix_text.encode())
    write_atomically(folder.run_json, json.dumps(document, indent=1).encode())


def _claim(root: Path, run_id: str) -> str:
    """Make the folder of a run that does not exist yet and return its name."""
    for name in itertools.chain([run_id], (f"{run_id}-{number}" for number in itertools.count(2))):
        try:
            (root / name).mkdir(parents=True)
            break
        except FileExistsError as error:
            if not root.is_dir():
                raise writing_failed(root, error, RESULTS_OPTION) from error
        except OSError as error:
            raise writing_failed(root / name, error, RESULTS_OPTION) from error
    return name


def begin_cell(run: Path, cell_id: str) -> Path:
    """Return a cell's folder, emptied of what an interrupted run left behind."""
    folder = RunFolder(run).cell(cell_id)
    try:
        if folder.exists():
            shutil.rmtree(folder)
        RunFolder(run).images(cell_id).mkdir(parents=True)
    except OSError as error:
        raise writing_failed(folder, error) from error
    return folder


def write_outcome(run: Path, cell_id: str, outcome: Outcome) -> None:
    """Write a cell's outcome, the last file of the cell: present means done."""
    write_atomically(RunFolder(run).outcome(cell_id), _OUTCOME.dump_json(outcome, indent=1))
    RunFolder(run).rounds(cell_id).unlink(missing_ok=True)


def write_rounds(run: Path, cell_id: str, pairing: Pairing) -> None:
    """Write the whole rounds of a cell that is still being timed, for a run that is killed."""
    write_atomically(RunFolder(run).rounds(cell_id), _json(pairing))


def write_evaluation(run: Path, evaluation: Evaluation) -> None:
    """Write all deltas, controls and tails of a run."""
    write_atomically(RunFolder(run).deltas, _json(evaluation))


def write_judgement(run: Path, judgement: Judgement) -> None:
    """Write the verdicts of a run."""
    write_atomically(RunFolder(run).verdicts, _json(judgement))


def write_image_scores(
    run: Path, metric: str, definition: Definition, rows: Iterable[tuple[str, str, int, float]]
) -> None:
    """Write one metric's value per image, rows of (cell id, prompt id, seed, value), after its
    definition."""
    lines = [json.dumps({"definition": definition.model_dump(mode="json")})]
    lines += [json.dumps({"cell": cell, "prompt": prompt, "seed": seed, "value": value})
              for cell, prompt, seed, value in rows]  # fmt: skip
    write_atomically(RunFolder(run).scores(metric), ("\n".join(lines) + "\n").encode())


def append_time(run: Path, stage: str, wall_s: float) -> None:
    """Add the wall time of one stage to the run's ledger of times."""
    _append(RunFolder(run).times, json.dumps({"stage": stage, "wall_s": round(wall_s, 4)}))


def append_signed(run: Path, bundle: SignedBundle) -> None:
    """Record in a run's folder that a sign-off bundle was made of it."""
    _append(RunFolder(run).signed, bundle.model_dump_json())


def _append(path: Path, line: str) -> None:
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
    except OSError as error:
        raise writing_failed(path, error) from error


@contextmanager
def lock_run(run: Path) -> Iterator[None]:
    """Hold the run's lock while writing; MachineError at once if another process holds it.

    The lock is the operating system's: a killed process gives it up.
    """
    lock = filelock.FileLock(RunFolder(run).lock, timeout=0)
    try:
        lock.acquire()
    except filelock.Timeout as error:
        fix = "Wait for it to end, or start a separate run with --fresh."
        raise MachineError("another harness is writing to this run", str(run), fix) from error
    except OSError as error:
        raise writing_failed(RunFolder(run).lock, error) from error
    try:
        yield
    finally:
        lock.release()
