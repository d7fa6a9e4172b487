"""The baseline against itself, for real, while other programs use the processors at random.

python -m tests.benchmarks.aa_real [--quick] [--runs 20] [--max-s 20] [--burners 1]

Each run starts two new processes with the bundled model at 4 steps and times one against the other as `harness run`
does. The true speedup is 1, so that at least 18 of 20 intervals (95 %) should hold it. Prints a table for
docs/aa-runs.md, and exits with 1 if fewer do. With --quick: one short run, which proves only that the script works.
"""

import argparse
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness import api
from harness.core.outcome import Completed
from harness.core.plan import RERUN_ID, Plan
from harness.core.timing import Pairing
from harness.core.units import Absent, format_percent
from harness.execution.baseline_worker import BaselineWorker
from harness.execution.cell import Measurement, ignore
from harness.execution.launchers import ProcessLauncher
from harness.execution.task import WorkerProgress, make_task
from harness.stats.speedup import speedup

MATRIX = """
name = "aa"
[axes]
steps = [4]
distillation = ["lcm-lora"]
[baseline]
steps = 4
distillation = "lcm-lora"
[prompts]
limit = 4
[quality]
rerun_prompts = 2
[measure]
precision = "{precision}"
max_s = {max_s}
"""


@contextmanager
def noise(burners: int) -> Iterator[None]:
    """Let processes come and go that take a whole core each: a moment of work, a moment of none."""
    command = [sys.executable, "-m", "tests.benchmarks.aa_real", "--burn"]
    busy = [subprocess.Popen([*command, str(seed)]) for seed in range(burners)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


def burn(seed: int) -> None:
    """Work and pause by turns for ever, for times that differ a thousandfold."""
    moments = random.Random(seed)
    while True:
        until = time.perf_counter() + 10 ** moments.uniform(-2.5, 0.5)
        while time.perf_counter() < until:
            pass
        time.sleep(10 ** moments.uniform(-2.5, 0.5))


def plan_of(folder: Path, options: argparse.Namespace) -> Plan:
    matrix = folder / "aa.toml"
    matrix.write_text(MATRIX.format(precision=options.precision, max_s=options.max_s), encoding="utf-8")
    return api.plan(api.load(matrix), results=folder / "results")


def pair(launcher: ProcessLauncher, plan: Plan, folder: Path) -> Pairing:
    """Time the baseline's rerun against the baseline, each in a new process."""
    baseline, rerun = (make_task(plan, plan.find(cell_id), folder) for cell_id in (plan.baseline_id, RERUN_ID))
    baseline_worker = BaselineWorker(launcher, baseline)
    try:
        outcome = Measurement(rerun, launcher, silent, ignore).measure(baseline_worker)
    finally:
        baseline_worker.close()
    if not isinstance(outcome, Completed):
        raise SystemExit(f"the rerun did not complete: {outcome}")
    return outcome.pairing


def silent(step: WorkerProgress) -> None:
    """Say nothing."""


def row(number: int, pairing: Pairing) -> tuple[str, bool]:
    """Return a line of the table, and whether the interval holds 1."""
    made = speedup(pairing)
    shown = made.interval
    if isinstance(shown, Absent):
        return f"| {number} | {made.estimate:.4f} | {shown.absent} | | {made.rounds} | no |", False
    holds = shown.low <= 1 <= shown.high
    width = format_percent((shown.high / shown.low) ** 0.5 - 1)
    said = f"{shown.low:.4f} to {shown.high:.4f} | ±{width} | {made.rounds}"
    return f"| {number} | {made.estimate:.4f} | {said} | {'yes' if holds else 'NO'} |", holds


def load_of(pairing: Pairing) -> str:
    """Return how busy others kept the processors, least and most of all blocks."""
    known = [b.conditions.cpu_load for b in pairing.blocks if not isinstance(b.conditions.cpu_load, Absent)]
    return f"{format_percent(min(known), 0)} to {format_percent(max(known), 0)}" if known else "not told"


def main() -> None:
    parser = argparse.ArgumentParser(description="The baseline against itself on a busy machine.")
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--max-s", type=float, default=20)
    parser.add_argument("--precision", default="2%")
    parser.add_argument("--burners", type=int, default=1)
    parser.add_argument("--burn", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    if options.quick:
        options.runs, options.max_s = 1, 2
    if options.burn is not None:
        burn(options.burn)
    folder = Path(tempfile.mkdtemp())
    plan = plan_of(folder, options)
    launcher = ProcessLauncher(plan.model.uses_torch, bool(plan.machine.gpus))
    launcher.prepare()
    print("| run | speedup | 95 % interval | half-width | groups | holds 1.00 |\n|---|---|---|---|---|---|")
    held = 0
    with noise(options.burners):
        for number in range(1, options.runs + 1):
            pairing = pair(launcher, plan, folder)
            line, holds = row(number, pairing)
            held += holds
            print(f"{line} load by others {load_of(pairing)}; {pairing.stopped}", flush=True)
    print(f"\n{held} of {options.runs} intervals hold 1.00")
    sys.exit(0 if options.quick or held >= 0.9 * options.runs else 1)


if __name__ == "__main__":
    main()
