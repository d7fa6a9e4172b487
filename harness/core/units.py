"""Units, number formats, and Absent: a value that could not be measured, with the reason."""

import math

from harness.core.base import Frozen


class Absent(Frozen):
    """A value that could not be measured, with the reason; never NaN, never 0."""

    absent: str

    def __str__(self) -> str:
        return f"absent: {self.absent}"


def format_seconds(seconds: float) -> str:
    """Return seconds with a suitable unit: `850 µs`, `12.3 ms`, `4.56 s`, `3 min 20 s`, `2 h 5
    min`."""
    if seconds < 1e-3:
        return f"{seconds * 1e6:.0f} µs"
    if seconds < 1:
        return f"{seconds * 1e3:.3g} ms"
    if seconds < 99.5:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min"


def format_bytes(count: float) -> str:
    """Return bytes in binary units with three digits: `512 B`, `1.91 MiB`, `80 GiB`."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1024
    return f"{count:.3g} TiB"


def format_percent(share: float, digits: int = 1) -> str:
    """Return a share as a percentage, with a true minus sign: `0.0123` is `1.2 %`."""
    text = f"{round(share * 100, digits) + 0.0:.{digits}f}".replace("-", "−")  # + 0.0: no "−0.0"
    return text.replace("inf", "∞") if math.isinf(share) else f"{text} %"


def plural(count: int, one: str, many: str = "") -> str:
    """Return a count with its noun: `1 cell`, `1,200 cells`."""
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"
