"""Start workers: in forked processes, or in this one."""

import multiprocessing
import os
import sys
import tempfile
import time
import traceback
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import util
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, TypeVar

from harness.core.errors import MachineError
from harness.core.outcome import Completed, Extended, Failed, Memory, Phase
from harness.core.timing import Repeat
from harness.core.trace import Trace
from harness.core.units import Absent
from harness.execution.task import (
    Broken,
    Notify,
    PhaseTimer,
    Task,
    WorkerProgress,
    describe_death,
    describe_exception,
    describe_timeout,
)
from harness.execution.worker import CellWork, Reply, obey, tail
from harness.measure.machine import count_by_bus
from harness.store.layout import LOG

PRELOAD = "harness.models._preload"


class ProcessLauncher:
    """Starts forked processes, and survives their crash, their hanging and their memory hunger."""

    def __init__(self, with_torch: bool = True, gpu: bool = False) -> None:
        count_by_bus()
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # spinning threads starve each other on few cores
        # Workers end without teardown; Python's tracker would tell users of semaphores it cleans up after them.
        os.environ.setdefault("PYTHONWARNINGS", "ignore:resource_tracker:UserWarning")
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["harness.execution.worker", *libraries(with_torch, gpu)])
        self._late = PRELOAD if with_torch and gpu else ""

    def prepare(self) -> None:
        """Start the server before the first cell, so that no cell's cold start pays for its imports."""
        keep_sockets_short()
        process = self._context.Process(target=_nothing)
        with _nameless_main():
            process.start()
        process.join()

    def open(self, task: Task, notify: Notify) -> "ProcessWorker":
        ours, theirs = self._context.Pipe()
        words = (task.model_dump_json(), theirs, time.time(), self._late)
        process = self._context.Process(target=obey, args=words, daemon=True)
        with _nameless_main():
            process.start()
        theirs.close()
        return ProcessWorker(process, ours, task, notify)

    def close(self) -> None:
        """Nothing is held: the server ends with this process."""


class ProcessWorker:
    """A cell that works in another process; it may take `measure.timeout_s` for each command."""

    def __init__(self, process: Any, pipe: Any, task: Task, notify: Notify) -> None:
        self.pid: int = process.pid
        self._process, self._pipe, self._notify = process, pipe, notify
        self._limit_s, self._log = task.measure.timeout_s, task.folder / LOG
        self._phase: Phase = "start"

    def prepare(self) -> tuple[float, ...]:
        return self._ask("start", CellWork.prepare)

    def block(self, calls: int) -> tuple[Repeat, ...]:
        return self._ask("repeats", CellWork.block, calls)

    def rest(self) -> None:
        self._ask("repeats", CellWork.rest)

    def finish(self) -> Completed | Extended:
        return self._ask("repeats", CellWork.finish)

    def trace(self) -> Trace | Absent:
        return self._ask("trace", CellWork.trace)

    def close(self) -> None:
        """Kill it: all that it made is delivered or on disk, and torch's own teardown is slow."""
        self._process.kill()
        self._process.join()
        self._pipe.close()

    def _ask(self, phase: Phase, command: Callable[..., Any], *arguments: object) -> Any:
        """Give the command and return its answer, telling progress; Broken on an error, a deadline, a silent death."""
        self._phase = phase
        deadline = time.monotonic() + self._limit_s
        try:
            self._pipe.send((command, arguments))
        except OSError:
            raise self._died() from None
        while True:
            left_s = max(0.0, min(1.0, deadline - time.monotonic()))
            dead = self._process.sentinel in wait([self._pipe, self._process.sentinel], timeout=left_s)
            while self._pipe.poll():
                try:
                    message = self._pipe.recv()
                except (EOFError, OSError):  # OSError: died amid its message
                    raise self._died() from None
                if isinstance(message, Reply):
                    return message.answer
                if isinstance(message, Failed):
                    raise Broken(message)
                self._hear(message)
            if dead:  # and all it said was read: what it started may hold the pipe open
                raise self._died()
            if time.monotonic() >= deadline:
                raise Broken(describe_timeout(self._limit_s, self._phase, tail(self._log)))

    def _hear(self, step: WorkerProgress) -> None:
        self._phase = step.phase
        self._notify(step)

    def _died(self) -> Broken:
        self._process.join()
        return Broken(describe_death(self._process.exitcode, self._phase, tail(self._log)))


