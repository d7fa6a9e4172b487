"""Limits that a deployment must meet, and how they are written."""

import math
import re

from harness.core.base import Frozen
from harness.core.errors import UsageError

_SECONDS = {"ms": 1e-3, "s": 1.0, "min": 60.0}
_BYTES = {
    "mb": 1e6, "gb": 1e9, "tb": 1e12, "mib": 2.0**20, "gib": 2.0**30, "tib": 2.0**40,
}  # fmt: skip
_NUMBER = re.compile(r"\s*([0-9]*\.?[0-9]+)\s*([A-Za-z]*)\s*")


class Constraints(Frozen):
    """What a deployment must meet; None: any. `cheapest` ranks by cost instead of latency."""

    latency_s: float | None = None
    memory_bytes: float | None = None
    requests_per_s: float | None = None
    policy: str = ""
    cheapest: bool = False

    @property
    def has_limits(self) -> bool:
        limits = (self.latency_s, self.memory_bytes, self.requests_per_s)
        return any(limit is not None for limit in limits)


def parse_constraints(
    latency: str | None, memory: str | None, rps: float | None, policy: str | None, cheapest: bool
) -> Constraints:
    """Return the constraints of the command line, such as `500ms`, `16GiB` and 12 requests/s.

    Raises UsageError, naming the option, for what is no such figure.
    """
    if rps is not None and not (rps > 0 and math.isfinite(rps)):
        raise UsageError(f"{rps:g} is not a rate", "--rps", "Write requests per second: --rps 12")
    return Constraints(
        latency_s=_read(latency, "--latency", _SECONDS, "500ms"),
        memory_bytes=_read(memory, "--memory", _BYTES, "16GiB"),
        requests_per_s=rps,
        policy=policy or "",
        cheapest=cheapest,
    )


def _read(text: str | None, option: str, units: dict[str, float], example: str) -> float | None:
    if text is None:
        return None
    found = _NUMBER.fullmatch(text)
    unit = units.get(found[2].lower()) if found else None
    value = float(found[1]) * unit if found and unit else 0.0
    if value <= 0:
        known = ", ".join({"mib": "MiB", "gib": "GiB", "tib": "TiB"}.get(u, u) for u in units)
        what = f'"{text}" is not a number above 0 with a unit ({known})'
        raise UsageError(what, option, f"Such as: {option} {example}")
    return value
