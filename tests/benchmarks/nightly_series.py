"""A real series of nights with a planted slowdown and a planted quality loss: are both found, and nothing else?

`python -m tests.benchmarks.nightly_series FOLDER [--nights 24]` runs `harness nightly` once a night on the fake model,
whose calls really sleep and whose images are really drawn and scored. From one night on the 8-step cell sleeps 15 %
longer in a call, from another one the images of the 12-step cell are noisier. `--judge` judges the nights in FOLDER
again, as each night would have, without measuring.
"""

import argparse
import datetime
import os
import subprocess
import sys
import time
from pathlib import Path

from harness.core.history import LevelChange, NightlyBudget
from harness.history.changes import Review, find_changes
from harness.history.merging import list_night_runs
from harness.history.table import History
from tests.builders.fake_run import write_matrix

MATRIX = """
name = "series"
[model]
source = "fake"
step_s = 0.01
[axes]
steps = [20, 14, 12, 8]
[prompts]
set = "{prompts}"
[measure]
min_s = 1
max_s = 4
[quality]
metrics = ["psnr", "ssim"]
rerun_prompts = 4
[nightly]
trace = "never"
"""
SLOW_CELL, WORSE_CELL = "8-steps_fp32", "12-steps_fp32"
PLANT = """
import os
import time

NIGHT, SLOW_FROM, WORSE_FROM = (int(os.environ[name]) for name in ("NIGHT", "SLOW_FROM", "WORSE_FROM"))
if NIGHT >= min(SLOW_FROM, WORSE_FROM):
    import numpy as np

    from harness.models.fake import FakeModel

    original = FakeModel.text_to_image

    def text_to_image(self, call):
        if call.steps == 8 and NIGHT >= SLOW_FROM:
            time.sleep(0.15 * 8 * 0.01)
        images = original(self, call)
        if call.steps == 12 and NIGHT >= WORSE_FROM:
            noise = np.random.default_rng(7).normal(0, 0.03, images.shape)
            images = np.clip(images + noise, 0, 1).astype(images.dtype)
        return images

    FakeModel.text_to_image = text_to_image
"""
"""A sitecustomize.py: every Python process of a night imports it."""


def plan_nights(nights: int) -> tuple[int, int]:
    """Return the first night, from 0, of the slowdown and of the quality loss."""
    return nights * 5 // 8, nights * 3 // 4


def measure(folder: Path, nights: int) -> None:
    """Run `harness nightly` for every night that is missing in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    write_matrix(folder, MATRIX, prompts=8).rename(folder / "series.toml")
    plant = folder / "plant"
    plant.mkdir(exist_ok=True)
    (plant / "sitecustomize.py").write_text(PLANT, encoding="utf-8")
    slow, worse = plan_nights(nights)
    for night in range(len(list((folder / "results").glob("*/run.json"))), nights):
        path = os.pathsep.join([str(plant), *filter(None, [os.environ.get("PYTHONPATH")])])
        facts = {"NIGHT": str(night), "SLOW_FROM": str(slow), "WORSE_FROM": str(worse), "PYTHONPATH": path}
        began = time.perf_counter()
        words = [sys.executable, "-m", "harness", "nightly", "series.toml"]
        done = subprocess.run(
            words, cwd=folder, env={**os.environ, **facts}, capture_output=True, text=True, check=False
        )
        print(f"night {night}: exit code {done.returncode} after {time.perf_counter() - began:.0f} s", flush=True)
        if done.returncode not in (0, 1, 6):
            sys.exit(done.stderr)


def judge(folder: Path, nights: int) -> int:
    """Judge the series after each night; return 1 unless exactly the planted changes are found."""
    results = folder / "results"
    runs = list(list_night_runs(History.build(results, "series")))
    slow, worse = plan_nights(nights)
    print(f"{len(runs)} nights; slower from night {slow}, worse from night {worse}")
    found: dict[str, LevelChange] = {}
    for last in range(1, len(runs) + 1):
        history = History("series").merge(runs[:last])
        review = Review(NightlyBudget(), (), datetime.date.today(), results)
        for change in find_changes(history, review):
            if change.state == "new" and change.id not in found:
                found[change.id] = change
                since = [each.night.run for each in runs].index(change.since)
                size = change.after.estimate / change.before.estimate - 1 if change.before.estimate else float("inf")
                print(f"night {last - 1}: {change.cell or 'machine'} {change.quantity} {change.direction}, "
                      f"since night {since}, {size:+.1%}")  # fmt: skip
                for cause in change.causes:
                    print(f"    {cause}")
    wanted = {(SLOW_CELL, "latency"), (WORSE_CELL, "psnr/loss"), (WORSE_CELL, "ssim/loss")}
    worse_found = {(change.cell, change.quantity) for change in found.values() if change.direction == "worse"}
    print(f"planted and found: {sorted(wanted & worse_found)}")
    print(f"planted and missed: {sorted(wanted - worse_found)}")
    print(f"found, not planted: {sorted(worse_found - wanted)}")
    return int(worse_found != wanted)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--nights", type=int, default=24)
    parser.add_argument("--judge", action="store_true", help="judge only")
    asked = parser.parse_args()
    if not asked.judge:
        measure(asked.folder, asked.nights)
    sys.exit(judge(asked.folder, asked.nights))


if __name__ == "__main__":
    main()
