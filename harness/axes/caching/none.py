"""Everything is computed anew."""

from typing import ClassVar

from harness.core.axis import AxisValue


class Uncached(AxisValue):
    summary: ClassVar[str] = "everything is computed anew"
