"""Check that the quickstart's verdicts hold with other noise: run its cells with other seeds and print each verdict.

python -m tests.quickstart_verdicts [RUNS] [--jobs JOBS] [--folder FOLDER] [--quick]

OpenVINO generates the images of all cells, the baseline included: they equal those of the eager pipeline to the sixth
digit and take half the time. Cells that differ from another in their compiler alone are left out. Each job has one
thread, so that jobs do not wait for one another. Runs of one job follow each other: the other-seed images of a run are
the baseline's images of the run before it. Interrupted runs in FOLDER continue. Exit code 1 where a verdict is not the
expected one. `--quick` makes one run of one cell with few prompts and expects nothing.
"""

import argparse
import sys
import tempfile
import time
import tomllib
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import harness
from harness.core.plan import OTHER_SEED_OFFSET
from harness.core.verdict import Judgement

QUICKSTART = Path(__file__).parents[1] / "matrices" / "quickstart.toml"
EXPECTED = {
    "25-steps_fp32": ("pass",),
    "12-steps_fp32": ("pass",),
    "8-steps_fp32": ("pass",),
    "50-steps_bf16": ("pass",),
    "4-steps_lcm-lora_fp32": ("pass", "fail"),
    "4-steps_lcm-lora_bf16": ("pass", "fail"),
    "2-steps_lcm-lora_fp32": ("fail",),
    "4-steps_fp32": ("fail",),
    "12-steps_fp32_48x48": ("fail",),
}
"""By the quickstart's names of cells."""


def write_matrix(seed: int, quick: bool) -> str:
    """Return the quickstart matrix with another seed, OpenVINO for every cell, and hardly any timing."""
    document = tomllib.loads(QUICKSTART.read_text(encoding="utf-8"))
    axes = document["axes"] | {"compiler": ["openvino"]}
    cells = [entry | {"compiler": "openvino"} for entry in document["include"] if "compiler" not in entry]
    most = document["quality"]["max"]
    if quick:
        axes, cells, most = axes | {"steps": [50, 4]}, [], 24
    return "\n".join((
        f'name = "verdicts-{seed}"',
        f"seeds = [{seed}]",
        'model = "bundled"',
        "[axes]",
        *(f"{axis} = {_toml(values)}" for axis, values in axes.items()),
        *("[[include]]\n" + "\n".join(f"{axis} = {_toml(value)}" for axis, value in cell.items()) for cell in cells),
        '[baseline]\nsteps = 50\ncompiler = "openvino"',
        f'[prompts]\nset = "{document["prompts"]["set"]}"',
        f'[quality]\nimages = "auto"\nmax = {most}\nrerun_prompts = 32',
        '[measure]\nthreads = 1\nwarmup = 0\nmin_s = 0\nmax_s = 0.5\nprecision = "50%"',
    ))  # fmt: skip


def _toml(value: Any) -> str:
    return str(value) if not isinstance(value, str) else f'"{value}"'


def judge_run(seed: int, quick: bool, folder: Path) -> Judgement:
    """Run, evaluate and gate one matrix."""
    file = folder / f"seed-{seed}.toml"
    file.write_text(write_matrix(seed, quick), encoding="utf-8")
    return harness.gate(harness.bench(harness.load(file), results=folder / "results"))


def check_runs(runs: list[int], quick: bool, folder: Path) -> int:
    """Print a line per cell and run; return how many verdicts were not expected."""
    unexpected = 0
    for run in sorted(runs, reverse=True):
        begin = time.perf_counter()
        for cell in judge_run(run * OTHER_SEED_OFFSET, quick, folder).cells:
            name = cell.cell_id.replace("_openvino", "")
            unexpected += cell.result not in EXPECTED[name]
            prompts = max((rule.prompts or 0 for rule in cell.rules), default=0)
            print(f"run {run}  {name:24} {cell.result:12} {prompts:5} prompts  {cell.reason[:160]}", flush=True)
        print(f"run {run}: {time.perf_counter() - begin:.0f} s", flush=True)
    return unexpected


def main() -> int:
    """Run the jobs; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="?", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    jobs = 1 if given.quick else given.jobs
    numbers = list(range(1, 2 if given.quick else given.runs + 1))
    share = -(-len(numbers) // jobs)
    chains = [numbers[start : start + share] for start in range(0, len(numbers), share)]
    with tempfile.TemporaryDirectory() as scratch, ProcessPoolExecutor(jobs) as pool:
        folder = given.folder or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        unexpected = sum(pool.map(partial(check_runs, quick=given.quick, folder=folder), chains))
    return int(unexpected > 0 and not given.quick)


if __name__ == "__main__":
    sys.exit(main())
