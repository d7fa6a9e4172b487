"""One writer per run."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock

from harness.core.errors import MachineError
from harness.store.layout import RunFolder
from harness.store.write import writing_failed


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
