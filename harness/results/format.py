"""How values are written: one formatter per unit, a dash for what is absent."""

import math
import re
from collections.abc import Callable, Mapping
from typing import Literal

from harness.core.cost import Cost
from harness.core.quality import Interval
from harness.core.units import Absent, format_bytes, format_percent, format_seconds

Number = int | float
Value = Interval | Cost | Absent | str | int | float | bool | None
"""What a column holds; None where it does not apply."""
Unit = Literal[
    "text", "count", "number", "seconds", "bytes", "factor", "share", "rate", "joules",
    "probability", "thousand",
]  # fmt: skip
DASH = "–"
_QUANTITY = re.compile(r"([−\d.,∞]+)(\D*)")


def format_value(value: Value, unit: Unit = "number") -> str:
    """Return a value with its unit, an interval in brackets; a dash for what is absent."""
    if isinstance(value, Absent) or value is None:
        return DASH
    if isinstance(value, str):
        return value
    if isinstance(value, Cost):
        return format_money(
            1000 * value.amount if unit == "thousand" else value.amount, value.currency
        )
    write = _FORMATS[unit]
    if isinstance(value, Interval):
        return bracket(*(write(end) for end in (value.estimate, value.low, value.high)))
    return write(value)


def bracket(middle: str, low: str, high: str) -> str:
    """Return `middle [low, high]`; a unit that all three share is written once."""
    parts = [_QUANTITY.fullmatch(text) for text in (middle, low, high)]
    if all(parts) and len({part[2] for part in parts if part}) == 1:
        low, high = (part[1] for part in parts[1:] if part)
    return f"{middle} [{low}, {high}]"


def to_number(value: Value) -> str | int | float | bool | None:
    """Return the plain value of a table's field; None for what is absent."""
    if isinstance(value, Interval):
        return value.estimate
    if isinstance(value, Cost):
        return value.amount
    return None if isinstance(value, Absent) else value


def explain_absence(value: object) -> str:
    """Return why a value is absent; an empty string if it is not."""
    return value.absent if isinstance(value, Absent) else ""


def format_factor(value: Number) -> str:
    """Return a ratio: `9.8×`, with two decimals near 1."""
    return (
        f"{value:.0f}×" if value >= 99.5 else f"{value:.1f}×" if value >= 9.95 else f"{value:.2f}×"
    )


def format_share(value: Number) -> str:
    """Return a share as a percentage: one decimal, none from 100 % on."""
    return format_percent(value, 0 if abs(value) >= 0.995 else 1)


def format_number(value: Number) -> str:
    """Return a score with four significant digits and a true minus sign."""
    return (f"{value:,.0f}" if abs(value) >= 9999.5 else f"{value:.4g}").replace("-", "−")


def format_rate(value: Number) -> str:
    """Return a rate with three significant digits and no exponent."""
    return f"{value:,.0f}" if value >= 999.5 else f"{value:.3g}"


def format_count(count: Number) -> str:
    """Return a count with its thousands separated: `12,345`."""
    return f"{count:,}"


def format_probability(value: Number) -> str:
    """Return an estimated probability: `97 %`, `< 1 %`, `> 99 %`."""
    if 0 < value < 0.01 or 0.99 < value < 1:
        return "< 1 %" if value < 0.5 else "> 99 %"
    return f"{value * 100:.0f} %"


def format_margin(value: Number) -> str:
    """Return a share that somebody chose, without needless decimals: `5 %`, `0.5 %`."""
    text = f"{value * 100:,.0f}" if abs(value) >= 9.995 else f"{value * 100:.3g}"
    return f"{text} %".replace("-", "−")


def format_half_width(half: Number) -> str:
    """Return the half-width of an interval as a share of its middle: `±1.8 %`."""
    return f"±{half * 100:.2g} %" if half < 0.1 else f"±{half * 100:.0f} %"


def format_range(low: Number, high: Number, unit: str) -> str:
    """Return a range in whole units: `1,901 to 1,958 MHz`; one number if both ends read alike."""
    ends = dict.fromkeys(f"{end:,.0f}".replace("-", "−") for end in (low, high))
    return f"{' to '.join(ends)} {unit}"


def format_money(amount: Number, currency: str) -> str:
    """Return an amount with three significant digits: `0.000412 USD`, `12.3 USD`."""
    if amount >= 999.5:
        return f"{amount:,.0f} {currency}"
    digits = max(2, 2 - math.floor(math.log10(amount))) if amount > 0 else 2
    return f"{amount:.{digits}f} {currency}"


_FORMATS: Mapping[Unit, Callable[[Number], str]] = {
    "text": str,
    "count": format_count,
    "number": format_number,
    "seconds": format_seconds,
    "bytes": format_bytes,
    "factor": format_factor,
    "share": format_share,
    "rate": format_rate,
    "joules": lambda value: f"{format_number(value)} J",
    "probability": format_probability,
}
