"""Do the quickstart's verdicts hold with other noise? Runs its cells again with other seeds and prints each verdict.

python -m tests.quickstart_verdicts [RUNS] [--quick]

OpenVINO makes the pictures of all cells, the baseline included: they are those of the eager pipeline to the sixth digit
and come several times as fast. Cells that differ from another in their compiler alone are left out. Exit code 1 where
a verdict is not the expected one. `--quick` makes one run of one cell with few prompts and expects nothing.
"""

import argparse
import sys
import tempfile
import time
import tomllib
from pathlib import Path
from typing import Any

import harness
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


def matrix(seed: int, quick: bool) -> str:
    """Return the quickstart with another seed, OpenVINO for every cell, and hardly any timing."""
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
        '[measure]\nwarmup = 0\nmin_s = 0\nmax_s = 0.5\nprecision = "50%"',
    ))  # fmt: skip


def _toml(value: Any) -> str:
    return str(value) if not isinstance(value, str) else f'"{value}"'


def judged(seed: int, quick: bool) -> Judgement:
    """Run, evaluate and gate one matrix."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "matrix.toml"
        file.write_text(matrix(seed, quick), encoding="utf-8")
        loaded = harness.load(file)
        run = harness.bench(loaded, results=Path(folder) / "results")
        return harness.gate(run)


def main() -> int:
    """Print a line a cell and run; return how it ended."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="?", type=int, default=5)
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    unexpected = 0
    for seed in range(1, 2 if given.quick else given.runs + 1):
        begin = time.perf_counter()
        verdicts = {cell.cell_id.replace("_openvino", ""): cell for cell in judged(seed, given.quick).cells}
        for name, cell in verdicts.items():
            allowed = EXPECTED[name]
            right = cell.result in allowed
            unexpected += not right
            prompts = max((rule.prompts or 0 for rule in cell.rules), default=0)
            print(f"seed {seed}  {name:24} {cell.result:12} {prompts:5} prompts  {cell.reason[:160]}", flush=True)
        print(f"seed {seed}: {time.perf_counter() - begin:.0f} s", flush=True)
    return int(unexpected > 0 and not given.quick)


if __name__ == "__main__":
    sys.exit(main())
