"""The scheduler that the model ships with."""

from typing import ClassVar

from harness.core.axis import AxisValue


class Default(AxisValue):
    summary: ClassVar[str] = "the model's own scheduler"
    trajectory: ClassVar = "changed"
    tags: ClassVar = frozenset({"own-scheduler"})
