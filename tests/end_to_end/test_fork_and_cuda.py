"""A worker forked from the server can still open CUDA: nothing the server imports has asked for devices."""

import subprocess
import sys
import textwrap

PROBE = """
    import multiprocessing, sys
    import torch
    from harness.execution.launchers import list_preloads

    if __name__ == "__main__":
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["harness.execution.worker", *list_preloads(True, gpu=sys.argv[1] == "gpu")])
        with context.Pool(1) as pool:
            print(pool.apply(torch._C._cuda_isInBadFork))
"""


def in_bad_fork(machine: str) -> str:
    code = [sys.executable, "-c", textwrap.dedent(PROBE), machine]
    return subprocess.run(code, check=True, capture_output=True, text=True).stdout.strip()


def test_a_worker_may_open_cuda_where_there_is_a_gpu() -> None:
    assert in_bad_fork("gpu") == "False"