def libraries(with_torch: bool, gpu: bool) -> list[str]:
    """Return what the server imports for its workers."""
    return [] if not with_torch else ["torch"] if gpu else [PRELOAD]


def _nothing() -> None:
    """The work of the process that starts the server."""


@contextmanager
def _nameless_main() -> Iterator[None]:
    """Hide the main module, which multiprocessing would import again in every worker: it may be a user's script."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


Answer = TypeVar("Answer")
SHARED = Memory.model_validate(dict.fromkeys(Memory.model_fields, Absent(absent="ran in the harness's own process")))
"""The baseline, the profiler and all cells before are in what this process holds."""


class InlineWorker:
    """A cell that works in this process."""

    def __init__(self, task: Task, notify: Notify) -> None:
        self.pid = os.getpid()
        self._timer = PhaseTimer(notify)
        self._work = self._obey(lambda: CellWork(task, self._timer, start_s=0.0))

    def prepare(self) -> tuple[float, ...]:
        return self._obey(self._work.prepare)

    def block(self, calls: int) -> tuple[Repeat, ...]:
        return self._obey(lambda: self._work.block(calls))

    def rest(self) -> None:
        self._obey(self._work.rest)

    def finish(self) -> Completed | Extended:
        made = self._obey(self._work.finish)
        return made.model_copy(update={"memory": SHARED}) if isinstance(made, Completed) else made

    def trace(self) -> Trace | Absent:
        return self._obey(self._work.trace)

    def close(self) -> None:
        """Nothing is held."""

    def _obey(self, command: Callable[[], Answer]) -> Answer:
        try:
            return command()
        except Exception as error:
            log = traceback.format_exc()[-4000:]
            raise Broken(describe_exception(error, self._timer.phase, log)) from error


class InlineLauncher:
    """Lets cells work in this process, one at a time."""

    def __init__(self) -> None:
        count_by_bus()

    def prepare(self) -> None:
        """Nothing is needed."""

    def open(self, task: Task, notify: Notify) -> InlineWorker:
        return InlineWorker(task, notify)

    def close(self) -> None:
        """Nothing is held."""


LONGEST = 104
"""Bytes that every system allows a socket's path: Linux 107, macOS 103, with the terminating 0."""

ADDED = len("/pymp-12345678/listener-12345678") + 1
"""What multiprocessing appends to the folder of temporary files."""


def keep_sockets_short() -> None:
    """Choose the folder of multiprocessing's sockets, once a process: TMPDIR, or a shorter one where that is too long.

    Raises MachineError where no short folder can be written.
    """
    usual = tempfile.tempdir
    for folder in _short_folders():
        try:
            tempfile.tempdir = folder
            util.get_temp_dir()  # makes it, and returns the same one from now on, also in workers
            return
        except OSError:
            continue
        finally:
            tempfile.tempdir = usual
    fix = "Set TMPDIR to a folder that can be written and has a short name."
    raise MachineError("the folder of temporary files has too long a name for sockets", tempfile.gettempdir(), fix)


def _short_folders() -> Iterator[str]:
    """Yield the folders to try, those with short enough names."""
    for folder in (tempfile.gettempdir(), os.environ.get("XDG_RUNTIME_DIR", ""), "/tmp", "/var/tmp", "/dev/shm"):
        if folder and Path(folder).is_absolute() and len(os.fsencode(folder)) + ADDED <= LONGEST:
            yield folder
