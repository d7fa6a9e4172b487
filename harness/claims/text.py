"""Claims and findings in words."""

import math

from harness.claims.claim import TOLERANCE, Claim, Quantity
from harness.core.axis import Scalar, value_word
from harness.core.policy import figure_words, margin_words
from harness.core.quality import Interval
from harness.core.units import format_seconds
from harness.results.format import bracket

_UNITS: dict[Quantity, str] = {
    "speedup": "×",
    "model-memory-gib": " GiB",
    "denoiser-memory-ratio": " of the bytes",
    "peak-memory-gib": " GiB",
    "peak-memory-ratio": " of the bytes",
    "encoder-calls": " encoder calls",
}


def write_claimed(claim: Claim) -> str:
    """Return what was claimed: `1.56× ± 10 %`, `1.4× to 2×`, `at least 1×`."""
    if claim.value is not None:
        tolerance = TOLERANCE if claim.tolerance is None else claim.tolerance
        return f"{write_value(claim, claim.value)} ± {margin_words(tolerance)}"
    low, high = claim.window
    if math.isinf(high):
        return f"at least {write_value(claim, low)}"
    if math.isinf(low):
        return f"at most {write_value(claim, high)}"
    return f"{write_value(claim, low)} to {write_value(claim, high)}"


def write_measured(claim: Claim, here: Interval) -> str:
    """Return what was measured: `1.49× [1.46, 1.52]`, or a number without an interval."""
    middle, low, high = (write_value(claim, end) for end in (here.estimate, here.low, here.high))
    return middle if here.low == here.high else bracket(middle, low, high)


def write_value(claim: Claim, value: float) -> str:
    """Return a value of a claim's quantity with its unit."""
    if claim.quantity in ("latency-s", "step-latency-s"):
        return format_seconds(value)
    if claim.quantity == "score":
        return figure_words(value)
    return figure_words(value, 3) + _UNITS.get(claim.quantity, "")


def name_gpus(claim: Claim) -> str:
    """Return the hardware of a claim: `H100`, `any GPU`, `any machine`."""
    return " or ".join(_name(glob) or "any GPU" for glob in claim.gpu) or "any machine"


def name_model(claim: Claim) -> str:
    """Return the model of a claim, by the first of its names."""
    return _name(claim.model[0]) if claim.model else "any model"


def name_settings(settings: dict[str, Scalar]) -> str:
    """Return settings: `steps 4, distillation lcm-lora`; axes with any value are left out."""
    named = [f"{axis} {value_word(value)}" for axis, value in settings.items() if value != "*"]
    return ", ".join(named) or "any settings"


def _name(glob: str) -> str:
    return " ".join(part for part in glob.split("*") if part)
