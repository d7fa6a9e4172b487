"""The life of a worker's process: it obeys one command after the other until it fails or is ended."""

import faulthandler
import importlib
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

from harness.execution.failures import describe_exception
from harness.execution.ledger import Ledger
from harness.execution.task import Task
from harness.execution.worker import CellWork
from harness.store.layout import LOG


class Done(NamedTuple):
    """The answer to a command."""

    answer: Any


def obey(task_json: str, pipe: Connection, asked_at: float, late: str) -> None:
    """Do what comes through the pipe, a method of CellWork with its arguments; output goes to the cell's log.

    Between two commands it waits for the pipe, and so takes no processor. After an error it says Failed and ends.
    """
    start_s = time.time() - asked_at
    task = Task.model_validate_json(task_json)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends this process
    _die_with(os.getppid())
    log = (task.folder / LOG).open("a", buffering=1, encoding="utf-8", errors="replace")  # later rounds go on in it
    os.dup2(log.fileno(), 1)
    os.dup2(log.fileno(), 2)
    sys.stdout = sys.stderr = log
    faulthandler.enable(log)
    ledger = Ledger(pipe.send)
    try:
        if late:
            importlib.import_module(late)
        work = CellWork(task, ledger, start_s)
        for command, arguments in iter(partial(_next, pipe), None):
            pipe.send(Done(command(work, *arguments)))
    except BaseException as error:
        traceback.print_exc()
        pipe.send(describe_exception(error, ledger.phase, tail(task.folder / LOG)))
    os._exit(0)  # no slow teardown of torch: everything is delivered


def _next(pipe: Connection) -> tuple[Callable[..., Any], tuple[object, ...]] | None:
    """Return the next command and its arguments, None where nobody gives commands any more."""
    try:
        return pipe.recv()
    except (EOFError, OSError):
        return None


def _die_with(parent: int) -> None:
    """End this process when the server is gone, as after kill -9 of the harness: nobody would read the result."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def tail(log: Path, characters: int = 4000) -> str:
    """Return the end of a worker's log."""
    try:
        lines = log.read_text(errors="replace", encoding="utf-8").splitlines(keepends=True)
    except OSError:
        return ""
    # faulthandler ends with a list of all extension modules, thousands of characters that explain nothing
    return "".join(line for line in lines if not line.startswith("Extension modules:"))[-characters:]
