"""Histories built from arrays: no runs, no files."""

from collections.abc import Mapping
from datetime import datetime, timedelta, timezone

import numpy as np
from numpy.typing import NDArray

from harness.core.history import Night
from harness.history.table import Columns, History, Names

FIRST_NIGHT = datetime(2026, 1, 1, 2, tzinfo=timezone.utc)
MACHINE, BASELINE = "one card", "baseline"
Key = tuple[str, str]


def build_history(
    values: Mapping[Key, NDArray[np.float64]],
    half_widths: Mapping[Key, NDArray[np.float64]] | None = None,
    machine: str = MACHINE,
) -> History:
    """Return a history of one machine from (cell, quantity) → a reading a night, NaN where there is none."""
    count = max(map(len, values.values()))
    cells, quantities = (tuple(dict.fromkeys(key[place] for key in values)) for place in (0, 1))
    nights = tuple(
        Night(
            run=f"night-{place:04d}",
            time=FIRST_NIGHT + timedelta(days=place),
            machine=machine,
            facts={},
            cells=cells,
            baseline=BASELINE,
        )
        for place in range(count)
    )
    rows = [
        (night, cells.index(cell), quantities.index(quantity), 0, value, half)
        for (cell, quantity), series in values.items()
        for night, (value, half) in enumerate(
            zip(series, (half_widths or {}).get((cell, quantity), np.zeros(len(series))), strict=True)
        )
        if np.isfinite(value)
    ]
    rows.sort()
    columns = np.array(rows, dtype=np.float64).reshape(-1, 6).T
    codes, (value, half) = columns[:4].astype(np.int32), columns[4:]
    table = Columns(*codes, value, value - half, value + half)
    return History("matrix", nights, Names(cells, quantities, ("",)), table)
