"""A number of denoising steps."""

from typing import Annotated, ClassVar

from pydantic import Field

from harness.core.axis import AxisValue


class Count(AxisValue):
    """Ask the scheduler for this many steps; the denoiser calls really made are counted at run time."""

    summary: ClassVar[str] = "any whole number from 1"
    affects: ClassVar = "call"
    trajectory: ClassVar = "changed"

    count: Annotated[int, Field(ge=1, le=1000)] = 50

    @classmethod
    def parse(cls, name: str) -> "Count":
        try:
            return cls(count=int(name))
        except ValueError as error:
            raise ValueError("steps are whole numbers from 1 to 1000") from error

    def __str__(self) -> str:
        return str(self.count)

    def label(self, name: str) -> str:
        return f"{self.count}-steps"

    def call_options(self) -> dict[str, int]:
        return {"steps": self.count}
