"""Start workers: in forked processes, or in this one.

Workers are forked from a server that has imported the libraries, but not initialized CUDA: that
takes a fraction of a second, imports take seconds. torchao and bitsandbytes ask CUDA for its
devices while they are imported, and a process forked after that cannot use CUDA. So with a GPU the
server hides them, and a cell that needs them starts in a bare process, which imports everything
before its clock starts: no cold start includes imports. If a forked process still cannot use CUDA,
all workers start like that.
"""

import multiprocessing
import os
import signal
import sys
import tempfile
import time
import traceback
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import util
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

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
from harness.execution.worker import CellWork, Reply, read_log_tail, serve_commands
from harness.measure.machine import order_cards_by_bus
from harness.store.layout import LOG

PRELOAD, PRELOAD_GPU = "harness.models._preload", "harness.models._preload_gpu"
MAX_SOCKET_PATH = 104
"""Bytes of a socket's path that every system allows: Linux 107, macOS 103, plus the final 0."""
SOCKET_NAME = len("/pymp-12345678/listener-12345678") + 1
"""Bytes that multiprocessing appends to the folder of temporary files."""
SHARED = Memory.model_validate(
    dict.fromkeys(Memory.model_fields, Absent(absent="ran in the harness's own process"))
)
"""This process's memory includes the baseline, the profiler and all earlier cells."""


class _CommandedWorker:
    """The commands of a worker; `_ask` executes them."""

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

    def _ask(self, phase: Phase, command: Callable[..., Any], *arguments: object) -> Any:
        raise NotImplementedError


class ProcessLauncher:
    """Starts forked processes, whose crashes and hangs affect no other worker."""

    separate = True

    def __init__(self, with_torch: bool = True, gpu: bool = False) -> None:
        order_cards_by_bus()
        # Spinning threads starve each other on few cores.
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        # Workers end without teardown; Python's resource tracker would warn about their semaphores.
        os.environ.setdefault("PYTHONWARNINGS", "ignore:resource_tracker:UserWarning")
        self._context = multiprocessing.get_context("forkserver")
        preloaded = ["harness.execution.worker", *list_preloads(with_torch, gpu)]
        self._context.set_forkserver_preload(preloaded)
        self._bare = multiprocessing.get_context("spawn")
        self._may_break_cuda = with_torch and gpu
        self._forks_break_cuda = False

    def prepare(self) -> None:
        """Start the server before the first cell, so that no cold start includes its imports."""
        keep_sockets_short()
        ours, theirs = self._context.Pipe()
        process = self._start(self._context, _report_fork, (theirs, self._may_break_cuda))
        theirs.close()
        with suppress(EOFError):  # the server could not start: the first cell will say so
            self._forks_break_cuda = ours.recv()
        process.join()

    def open(self, task: Task, notify: Notify) -> "ProcessWorker":
        bare = self._may_break_cuda and (self._forks_break_cuda or task.uses_quantizers)
        context = self._bare if bare else self._context
        ours, theirs = context.Pipe()
        how = (0.0, PRELOAD) if bare else (time.time(), "")
        process = self._start(context, serve_commands, (task.model_dump_json(), theirs, *how))
        theirs.close()
        return ProcessWorker(process, ours, task, notify)

    def close(self) -> None:
        """Do nothing: the server ends with this process."""

    def _start(self, context: Any, target: Callable[..., None], arguments: tuple[Any, ...]) -> Any:
        process = context.Process(target=target, args=arguments, daemon=True)
        with _nameless_main(), _interrupts_later():
            process.start()
        return process


