"""A fixed image size."""

import re
from typing import Annotated, ClassVar

from pydantic import Field

from harness.axes.resolution._cascade import refuse_size, warn_of_size
from harness.core.axis import AxisValue, Context
from harness.core.outcome import Caution
from harness.core.recipe import RecipeContext, RecipeLines

Side = Annotated[int, Field(ge=8, le=16384)]


class Pixels(AxisValue):
    """One size for all images; a size other than the baseline's starts from other noise."""

    summary: ClassVar[str] = "WIDTHxHEIGHT, such as 1024x1024"
    affects: ClassVar = "call"
    trajectory: ClassVar = "changed"

    width: Side = 512
    height: Side = 512

    @classmethod
    def parse(cls, name: str) -> "Pixels":
        match = re.fullmatch(r"(\d+)(?:[xX×](\d+))?", name)
        if match is None:
            raise ValueError("a resolution is written WIDTHxHEIGHT, such as 1024x1024")
        width = int(match[1])
        return cls(width=width, height=int(match[2] or width))

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"

    def label(self, name: str) -> str:
        return f"{self.width}x{self.height}"

    def refuse(self, context: Context) -> str | None:
        return refuse_size((self.width, self.height), context.model)

    def cautions(self, context: Context) -> tuple[Caution, ...]:
        return warn_of_size((self.width, self.height), context.model)

    def call_options(self) -> dict[str, int]:
        return {"width": self.width, "height": self.height}

    def recipe(self, context: RecipeContext) -> RecipeLines:
        return RecipeLines(call={"height": str(self.height), "width": str(self.width)})
