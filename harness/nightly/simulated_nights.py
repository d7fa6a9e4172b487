"""120 simulated nights with known changes, for `harness nightly --demo` and for tests."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta, timezone
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.core.base import Frozen
from harness.core.history import Night
from harness.history.night import NightRun
from harness.history.quantities import LATENCY, LOSS, STAGE, find_quantity
from harness.history.table import History

LINEAGE = "nightly-demo"
NIGHTS = 120
MACHINE = "NVIDIA L4, simulated"
_SEED = 38
_FIRST = datetime(2026, 8, 3, 2, 0, tzinfo=timezone.utc)
_BASELINE = "50-steps_fp16"
_GIB = 2.0**30


class DemoCell(NamedTuple):
    """What a simulated cell usually measures; losses are shares."""

    latency_s: float
    cold_start_s: float
    memory_gib: float
    energy_j: float
    broken: float
    losses: Mapping[str, float]


CELLS = {
    _BASELINE: DemoCell(4.21, 9.8, 7.4, 268, 0.004, {}),
    "25-steps_fp16": DemoCell(2.16, 9.7, 7.4, 137, 0.005, {"clip": 0.004, "fid": 0.011}),
    "50-steps_inductor": DemoCell(
        2.94, 61.0, 7.9, 205, 0.004, {"clip": 0.001, "fid": 0.002, "lpips": 0.003}
    ),
    "50-steps_fp8-quanto": DemoCell(
        3.02, 17.5, 5.1, 190, 0.006, {"clip": 0.006, "fid": 0.014, "lpips": 0.021}
    ),
    "50-steps_deepcache": DemoCell(
        1.95, 9.9, 7.6, 127, 0.007, {"clip": 0.008, "fid": 0.019, "lpips": 0.034}
    ),
    "4-steps_lcm-lora": DemoCell(0.41, 12.4, 7.5, 27, 0.011, {"clip": 0.019, "fid": 0.038}),
}
_NOISE = {LATENCY: 0.008, "cold_start": 0.03, "peak_memory": 0.0015, "energy": 0.012}
"""The standard deviation between nights, as a share; of losses and broken images in shares."""
_ABSOLUTE_NOISE, _KEPT = 0.0022, 0.35  # autocorrelation from night to night
_STAGES = {"denoiser": 0.88, "vae": 0.08, "text encoder": 0.04}


class PlantedChange(Frozen):
    """A known change: what moved, from which night on (counted from 0), and by how much.

    `size` is a ratio minus 1, or a difference for losses; a `drift` reaches it in the last night, a
    `night` is one bad night.
    """

    name: str
    cell: str
    """The cell that moved; '' for the machine."""
    quantity: str
    night: int
    size: float
    shape: str = "step"
    fact: tuple[str, str, str] = ("", "", "")
    """What may explain it: name, and value before and after."""

    @property
    def run(self) -> str:
        """The first run with the change."""
        return name_night(self.night)


PLANTED = (
    PlantedChange(name="accepted change", cell="50-steps_fp8-quanto", quantity="peak_memory",
                  night=30, size=0.07, fact=("optimum-quanto", "0.2.6", "0.2.7")),
    PlantedChange(name="machine change", cell="", quantity=LATENCY, night=41, size=0.045,
                  fact=("driver", "570.124.06", "575.57.08")),
    PlantedChange(name="slow drift", cell="50-steps_deepcache", quantity=LATENCY, night=55,
                  size=0.075, shape="drift"),
    PlantedChange(name="improvement", cell="4-steps_lcm-lora", quantity="cold_start", night=69,
                  size=-0.22, fact=("commit of pipelines", "5c0be71", "a91d2f4")),
    PlantedChange(name="bad night", cell="25-steps_fp16", quantity=LATENCY, night=84, size=0.31,
                  shape="night"),
    PlantedChange(name="quality loss", cell="50-steps_fp8-quanto", quantity=f"clip{LOSS}",
                  night=97, size=0.021, fact=("torchao", "0.15.0", "0.16.0")),
    PlantedChange(name="slowdown", cell="50-steps_inductor", quantity=LATENCY, night=117,
                  size=0.06, fact=("torch", "2.11.0", "2.12.0")),
)  # fmt: skip
ACCEPTED_WHY = "int8 fallback of two layers keeps text legible; the memory is worth it"


def simulate_nights() -> History:
    """Return the history of 120 nights; it is the same every time."""
    random = np.random.default_rng(_SEED)
    shared = 1 + 0.006 * _wander(random)  # the machine moves all cells
    series = {cell: dict(_simulate_cell(random, cell, shared)) for cell in CELLS}
    found = [
        NightRun(
            LINEAGE,
            Night(
                run=name_night(night),
                time=_FIRST + timedelta(days=night),
                machine=MACHINE,
                facts=_list_facts(night),
                cells=tuple(CELLS),
                baseline=_BASELINE,
                stale=True,
            ),
            [
                (cell, name, *rows[:, night].tolist(), "demo=1")
                for cell, found in series.items()
                for name, rows in found.items()
            ],
        )
        for night in range(NIGHTS)
    ]
    return History(LINEAGE).merge(found)


def name_night(night: int) -> str:
    """Return the name of a night's run."""
    return f"{_FIRST + timedelta(days=night):%Y%m%dT%H%M%SZ}_{LINEAGE}_simulated"


