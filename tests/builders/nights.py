"""Nights that exist only as figures: series given as (cell, quantity) → values, one a night."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

from harness.core.history import Night
from harness.history.night import NightRun
from harness.history.table import History

FIRST = datetime(2026, 9, 1, 3, tzinfo=timezone.utc)
BASELINE, MACHINE = "50-steps", "Test GPU"
Values = Mapping[tuple[str, str], Sequence[float]]


def night(number: int, rows: Mapping[tuple[str, str], float], **changed: Any) -> NightRun:
    """Return the night of a number (days after the first) with rows of (cell, quantity) → value.

    Intervals reach 1 % to either side. `changed` are fields of the night, and `basis` of its readings.
    """
    basis = changed.pop("basis", "cell=x; baseline=50")
    known: dict[str, Any] = {
        "run": f"night-{number:04d}", "time": FIRST + timedelta(days=number), "machine": MACHINE,
        "facts": {"driver": "550", "torch": "2.11"}, "cells": tuple(dict.fromkeys(cell for cell, _ in rows)),
        "baseline": BASELINE,
    }  # fmt: skip
    found = [(cell, quantity, value, value - abs(value) / 100, value + abs(value) / 100, basis)
             for (cell, quantity), value in rows.items()]  # fmt: skip
    return NightRun("m", Night.model_validate(known | changed), found)


def history(values: Values, **changed: Any) -> History:
    """Return a history with one night per value."""
    count = len(next(iter(values.values())))
    found = (night(n, {key: series[n] for key, series in values.items()}, **changed) for n in range(count))
    return History("m").merge(found)
