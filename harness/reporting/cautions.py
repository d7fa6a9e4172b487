"""Where a caution belongs on a page: beside the figures it qualifies."""

from collections.abc import Iterable
from typing import Literal

from harness.core.outcome import Caution

Place = Literal["timing", "memory", "trace", "cell"]

_PLACES: dict[Place, tuple[str, ...]] = {
    "timing": (
        "warming-up", "outliers", "two-speeds", "drift", "not-precise", "few-groups", "throttled", "power-capped",
        "clock-drift", "hot", "busy", "visitors", "cpu-drift", "profiled", "sandwiched", "alone", "partner",
    ),
    "memory": ("memory",),
    "trace": ("trace",),
}  # fmt: skip
UNSTABLE = {"two-speeds": "two speeds", "drift": "drifts", "not-precise": "not precise", "few-groups": "few blocks",
            "throttled": "throttled", "profiled": "timed under a profiler"}  # fmt: skip
"""What makes a time doubtful, in two words beside it; its section says what to do."""


def place_of(caution: Caution) -> Place:
    """Return which figures a caution is about; `cell` where it is about all of them."""
    return next((place for place, kinds in _PLACES.items() if caution.kind in kinds), "cell")


def cautions_at(place: Place, cautions: Iterable[Caution]) -> tuple[Caution, ...]:
    """Return the cautions that belong to one place."""
    return tuple(caution for caution in cautions if place_of(caution) == place)


def doubts(cautions: Iterable[Caution]) -> str:
    """Return what makes a cell's time doubtful, in a few words; an empty string where nothing does."""
    return ", ".join(dict.fromkeys(UNSTABLE[caution.kind] for caution in cautions if caution.kind in UNSTABLE))
