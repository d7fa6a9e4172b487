"""How long a history of 1,000 nights × 40 cells × 12 quantities takes to build and to open.

`OMP_NUM_THREADS=1 python -m tests.benchmarks.history_speed`: building reads one file of figures a run, as nights leave
them, and writes the history; opening reads it and indexes its series. The figures that only explain changes, 14 more a
cell, are there as well. With --quick: 20 nights.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import numpy as np

from harness.core.history import Night
from harness.history.night import NightRun, keep_night
from harness.history.quantities import CONDITION, CONDITIONS, PART, QUANTITIES, STAGE
from harness.history.table import History
from harness.store.layout import RunFolder, history_file
from tests.builders.nights import FIRST, MACHINE

NIGHTS, QUICK_NIGHTS, CELLS = 1000, 20, 40
WATCHED = [*(quantity.name for quantity in QUANTITIES), *(f"metric-{number}/loss" for number in range(7))]
EXPLAINING = [
    *(STAGE + stage for stage in ("text_encoder", "text_encoder_2", "denoiser", "vae", "other")),
    *(PART + part for part in ("start", "load", "apply", "compile", "first call")),
    *(CONDITION + name for name in CONDITIONS),
]
BUILT_S, OPENED_S = 30.0, 1.0
Result = TypeVar("Result")


def write_runs(root: Path, nights: int) -> None:
    """Write run folders with nothing but their kept figures."""
    random = np.random.default_rng(1)
    cells = tuple(f"{steps}-steps_fp16" for steps in range(CELLS))
    names = [(cell, quantity) for cell in cells for quantity in (*WATCHED, *EXPLAINING)]
    facts = {f"package-{number}": "1.2.3" for number in range(200)}
    for number in range(nights):
        values = random.random(len(names)).tolist()
        rows = [(cell, quantity, value, 0.99 * value, 1.01 * value, f"cell={cell}; model=sdxl 1024x1024; baseline=x")
                for (cell, quantity), value in zip(names, values, strict=True)]  # fmt: skip
        night = Night(run=f"run-{number:04d}", time=FIRST + timedelta(days=number), machine=MACHINE,
                      facts={**facts, "torch": f"2.{number // 30}"}, cells=cells, baseline=cells[0])  # fmt: skip
        folder = root / night.run
        folder.mkdir(parents=True)
        RunFolder(folder).run_json.write_text("{}", encoding="utf-8")
        keep_night(folder, NightRun("m", night, rows))


def timed(what: str, most_s: float, work: Callable[[], Result]) -> Result:
    """Print wall and processor time, and whether it is within the limit."""
    wall, processor = time.perf_counter(), time.process_time()
    found = work()
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    print(f"{what}: {wall:.2f} s, {processor:.2f} s of the processor (at most {most_s:g} s)")
    return found


def open_history(path: Path) -> int:
    return sum(1 for _ in History.load(path).all_series(MACHINE))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    nights = QUICK_NIGHTS if parser.parse_args().quick else NIGHTS
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        write_runs(root, nights)
        path = history_file(root, "m")
        built = timed(f"built from {nights} runs", BUILT_S, lambda: build(root, path))
        again = timed("built again", BUILT_S, lambda: build(root, path))
        series = timed("opened", OPENED_S, lambda: open_history(path))
        print(f"{built:,} readings, {series} series, {path.stat().st_size / 2**20:.1f} MiB")
        assert built == again


def build(root: Path, path: Path) -> int:
    found = History.build(root, "m")
    found.save(path)
    return found.columns.run.size


if __name__ == "__main__":
    main()
