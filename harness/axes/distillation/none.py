"""The model unchanged."""

from typing import ClassVar

from harness.core.axis import AxisValue


class Undistilled(AxisValue):
    summary: ClassVar[str] = "the model unchanged"
