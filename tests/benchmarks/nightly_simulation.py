"""Simulate nights of a matrix of 40 cells × 4 quantities and count false alarms and changes found, by detector.

python -m tests.benchmarks.nightly_simulation [months] [--quick] [--figure FILE] [--otava PYTHON]: with 1,000 months
about five minutes on one core; noises other than all together get a quarter of the months. `--otava` is the Python of
an environment with apache-otava 0.8.0, which needs another NumPy than ours: it is then simulated instead of the others.
It analyses each series anew each night, a minute a month.
"""

import argparse
import json
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.core.history import NightlyBudget
from harness.history.detection import BETTER, CALIBRATION, MACHINE_CAUTION, WORSE
from harness.stats.changes import Readings, common_movement, find_shifts
from tests.builders.nightly_noise import NOISES, Noise, retry, simulate

Floats = NDArray[np.float64]
Detector = Callable[[Floats, np.random.Generator], tuple[Floats, int]]
"""Readings (groups, cells, nights) → alarms (groups, cells, nights), and alarms of the machine."""

CELLS, QUANTITIES, MONTH = 40, 4, 30
START = 60
"""Nights before alarms are counted: no detector is judged while it learns."""
HISTORY, LATEST, SLOWED = 130, 20, 3
BUDGET = NightlyBudget.parse("1 a month")
BATCH = 12


