"""All weights on the device, images decoded whole."""

from typing import ClassVar

from harness.core.axis import AxisValue


class Plain(AxisValue):
    summary: ClassVar[str] = "all weights on the device, images decoded whole"
