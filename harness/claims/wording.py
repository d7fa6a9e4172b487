"""Claims and findings in words."""

import math

from harness.claims.claim import TOLERANCE, Claim, Quantity
from harness.core.limits import figure_words, margin_words
from harness.core.quality import Interval
from harness.core.units import format_seconds


def claimed_words(claim: Claim) -> str:
    """Return what was claimed: `1.56× ± 10 %`, `1.4× to 2×`, `at least 1×`."""
    if claim.value is not None:
        tolerance = TOLERANCE if claim.tolerance is None else claim.tolerance
        return f"{value_words(claim, claim.value)} ± {margin_words(tolerance)}"
    low, high = claim.window
    if math.isinf(high):
        return f"at least {value_words(claim, low)}"
    if math.isinf(low):
        return f"at most {value_words(claim, high)}"
    return f"{value_words(claim, low)} to {value_words(claim, high)}"


def here_words(claim: Claim, here: Interval) -> str:
    """Return what was measured: `1.49× [1.46, 1.52]`, or a plain figure where there is no interval."""
    middle, low, high = (value_words(claim, end) for end in (here.estimate, here.low, here.high))
    if here.low == here.high:
        return middle
    unit = middle.lstrip("0123456789.,−∞")
    if low.endswith(unit) and high.endswith(unit):
        low, high = low.removesuffix(unit), high.removesuffix(unit)
    return f"{middle} [{low}, {high}]"


def value_words(claim: Claim, value: float) -> str:
    """Return a value of a claim's quantity with its unit."""
    if claim.quantity in ("latency-s", "step-latency-s"):
        return format_seconds(value)
    if claim.quantity == "score":
        return figure_words(value)
    return figure_words(value, 3) + _UNITS.get(claim.quantity, "")


_UNITS: dict[Quantity, str] = {
    "speedup": "×",
    "model-memory-gib": " GiB",
    "denoiser-memory-ratio": " of the bytes",
    "peak-memory-gib": " GiB",
    "peak-memory-ratio": " of the bytes",
    "encoder-calls": " encoder calls",
}