def date_night(run: str) -> datetime:
    """Return the time of a night by its run's name."""
    return datetime.strptime(run[:16], "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc)


def _list_facts(night: int) -> dict[str, str]:
    facts = {"host": "simulated", "model": "SDXL base 1.0 (simulated)"}
    for change in PLANTED:
        name, before, after = change.fact
        if name:
            facts[name] = after if night >= change.night else before
    return facts


def _wander(random: np.random.Generator) -> NDArray[np.float64]:
    """Return noise with a standard deviation of 1 that remembers the night before."""
    noise = random.standard_normal(NIGHTS)
    for night in range(1, NIGHTS):
        noise[night] = _KEPT * noise[night - 1] + np.sqrt(1 - _KEPT**2) * noise[night]
    return noise


def _simulate_cell(
    random: np.random.Generator, cell: str, shared: NDArray[np.float64]
) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """Yield quantity → rows of values, low and high ends, one column a night."""
    usual = CELLS[cell]
    levels = {
        LATENCY: usual.latency_s, "cold_start": usual.cold_start_s,
        "peak_memory": usual.memory_gib * _GIB, "energy": usual.energy_j,
        "broken_share": usual.broken,
        **{f"{metric}{LOSS}": loss for metric, loss in usual.losses.items()},
    }  # fmt: skip
    for name, level in levels.items():
        noise, clock = _wander(random), shared if name == LATENCY else np.ones(NIGHTS)
        if find_quantity(name).scale == "relative":
            values = level * clock * (1 + _NOISE[name] * noise) * (1 + _plant(cell, name))
        else:
            values = np.maximum(level + _ABSOLUTE_NOISE * noise + _plant(cell, name), 0.0)
        half = _half_width(name, values, level)
        yield name, np.stack([values, np.maximum(values - half, 0.0), values + half])
        if name == LATENCY:
            yield from _divide(random, cell, values)


def _half_width(name: str, values: NDArray[np.float64], level: float) -> NDArray[np.float64]:
    """Return half of the 95 % interval of each night."""
    if name == LATENCY:
        return 0.012 * values
    if find_quantity(name).scale == "relative":
        return np.zeros(NIGHTS)
    return np.full(NIGHTS, 0.0045 + 0.08 * level)


def _plant(cell: str, quantity: str) -> NDArray[np.float64]:
    """Return what the known changes add in each night."""
    nights, added = np.arange(NIGHTS), np.zeros(NIGHTS)
    for change in PLANTED:
        if change.quantity != quantity or change.cell not in ("", cell):
            continue
        if change.shape == "drift":
            added += change.size * np.clip((nights - change.night) / (NIGHTS - change.night), 0, 1)
        elif change.shape == "night":
            added += change.size * (nights == change.night)
        else:
            added += change.size * (nights >= change.night)
    return added


def _divide(
    random: np.random.Generator, cell: str, values: NDArray[np.float64]
) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """Yield the stages of a call: what was planted in a cell is in its denoiser."""
    moved = np.maximum(_plant(cell, LATENCY) - _plant("", LATENCY), 0)
    usual = values / (1 + moved)
    for stage, share in _STAGES.items():
        seconds = share * usual * (1 + 0.004 * random.standard_normal(NIGHTS))
        seconds += (values - usual) * (stage == "denoiser")
        yield STAGE + stage, np.stack([seconds] * 3)
