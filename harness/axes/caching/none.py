"""Nothing is reused."""

from typing import ClassVar

from harness.core.axis import AxisValue


class Uncached(AxisValue):
    summary: ClassVar[str] = "nothing is reused"
