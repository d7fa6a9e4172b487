"""Where a caution belongs on a page: beside the figures it qualifies."""

from collections.abc import Iterable
from typing import Literal

from harness.core.outcome import Caution

Place = Literal["timing", "memory", "trace", "cell"]

_PLACES: dict[str, tuple[str, ...]] = {
    "timing": (
        "first-call", "warming-up", "outliers", "two-speeds", "drift", "few-groups", "not-precise", "throttled",
        "power-capped", "clock-drift", "cpu-clock-drift", "hot", "busy", "foreign-processes", "profiled",
    ),
    "memory": ("memory",),
    "trace": ("trace",),
    "nowhere": ("not-traced",),
}  # fmt: skip
"""`nowhere`: the section of the trace says itself that there is none, with the command for this cell."""

UNSTABLE = {"two-speeds": "two speeds", "drift": "drifts", "not-precise": "not precise", "few-groups": "few blocks",
            "throttled": "throttled", "profiled": "timed under a profiler"}  # fmt: skip
"""What makes a time doubtful, in two words beside it; its section says what to do."""


def _find_place(caution: Caution) -> str:
    """Return which figures a caution is about; `cell` where it is about all of them."""
    return next((place for place, kinds in _PLACES.items() if caution.kind in kinds), "cell")


def cautions_at(place: Place, cautions: Iterable[Caution]) -> tuple[Caution, ...]:
    """Return the cautions that belong to one place."""
    return tuple(caution for caution in cautions if _find_place(caution) == place)


def doubts(cautions: Iterable[Caution]) -> str:
    """Return what makes a cell's time doubtful, in a few words; an empty string where nothing does."""
    return ", ".join(dict.fromkeys(UNSTABLE[caution.kind] for caution in cautions if caution.kind in UNSTABLE))
