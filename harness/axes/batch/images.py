"""A number of images per call."""

from typing import Annotated, ClassVar

from pydantic import Field

from harness.axes.batch._memory import least_bytes, memory_bytes
from harness.core.axis import AxisValue, Context
from harness.core.units import format_bytes


class Images(AxisValue):
    """Time calls of this many images: latency grows, throughput should grow more."""

    summary: ClassVar[str] = "any whole number from 1"
    affects: ClassVar = "call"

    images: Annotated[int, Field(ge=1, le=1024)] = 1

    @classmethod
    def parse(cls, name: str) -> "Images":
        try:
            return cls(images=int(name))
        except ValueError as error:
            raise ValueError("batch is a whole number from 1 to 1024") from error

    def __str__(self) -> str:
        return str(self.images)

    def label(self, name: str) -> str:
        return f"batch-{self.images}"

    def refuse(self, context: Context) -> str | None:
        least, there = least_bytes(context, self.images), memory_bytes(context.machine)
        if least <= there:
            return None
        owner = context.machine.gpus[0].name if context.machine.gpus else "this computer"
        needs = f"decoding {self.images} images at once needs {format_bytes(least)} at the very least"
        return f"{needs}, {owner} has {format_bytes(there)}"

    def call_options(self) -> dict[str, int]:
        return {"batch": self.images}
