"""A real series of nights with a planted slowdown and a planted quality loss: are both found, and nothing else?

`python -m tests.benchmarks.nightly_series FOLDER [--nights 24]` runs one night after the other on the fake model, whose
calls really sleep and whose images are really drawn and scored. From one night on the 8-step cell sleeps 30 % longer in
a call, from another one the images of the 12-step cell are noisier. `--judge` judges the nights in FOLDER again, each
as it was the newest, without measuring. With --quick: four nights, too few to find anything.
"""

import argparse
import datetime
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from harness import api
from harness.core.history import LevelChange, NightlyBudget
from harness.core.model import Call
from harness.history.changes import Criteria, find_changes
from harness.history.merging import list_night_runs
from harness.history.table import History
from harness.models.fake import FakeModel
from harness.nightly.night import NightlyOptions, run_nightly
from tests.builders.fake_run import write_matrix

MATRIX = """
name = "fake"
[model]
source = "fake"
step_s = 0.01
[axes]
steps = [20, 14, 12, 8]
[baseline]
steps = 20
[prompts]
set = "{prompts}"
[measure]
min_s = 1
max_s = 2
[quality]
metrics = ["psnr", "ssim"]
rerun_prompts = 4
[nightly]
trace = "never"
repeat = false
"""
SLOW_CELL, WORSE_CELL = "8-steps_fp32", "12-steps_fp32"
TRUE_TO_IMAGES = FakeModel.text_to_image


def plant(is_slow: bool, is_worse: bool) -> None:
    """Make the calls of 8 steps sleep 30 % longer, and the images of 12 steps noisier, from now on."""

    def text_to_image(model: FakeModel, call: Call) -> Any:
        if is_slow and call.steps == 8:
            time.sleep(0.3 * 8 * 0.01)
        images = TRUE_TO_IMAGES(model, call)
        if is_worse and call.steps == 12:
            noise = np.random.default_rng(7).normal(0, 0.02, images.shape)
            images = np.clip(images + noise, 0, 1).astype(images.dtype)
        return images

    FakeModel.text_to_image = text_to_image  # type: ignore[method-assign]


def plan_nights(nights: int) -> tuple[int, int]:
    """Return the first night, from 0, of the slowdown and of the quality loss."""
    return nights * 5 // 8, nights * 3 // 4


def measure(folder: Path, nights: int) -> None:
    """Run every night that is missing in the folder, with the workers in this process."""
    folder.mkdir(parents=True, exist_ok=True)
    matrix = write_matrix(folder, MATRIX, prompts=12)
    slow, worse = plan_nights(nights)
    api.continue_run = partial(api.continue_run, inline=True)
    api.report = lambda run, out=None: run / "index.html"  # the pages of single runs are not judged
    for night in range(len(list((folder / "results").glob("*/run.json"))), nights):
        plant(night >= slow, night >= worse)
        began = time.perf_counter()
        result = run_nightly(matrix, api.load(matrix), NightlyOptions(results=folder / "results"))
        again = ", measured again" if result.repetition else ""
        print(f"night {night}: exit code {result.exit_code:d}{again}, {time.perf_counter() - began:.0f} s", flush=True)


def judge(folder: Path, nights: int) -> int:
    """Judge the series after each night; return 1 unless exactly the planted changes are found."""
    results = folder / "results"
    runs = list(list_night_runs(History.build(results, "fake")))
    slow, worse = plan_nights(nights)
    print(f"{len(runs)} nights; slower from night {slow}, worse from night {worse}")
    found: dict[str, LevelChange] = {}
    for last in range(1, len(runs) + 1):
        history = History("fake").merge(runs[:last])
        criteria = Criteria(NightlyBudget(), (), datetime.date.today(), results)
        for change in find_changes(history, criteria):
            if change.state == "new" and change.id not in found:
                found[change.id] = change
                since = [each.night.run for each in runs].index(change.since)
                size = change.after.estimate / change.before.estimate - 1 if change.before.estimate else float("inf")
                print(f"night {last - 1}: {change.cell or 'machine'} {change.quantity} {change.direction}, "
                      f"since night {since}, {size:+.1%}")  # fmt: skip
                for cause in change.causes:
                    print(f"    {cause}")
    wanted = {(SLOW_CELL, "latency"), (WORSE_CELL, "ssim/loss")}
    follows = {(SLOW_CELL, "cold_start"), (WORSE_CELL, "psnr/loss")}  # the first call sleeps too; half a point of PSNR
    worse_found = {(change.cell, change.quantity) for change in found.values() if change.direction == "worse"}
    print(f"planted and found: {sorted(wanted & worse_found)}")
    print(f"planted and missed: {sorted(wanted - worse_found)}")
    print(f"found, not planted: {sorted(worse_found - wanted - follows)}")
    return int(not wanted <= worse_found <= wanted | follows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--nights", type=int, default=24)
    parser.add_argument("--judge", action="store_true", help="judge only")
    parser.add_argument("--quick", action="store_true")
    asked = parser.parse_args()
    if asked.quick:
        with tempfile.TemporaryDirectory() as place:
            measure(Path(place), 4)
            judge(Path(place), 4)
        return
    if not asked.judge:
        measure(asked.folder, asked.nights)
    sys.exit(judge(asked.folder, asked.nights))


if __name__ == "__main__":
    main()
