"""How figures are written for people."""

import math

from harness.core.outcome import Image
from harness.core.quality import Interval
from harness.core.units import Absent, format_bytes, format_percent, format_seconds
from harness.reporting.facts import Standing

WORDS: dict[Standing, str] = {
    "baseline": "baseline",
    "pass": "pass",
    "fail": "fail",
    "inconclusive": "inconclusive",
    "missing": "figure missing",
    "unjudged": "not judged",
    "skipped": "skipped",
    "failed": "did not run",
    "pending": "not run yet",
}
DASH = "–"


def why(value: object) -> str:
    """Return why a figure is absent; an empty string where it is not."""
    return value.absent if isinstance(value, Absent) else ""


def seconds(value: float | Absent) -> str:
    """Return seconds with a unit that suits them, or a dash where absent."""
    return DASH if isinstance(value, Absent) else format_seconds(value)


def size(value: float | Absent) -> str:
    """Return bytes in binary units, or a dash where absent."""
    return DASH if isinstance(value, Absent) else format_bytes(value)


def factor(value: float) -> str:
    """Return a ratio such as `9.8×`, with two decimals near 1."""
    return f"{value:.0f}×" if value >= 99.5 else f"{value:.1f}×" if value >= 9.95 else f"{value:.2f}×"


def factor_interval(value: Interval | Absent) -> str:
    """Return a ratio with its interval: `9.80× [9.61, 9.97]`, or a dash where absent."""
    if isinstance(value, Absent):
        return DASH
    low, high = factor(value.low).rstrip("×"), factor(value.high).rstrip("×")
    return f"{factor(value.estimate)} [{low}, {high}]"


def seconds_interval(value: Interval) -> str:
    """Return seconds with their interval; the unit stands once where all three share it: `100 ms [99.1, 102]`."""
    middle, low, high = (format_seconds(part) for part in (value.estimate, value.low, value.high))
    unit = middle.rpartition(" ")[2]
    if all(text.count(" ") == 1 and text.endswith(f" {unit}") for text in (middle, low, high)):
        low, high = low.removesuffix(f" {unit}"), high.removesuffix(f" {unit}")
    return f"{middle} [{low}, {high}]"


def share(value: float) -> str:
    """Return a share as a percentage: one decimal, none from 100 % on."""
    return format_percent(value, 0 if abs(value) >= 0.995 else 1)


def share_interval(value: Interval) -> str:
    """Return a share with its interval: `2.1 % [1.4, 2.9]`."""
    low, high = share(value.low).removesuffix(" %"), share(value.high).removesuffix(" %")
    return f"{share(value.estimate)} [{low}, {high}]"


def number(value: float) -> str:
    """Return a score with four significant digits and a true minus sign."""
    return (f"{value:,.0f}" if abs(value) >= 9999.5 else f"{value:.4g}").replace("-", "−")


def rate(value: float) -> str:
    """Return a rate such as images per second with three significant digits, no exponent."""
    return f"{value:,.0f}" if value >= 999.5 else f"{value:.3g}"


def grouped(count: int) -> str:
    """Return a count with its thousands apart: `12,345`."""
    return f"{count:,}"


def plural(count: int, one: str, many: str = "") -> str:
    """Return a count with its noun: `1 cell`, `3 cells`."""
    return f"{grouped(count)} {one if count == 1 else many or one + 's'}"


def image_name(image: Image) -> str:
    """Return what identifies a picture: its prompt's id and seed."""
    return f"{image.prompt_id}, seed {image.seed}"


def round_share(value: float) -> str:
    """Return a share that a person chose, without needless decimals: `5 %`, `0.5 %`."""
    text = f"{value * 100:,.0f}" if abs(value) >= 9.995 else f"{value * 100:.3g}"
    return f"{text} %".replace("-", "−")


def probability(value: float) -> str:
    """Return a probability that was estimated by drawing: `97 %`, `< 1 %`, `> 99 %`."""
    if 0 < value < 0.01 or 0.99 < value < 1:
        return "< 1 %" if value < 0.5 else "> 99 %"
    return f"{value * 100:.0f} %"


def span(low: float, high: float, unit: str) -> str:
    """Return a range in whole units: `1,901 to 1,958 MHz`, or one number where both ends read the same."""
    ends = dict.fromkeys(f"{end:,.0f}".replace("-", "−") for end in (low, high))
    return f"{' to '.join(ends)} {unit}"


def share_span(low: float, high: float) -> str:
    """Return a range of shares in whole percent: `1 to 7 %`."""
    return span(100 * low, 100 * high, "%")


def plus_minus(half: float) -> str:
    """Return the half-width of an interval as a share of what it is around: `±1.8 %`."""
    return f"±{half * 100:.2g} %" if half < 0.1 else f"±{half * 100:.0f} %"


def money(amount: float, currency: str) -> str:
    """Return an amount with three significant digits and its currency: `0.000412 USD`, `12.3 USD`."""
    if amount >= 999.5:
        return f"{amount:,.0f} {currency}"
    digits = max(2, 2 - math.floor(math.log10(amount))) if amount > 0 else 2
    return f"{amount:.{digits}f} {currency}"
