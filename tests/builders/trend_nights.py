"""The simulated nights of the demo, and their changes as a perfect detection would find them."""

from functools import cache

import numpy as np

from harness.core.history import ChangeState, Level, LevelChange
from harness.history.quantities import LATENCY
from harness.history.table import History
from harness.nightly.simulated_nights import (
    ACCEPTED_WHY,
    LINEAGE,
    MACHINE,
    NIGHTS,
    PLANTED,
    PlantedChange,
    name_night,
    simulate_nights,
)


@cache
def known_nights() -> tuple[History, tuple[LevelChange, ...]]:
    """Return the demo's history and its planted changes; the slowdown is new, the drift began to show in night 85."""
    history = simulate_nights()
    changes = [to_change(history, planted) for planted in PLANTED if planted.shape != "night"]
    return history, tuple(changes)


def to_change(history: History, planted: PlantedChange) -> LevelChange:
    cell = planted.cell or history.baseline(MACHINE)
    is_ratio = planted.quantity == LATENCY and planted.cell
    series = history.relative_latency(MACHINE, cell) if is_ratio else history.series(MACHINE, cell, planted.quantity)
    since = 85 if planted.shape == "drift" else planted.night
    state: ChangeState = {"accepted change": "accepted", "slowdown": "new"}.get(planted.name, "known")  # type: ignore[assignment]
    name, before, after = planted.fact
    return LevelChange(
        id=f"{LINEAGE}/{cell}/{planted.quantity}/{since}", machine=MACHINE, cell=planted.cell,
        quantity=planted.quantity, since=name_night(since),
        found=name_night(NIGHTS - 1 if state == "new" else since + 2),
        before=level(series.values[max(since - 40, 0) : since]), after=level(series.values[since:]),
        direction="worse" if planted.size > 0 else "better", state=state,
        causes=(f"{name}: {before} → {after}",) if name else (),
        why=ACCEPTED_WHY if state == "accepted" else "",
    )  # fmt: skip


def level(values: np.ndarray) -> Level:
    middle, half = float(np.median(values)), 1.96 * float(np.std(values)) / len(values) ** 0.5
    return Level(estimate=middle, low=middle - half, high=middle + half, nights=len(values))
