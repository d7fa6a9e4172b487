"""A guidance scale."""

from typing import Annotated, ClassVar

from pydantic import Field

from harness.core.axis import AxisValue


class Scale(AxisValue):
    """Classifier-free guidance (Ho & Salimans 2022); 1 is off and halves the denoiser's work."""

    summary: ClassVar[str] = "any number from 1 (off)"
    affects: ClassVar = "call"
    trajectory: ClassVar = "changed"

    scale: Annotated[float, Field(ge=1, le=100)] = 1.0

    @classmethod
    def parse(cls, name: str) -> "Scale":
        try:
            return cls(scale=float(name))
        except ValueError as error:
            raise ValueError("guidance is a number from 1 (off) to 100") from error

    def __str__(self) -> str:
        return f"{self.scale:g}"

    def label(self, name: str) -> str:
        return f"cfg-{self.scale:g}"

    def call_options(self) -> dict[str, float]:
        return {"guidance": self.scale}