class ProcessWorker(_CommandedWorker):
    """A cell in another process; each command may take `measure.timeout_s`."""

    def __init__(self, process: Any, pipe: Any, task: Task, notify: Notify) -> None:
        self.pid: int = process.pid
        self._process, self._pipe, self._notify = process, pipe, notify
        self._limit_s, self._log = task.measure.timeout_s, task.folder / LOG
        self._phase: Phase = "start"

    def close(self) -> None:
        """Kill the process: its results are delivered or on disk, and torch's teardown is slow."""
        self._process.kill()
        self._process.join()
        self._pipe.close()

    def _ask(self, phase: Phase, command: Callable[..., Any], *arguments: object) -> Any:
        """Send a command and return its answer; Broken on error, timeout or death."""
        self._phase = phase
        deadline = time.monotonic() + self._limit_s
        try:
            self._pipe.send((command, arguments))
        except OSError:
            raise self._died() from None
        while True:
            left_s = max(0.0, min(1.0, deadline - time.monotonic()))
            ready = wait([self._pipe, self._process.sentinel], timeout=left_s)
            while self._pipe.poll():
                try:
                    message = self._pipe.recv()
                except (EOFError, OSError):  # OSError: the process died while it sent
                    raise self._died() from None
                if isinstance(message, Reply):
                    return message.answer
                if isinstance(message, Failed):
                    raise Broken(message)
                self._hear(message)
            if self._process.sentinel in ready:  # its children may keep the pipe open
                raise self._died()
            if time.monotonic() >= deadline:
                raise Broken(describe_timeout(self._limit_s, self._phase, read_log_tail(self._log)))

    def _hear(self, step: WorkerProgress) -> None:
        self._phase = step.phase
        self._notify(step)

    def _died(self) -> Broken:
        self._process.join()
        return Broken(describe_death(self._process.exitcode, self._phase, read_log_tail(self._log)))


class InlineLauncher:
    """Runs cells in this process, one at a time; for debugging: a crash ends everything."""

    separate = False

    def __init__(self) -> None:
        order_cards_by_bus()

    def prepare(self) -> None:
        """Do nothing."""

    def open(self, task: Task, notify: Notify) -> "InlineWorker":
        return InlineWorker(task, notify)

    def close(self) -> None:
        """Do nothing."""


class InlineWorker(_CommandedWorker):
    """A cell in this process."""

    def __init__(self, task: Task, notify: Notify) -> None:
        self.pid = os.getpid()
        self._timer = PhaseTimer(notify)
        self._work = self._guard(lambda: CellWork(task, self._timer, start_s=0.0))

    def finish(self) -> Completed | Extended:
        made = super().finish()
        return made.model_copy(update={"memory": SHARED}) if isinstance(made, Completed) else made

    def close(self) -> None:
        """Do nothing."""

    def _ask(self, phase: Phase, command: Callable[..., Any], *arguments: object) -> Any:
        return self._guard(lambda: command(self._work, *arguments))

    def _guard(self, command: Callable[[], Any]) -> Any:
        try:
            return command()
        except Exception as error:
            log = traceback.format_exc()[-4000:]
            raise Broken(describe_exception(error, self._timer.phase, log)) from error


def list_preloads(with_torch: bool, gpu: bool) -> list[str]:
    """Return the modules that the server imports for its workers."""
    return [] if not with_torch else [PRELOAD_GPU] if gpu else [PRELOAD]


def _report_fork(pipe: Any, may_break_cuda: bool) -> None:
    """Send whether a process forked from the server cannot use CUDA."""
    broken = False
    if may_break_cuda:
        import torch

        broken = bool(torch._C._cuda_isInBadFork())
    pipe.send(broken)


@contextmanager
def _interrupts_later() -> Iterator[None]:
    """Hold Ctrl-C back: a request cut in half ends the server with a traceback."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _nameless_main() -> Iterator[None]:
    """Hide the main module, such as a user's script, which workers would import."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def keep_sockets_short() -> None:
    """Choose the folder of multiprocessing's sockets: TMPDIR, or another if its name is too long.

    Raises MachineError if no folder with a short name can be written.
    """
    usual = tempfile.tempdir
    for folder in _short_folders():
        try:
            tempfile.tempdir = folder
            util.get_temp_dir()  # creates it, and returns the same one from now on, also in workers
            return
        except OSError:
            continue
        finally:
            tempfile.tempdir = usual
    what = "the name of the folder for temporary files is too long for sockets"
    fix = "Set TMPDIR to a writable folder with a short name."
    raise MachineError(what, tempfile.gettempdir(), fix)


def _short_folders() -> Iterator[str]:
    own = (tempfile.gettempdir(), os.environ.get("XDG_RUNTIME_DIR", ""))
    for folder in (*own, "/tmp", "/var/tmp", "/dev/shm"):
        length = len(os.fsencode(folder)) + SOCKET_NAME
        if folder and Path(folder).is_absolute() and length <= MAX_SOCKET_PATH:
            yield folder