def detect_harness(values: Floats, rng: np.random.Generator) -> tuple[Floats, int]:
    """Return the alarms of `harness nightly` at one false alarm a month."""
    groups, cells, nights = values.shape
    common = np.stack([common_movement(group) for group in values])
    lines = QUANTITIES * (cells + 1)
    nominal = CALIBRATION * lines / BUDGET.per_night
    limits = np.tile([nominal / WORSE, nominal / BETTER], (nights, 1))

    def find(series: Floats, size: int, limits: Floats) -> Iterator[tuple[int, int, int]]:
        readings = Readings(series, None, np.full(len(series), 0.002), np.arange(len(series)) // size)
        return ((shift.series, shift.found, shift.sign) for shift in find_shifts(readings, limits).shifts)

    alarms = np.zeros((groups * cells, nights))
    for series, found, sign in find((values - common[:, None]).reshape(-1, nights), cells, limits):
        alarms[series, found] = sign
    machine = sum(found >= START for _, found, _ in find(common, 1, limits * MACHINE_CAUTION))
    return alarms.reshape(values.shape), machine


def detect_fixed(values: Floats, rng: np.random.Generator) -> tuple[Floats, int]:
    """Alarm where a night is 5 % slower than the night before."""
    return np.diff(values, axis=2, prepend=values[:, :, :1]) > np.log(1.05), 0


def detect_retried(values: Floats, rng: np.random.Generator) -> tuple[Floats, int]:
    """Alarm where a night and six retries are all 5 % above the least of the five nights before."""
    alarms = np.zeros(values.shape)
    for night in range(5, values.shape[2]):
        limit = values[:, :, night - 5 : night].min(axis=2) + np.log(1.05)
        measured = values[:, :, night]
        for _ in range(6):
            measured = np.where(measured > limit, np.minimum(measured, retry(values[:, :, night], rng)), measured)
        alarms[:, :, night] = measured > limit
    return alarms, 0


OTAVA = """
import json, sys
from otava.analysis import compute_change_points
for line in sys.stdin:
    series, first = json.loads(line)
    known, alarms = [], []
    for night in range(first, len(series) + 1):
        points = compute_change_points(series[:night][-120:], window_len=50, max_pvalue=0.001)[0]
        for point in points:
            place = point.index + max(0, night - 120)
            if all(abs(place - other) > 5 for other in known):
                known.append(place)
                if night > first:
                    alarms.append([night - 1, 1 if point.stats.mean_2 > point.stats.mean_1 else -1])
    print(json.dumps(alarms), flush=True)
"""


def detect_otava(values: Floats, rng: np.random.Generator, python: str = "") -> tuple[Floats, int]:
    """Return the alarms of apache-otava, asked every night: a change point that was not there the night before."""
    flat = np.exp(values).reshape(-1, values.shape[2])
    first = HISTORY if flat.shape[1] == HISTORY + LATEST else START
    lines = "\n".join(json.dumps([series.tolist(), first]) for series in flat)
    command = [python, "-c", OTAVA]
    found = subprocess.run(command, input=lines, capture_output=True, encoding="utf-8", check=True).stdout
    alarms = np.zeros(flat.shape)
    for place, line in enumerate(found.splitlines()):
        for night, sign in json.loads(line):
            alarms[place, night] = sign
    return alarms.reshape(values.shape), 0


class Setting(NamedTuple):
    """A detector with its name and how many months it can afford."""

    name: str
    detect: Detector
    months: int


def count_alarms(noise: Noise, setting: Setting, rng: np.random.Generator) -> tuple[float, float, int]:
    """Return false alarms a month of the whole matrix, their standard error, and the months."""
    months, alarms = 0, []
    nights = START + 10 * MONTH if setting.months >= 10 else START + MONTH
    while months < setting.months:
        matrices = min(BATCH, -(-(setting.months - months) * MONTH // (nights - START)))
        values = simulate(noise, (matrices * QUANTITIES, CELLS, nights), rng)
        found, machine = setting.detect(values, rng)
        alarms.append(int((found[:, :, START:] != 0).sum()) + machine)
        months += matrices * (nights - START) // MONTH
    total = sum(alarms)
    return total / months, max(total, 1) ** 0.5 / months, months


def find_delays(noise: Noise, change: float, setting: Setting, rng: np.random.Generator) -> Floats:
    """Return, of cells that become slower after HISTORY nights, the nights until the first alarm; inf beyond LATEST.

    Three cells of each matrix become slower: harness takes what most cells share out of them.
    """
    groups = max(1, min(200, setting.months * 4 // 5))
    values = simulate(noise, (groups, CELLS, HISTORY + LATEST), rng)
    values[:, :SLOWED, HISTORY:] += np.log1p(change)
    if setting.detect is not detect_harness:
        values = values[:, :SLOWED]  # the others judge every series by itself
    late = setting.detect(values, rng)[0][:, :SLOWED, HISTORY:].reshape(-1, LATEST) > 0
    return np.where(late.any(axis=1), late.argmax(axis=1) + 1.0, np.inf)


def main(options: argparse.Namespace) -> None:
    """Print one row per noise and detector, one row per change and detector, and draw the figure."""
    months = 10 if options.quick else options.months
    settings = [
        Setting("harness", detect_harness, months),
        Setting("5 % above the night before", detect_fixed, months),
        Setting("5 % above the least of 5 nights, 6 retries", detect_retried, months),
    ]
    if options.otava:
        settings = [Setting("apache-otava 0.8.0", partial(detect_otava, python=options.otava), months)]
    noises = dict(list(NOISES.items())[:1]) if options.quick else NOISES
    rng = np.random.default_rng(14)
    print("| night-to-night noise | detector | months | false alarms a month |\n|---|---|---|---|")
    for noise_name, noise in noises.items():
        for setting in settings:
            part = setting.months if noise_name == "all together" else -(-setting.months // 4)
            rate, error, taken = count_alarms(noise, setting._replace(months=part), rng)
            print(f"| {noise_name} | {setting.name} | {taken:,} | {rate:.2f} ± {error:.2f} |", flush=True)
    print_power(settings, rng, options.figure)


def print_power(settings: list[Setting], rng: np.random.Generator, figure: Path | None) -> None:
    """Print how soon changes are found in independent noise and in all together."""
    print("\n| noise | slower by | detector | cells | within 3 nights | 5 | 10 | 20 | median |")
    print("|---|---|---|---|---|---|---|---|---|")
    curves = {}
    for noise_name in ("independent", "all together"):
        for change in (0.05, 0.02):
            for setting in settings:
                delays = find_delays(NOISES[noise_name], change, setting, rng)
                curves[noise_name, change, setting.name] = delays
                shares = " | ".join(f"{np.mean(delays <= nights) * 100:.0f} %" for nights in (3, 5, 10, 20))
                middle = np.median(delays)
                median = f"{middle:.0f}" if np.isfinite(middle) else "over 20"
                row = (
                    f"| {noise_name} | {change * 100:.0f} % | {setting.name} | {delays.size:,} | {shares} | {median} |"
                )
                print(row, flush=True)
    if figure:
        draw(curves, figure)


def draw(curves: dict[tuple[str, float, str], Floats], path: Path) -> None:
    """Draw the share of changes found against nights since the change."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    panels = list(dict.fromkeys((noise, change) for noise, change, _ in curves))
    drawing, axes = pyplot.subplots(1, len(panels), figsize=(3.1 * len(panels), 3), sharey=True, layout="constrained")
    nights = np.arange(1, 21)
    for axis, (noise, change) in zip(axes, panels, strict=True):
        for (other_noise, other, name), delays in curves.items():
            if (other_noise, other) == (noise, change):
                axis.plot(nights, [np.mean(delays <= night) for night in nights], label=name)
        axis.set(title=f"{noise}: {change * 100:.0f} % slower", xlabel="nights since the change", ylim=(0, 1.02))
        axis.axhline(0.9, color="grey", linewidth=0.5, linestyle=":")
    axes[0].set_ylabel("share of changes found")
    axes[0].legend(fontsize=7)
    drawing.savefig(path, dpi=110)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="False alarms and power of detectors of changes.")
    parser.add_argument("months", type=int, nargs="?", default=1000)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--figure", type=Path)
    parser.add_argument("--otava", metavar="PYTHON", default="")
    main(parser.parse_args())
