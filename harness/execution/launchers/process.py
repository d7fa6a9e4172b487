"""Run each cell in a process of its own, forked from a server that has its libraries loaded but no CUDA.

Starting costs a fraction of a second instead of the seconds that importing them takes. Where there is a GPU the server
loads torch alone: diffusers, torchao and bitsandbytes ask CUDA for its devices while they are imported, and a process
forked after that cannot use it. The worker imports them then, before its clock begins, as no cell's cold start pays for
imports.
"""

import faulthandler
import importlib
import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from harness.core.outcome import Completed, Extended, Failed
from harness.execution.failures import describe_death, describe_exception, describe_timeout
from harness.execution.task import Step, Task
from harness.execution.worker import Ledger, measure_cell
from harness.store.layout import LOG

PRELOAD = "harness.execution.preload"
ANSWERS: dict[str, type[Completed | Extended | Failed]] = {
    "completed": Completed,
    "extended": Extended,
    "failed": Failed,
}


class ProcessLauncher:
    """Runs each task in a forked process; survives its crash, its hanging and its memory hunger."""

    def __init__(self, with_torch: bool = True, gpu: bool = False) -> None:
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # spinning threads starve each other on few cores
        # Workers end without teardown; Python's tracker would tell users of semaphores it cleans up after them.
        os.environ.setdefault("PYTHONWARNINGS", "ignore:resource_tracker:UserWarning")
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["harness.execution.worker", *libraries(with_torch, gpu)])
        self._late = PRELOAD if with_torch and gpu else ""

    def prepare(self) -> None:
        """Start the server before the first cell, so that no cell's cold start pays for its imports."""
        process = self._context.Process(target=_nothing)
        with _nameless_main():
            process.start()
        process.join()

    def launch(self, task: Task, tell: Callable[[Step], None]) -> Completed | Extended | Failed:
        receiver, sender = self._context.Pipe(duplex=False)
        words = (task.model_dump_json(), sender, time.time(), self._late)
        process = self._context.Process(target=_work, args=words, daemon=True)
        with _nameless_main():
            process.start()
        sender.close()
        try:
            return _follow(process, receiver, task, tell)
        finally:
            if process.is_alive():
                process.kill()
            process.join()
            receiver.close()

    def close(self) -> None:
        """Nothing is held: the server ends with this process."""


def _follow(
    process: ForkServerProcess, receiver: Connection, task: Task, tell: Callable[[Step], None]
) -> Completed | Extended | Failed:
    """Wait for the result, telling progress; a deadline and a silent death become outcomes."""
    deadline = time.monotonic() + task.measure.timeout_s
    step = Step("start")
    log = task.folder / LOG
    while True:
        wait([receiver, process.sentinel], timeout=max(0.0, min(1.0, deadline - time.monotonic())))
        while receiver.poll():
            try:
                message = receiver.recv()
            except (EOFError, OSError):  # OSError: died amid its message
                process.join()
                return describe_death(process.exitcode, step.phase, _tail(log))
            if isinstance(message, Step):
                step = message
                tell(step)
            else:
                kind, text = message
                return ANSWERS[kind].model_validate_json(text)
        if time.monotonic() >= deadline:
            return describe_timeout(task.measure.timeout_s, step.phase, _tail(log))


def libraries(with_torch: bool, gpu: bool) -> list[str]:
    """Return what the server imports for its workers."""
    return [] if not with_torch else ["torch"] if gpu else [PRELOAD]


def _nothing() -> None:
    """The work of the process that starts the server."""


def _work(task_json: str, sender: Connection, asked_at: float, late: str) -> None:
    """The worker's whole life: output goes to the cell's log, the result through the pipe."""
    start_s = time.time() - asked_at
    task = Task.model_validate_json(task_json)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends this process
    _die_with(os.getppid())
    log = (task.folder / LOG).open("a", buffering=1)  # later rounds go on in it
    os.dup2(log.fileno(), 1)
    os.dup2(log.fileno(), 2)
    sys.stdout = sys.stderr = log
    faulthandler.enable(log)
    ledger = Ledger(sender.send)
    try:
        if late:
            importlib.import_module(late)
        outcome: Completed | Extended | Failed = measure_cell(task, ledger, start_s)
    except BaseException as error:
        traceback.print_exc()
        outcome = describe_exception(error, ledger.phase, _tail(task.folder / LOG))
    sender.send((outcome.status, outcome.model_dump_json()))
    sender.close()
    os._exit(0)  # no slow teardown of torch: the result is delivered


def _die_with(parent: int) -> None:
    """End this process when the server is gone, as after kill -9 of the harness: nobody would read the result."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def _nameless_main() -> Iterator[None]:
    """Hide the main module, which multiprocessing would import again in every worker: it may be a user's script."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def _tail(log: Path, characters: int = 4000) -> str:
    try:
        lines = log.read_text(errors="replace").splitlines(keepends=True)
    except OSError:
        return ""
    # faulthandler ends with a list of all extension modules, thousands of characters that explain nothing
    return "".join(line for line in lines if not line.startswith("Extension modules:"))[-characters:]
