"""Wall time of the quickstart by harness and by a naive script, measured in one go with fresh caches.

python tests/benchmarks/demo_against_naive.py [ROUNDS]
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parents[2]


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
            text=True,
            check=False,
        )
        seconds = time.perf_counter() - begin
    if done.returncode not in (0, 1, 6):  # 1 and 6 are verdicts
        sys.exit(done.stdout + done.stderr)
    return seconds


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    ours = ["-m", "harness", "bench", "matrices/quickstart.toml", "--results", "{folder}/results"]
    naive = ["tests/benchmarks/naive_quickstart.py"]
    ratios = []
    for _ in range(rounds):
        first, second = wall_seconds(ours), wall_seconds(naive)
        ratios.append(first / second)
        print(f"harness {first:.1f} s, naive {second:.1f} s, ratio {ratios[-1]:.2f}", flush=True)
    print(f"median ratio {median(ratios):.2f} (below 1: harness is faster)")


if __name__ == "__main__":
    main()
