"""A worker's process that dies in a way its pipe does not tell."""

import multiprocessing
import os
import time
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from harness.core.matrix import Measure
from harness.execution.launchers import ProcessWorker
from harness.execution.task import Broken
from tests.builders.scripted_workers import CELL, plan_of, task_of


def leave_a_child(pipe: Connection) -> None:
    """Die, and leave a process behind that holds the pipe for a while."""
    if os.fork() == 0:
        time.sleep(20)
        os._exit(0)
    pipe.recv()
    os._exit(3)


def test_death_is_seen_while_a_child_holds_the_pipe(tmp_path: Path) -> None:
    measure = Measure(timeout_s=10)
    task = task_of(plan_of(tmp_path), CELL, lambda task: task.model_copy(update={"measure": measure}))
    context = multiprocessing.get_context("forkserver")
    ours, theirs = context.Pipe()
    process = context.Process(target=leave_a_child, args=(theirs,), daemon=True)
    process.start()
    theirs.close()
    worker = ProcessWorker(process, ours, task, lambda step: None)
    with pytest.raises(Broken) as caught:
        worker.block(1)
    worker.close()
    assert caught.value.failed.kind == "crash"
