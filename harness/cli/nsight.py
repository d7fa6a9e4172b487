"""Run a command again under Nsight Systems, with every stage, step and region named."""

import os
import shlex
import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path

from harness.cli import console
from harness.core.errors import MachineError
from harness.core.parsing import expand_user
from harness.store.write import RESULTS_OPTION, writing_failed

FLAGS = (
    "--trace=cuda,nvtx,osrt,cudnn,cublas",
    "--trace-fork-before-exec=true",  # workers are forked and never call exec
    "--cuda-graph-trace=node",  # else the kernels of a CUDA graph are one bar
    "--cuda-flush-interval=1000",  # workers end at once; data saved only at exit would be lost
    "--sample=none",
    "--cpuctxsw=none",
)
"""See the User Guide of Nsight Systems, "CLI Profile Command Switch Options"."""

INSTALL = (
    "Install Nsight Systems (https://developer.nvidia.com/nsight-systems; in NVIDIA's apt "
    "repository: "
    "apt-get install nsight-systems-cli), then run the command above."
)


def run_under_nsys(matrix: Path, results: Path) -> None:
    """Print this command as an nsys command, and replace the process with it; MachineError if nsys
    is missing.

    The run goes to a separate folder: latencies under a profiler are not valid.
    """
    apart = expand_user(results) / "nsys"
    report = apart / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}_{matrix.stem}.nsys-rep"
    command = ["nsys", "profile", *FLAGS, f"--output={report}", sys.executable, "-m", "harness"]
    command += [
        *_without(sys.argv[1:]),
        f"--results={apart}",
        *([] if "--fresh" in sys.argv else ["--fresh"]),
    ]
    found = shutil.which("nsys")
    (console.err if found else console.out).print(shlex.join(command), markup=False)
    if found is None:
        raise MachineError("nsys is not installed: it is not on PATH", "--nsys", INSTALL)
    try:
        apart.mkdir(parents=True, exist_ok=True)  # nsys does not make it
    except OSError as error:
        raise writing_failed(apart, error, RESULTS_OPTION) from error
    os.execv(found, command)


def _without(words: list[str]) -> list[str]:
    """Return a command's words without --nsys and without the folder of results."""
    kept = []
    rest = iter(words)
    for word in rest:
        if word == "--results":
            next(rest, None)
        elif word != "--nsys" and not word.startswith("--results="):
            kept.append(word)
    return kept
