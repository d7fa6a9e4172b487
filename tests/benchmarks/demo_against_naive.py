"""Wall time of the quickstart by harness and by a naive script, measured in one go with fresh caches.

python -m tests.benchmarks.demo_against_naive [ROUNDS] [--quick]

With --quick: one round of three cells and a few prompts.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parents[2]
QUICKSTART = ROOT / "matrices" / "quickstart.toml"

QUICK = """
name = "quick"
model = "bundled"
axes.steps = [4, 2]
axes.distillation = ["lcm-lora"]
baseline = { steps = 4, distillation = "lcm-lora" }
prompts.limit = 4
[quality]
rerun_prompts = 2
[measure]
min_s = 0
max_s = 1
"""


def wall_seconds(command: list[str]) -> float:
    """Run a command with empty caches and return its wall time; its output is shown if it fails."""
    with tempfile.TemporaryDirectory() as folder:
        fresh = {
            "XDG_CACHE_HOME": folder,
            "TORCHINDUCTOR_CACHE_DIR": f"{folder}/inductor",
            "OMP_WAIT_POLICY": "PASSIVE",
        }
        command = [word.replace("{folder}", folder) for word in command]
        begin = time.perf_counter()
        done = subprocess.run(
            [sys.executable, *command],
            cwd=ROOT,
            env={**os.environ, **fresh},
            capture_output=True,
            encoding="utf-8",
            check=False,
        )
        seconds = time.perf_counter() - begin
    if done.returncode not in (0, 1, 6):  # 1 and 6 are verdicts
        sys.exit(done.stdout + done.stderr)
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description="Wall time of the quickstart by harness and by a naive script.")
    parser.add_argument("rounds", type=int, nargs="?", default=1)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        matrix = QUICKSTART
        if options.quick:
            matrix = Path(folder) / "quick.toml"
            matrix.write_text(QUICK, encoding="utf-8")
        ratios = [ratio(matrix) for _ in range(options.rounds)]
    print(f"median ratio {median(ratios):.2f} (below 1: harness is faster)")


def ratio(matrix: Path) -> float:
    """Time both on a matrix, print it, and return harness's share of the naive script's time."""
    ours = ["-m", "harness", "bench", str(matrix), "--results", "{folder}/results", "--out", "{folder}/report"]
    first = wall_seconds(ours)
    second = wall_seconds(["-m", "tests.benchmarks.naive_quickstart", str(matrix)])
    print(f"harness {first:.1f} s, naive {second:.1f} s, ratio {first / second:.2f}", flush=True)
    return first / second


if __name__ == "__main__":
    main()
