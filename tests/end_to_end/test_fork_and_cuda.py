"""A worker forked from the server can still open CUDA: nothing the server imports has asked for devices."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from harness.core.axis import Setting
from harness.execution.launchers import PRELOAD, ProcessLauncher
from harness.execution.task import make_task
from tests.builders.scripted_workers import CELL, plan_of, task_of

PROBE = """
    import multiprocessing, sys
    import torch
    from harness.execution.launchers import list_preloads

    if __name__ == "__main__":
        context = multiprocessing.get_context("forkserver")
        preloads = list_preloads(True, gpu=sys.argv[1] == "gpu")
        context.set_forkserver_preload(["nvml_with_a_card", "harness.execution.worker", *preloads])
        with context.Pool(1) as pool:
            print(pool.apply(torch._C._cuda_isInBadFork))
"""


def in_bad_fork(machine: str, folder: Path) -> str:
    """Return what a process answers that was forked from the server of such a machine, where NVML finds a card."""
    stub = "import torch\ntorch.cuda._device_count_nvml = lambda: 1\n"
    (folder / "nvml_with_a_card.py").write_text(stub, encoding="utf-8")
    code = [sys.executable, "-c", textwrap.dedent(PROBE), machine]
    paths = os.pathsep.join((str(folder), str(Path(__file__).parents[2])))
    environment = os.environ | {"PYTHONPATH": paths}
    return subprocess.run(code, check=True, capture_output=True, text=True, env=environment).stdout.strip()


def test_a_worker_may_open_cuda_where_there_is_a_gpu(tmp_path: Path) -> None:
    assert in_bad_fork("gpu", tmp_path) == "False"


def test_the_probe_notices_a_call_to_cuda(tmp_path: Path) -> None:
    """Without a GPU the server imports everything: some of it asks CUDA for its devices."""
    pytest.importorskip("torchao")
    assert in_bad_fork("cpu", tmp_path) == "True"


IMPORTS = """
    import sys, importlib.util
    import harness.models._preload_gpu
    hidden = [name in sys.modules for name in ("torchao", "bitsandbytes")]
    print(hidden, "diffusers" in sys.modules, importlib.util.find_spec("torchao") is not None)
"""


def test_hidden_quantizers_can_be_imported_later() -> None:
    pytest.importorskip("torchao")
    code = [sys.executable, "-c", textwrap.dedent(IMPORTS)]
    assert subprocess.run(code, check=True, capture_output=True, text=True).stdout == "[False, False] True True\n"


class Ended:
    """A process that sent its answer and ended."""

    pid = 1

    def __init__(self, given: tuple[Any, ...]) -> None:
        if isinstance(given[-1], bool):
            given[0].send(ANSWER["broken"])

    def join(self) -> None:
        """Return at once."""


ANSWER = {"broken": False}


@pytest.mark.parametrize(
    ("broken", "quantizers", "method"),
    [(False, False, "forkserver"), (False, True, "spawn"), (True, False, "spawn")],
)
def test_bare_processes_only_where_needed(
    broken: bool, quantizers: bool, method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a GPU: torchao's cells start bare, and every cell does if forked processes cannot use CUDA."""
    monkeypatch.setitem(ANSWER, "broken", broken)
    launcher, started = ProcessLauncher(with_torch=True, gpu=True), []

    def start(context: Any, target: Any, given: tuple[Any, ...]) -> Ended:
        started.append((context.get_start_method(), given[-2:]))
        return Ended(given)

    monkeypatch.setattr(launcher, "_start", start)
    launcher.prepare()
    plan = plan_of(tmp_path)
    task = task_of(plan, CELL).model_copy(update={"uses_quantizers": quantizers})
    launcher.open(task, lambda step: None)
    used, (asked_at, late) = started[-1]
    assert used == method
    assert (asked_at == 0.0, late == PRELOAD) == ((True, True) if method == "spawn" else (False, False))


def test_tasks_name_the_quantizers_they_import(tmp_path: Path) -> None:
    plan = plan_of(tmp_path)
    assert not task_of(plan, CELL).uses_quantizers
    packed = plan.model.model_copy(update={"tags": plan.model.tags | {"packed"}})
    assert task_of(plan.model_copy(update={"model": packed}), CELL).uses_quantizers
    planned = plan.find(CELL)
    settings = (*planned.cell.settings, Setting(axis="precision", name="int8-torchao"))
    quantized = planned.model_copy(update={"cell": planned.cell.model_copy(update={"settings": settings})})
    assert make_task(plan, quantized, tmp_path).uses_quantizers
