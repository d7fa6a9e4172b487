"""A guidance scale."""

from typing import Annotated, ClassVar

from pydantic import Field

from harness.core.axis import AxisValue, Context
from harness.core.outcome import Caution
from harness.core.recipe import RecipeContext, RecipeLines


class Scale(AxisValue):
    """Classifier-free guidance (Ho & Salimans 2022); 1 turns it off and halves the work."""

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

    def refuse(self, context: Context) -> str | None:
        if self.scale > 1 and "no-guidance" in context.model.tags:
            title = context.model.title
            return f"the {title} was distilled without guidance and ignores it: use 1"
        return None

    def cautions(self, context: Context) -> tuple[Caution, ...]:
        if self.scale == 1 and "embedded-guidance" in context.model.tags:
            message = (
                f"the {context.model.title} takes guidance as an input: 1 is weak but not faster"
            )
            advice = "Use about 3.5, as in its training."
            return (Caution(kind="embedded-guidance", message=message, advice=advice),)
        return ()

    def call_options(self) -> dict[str, float]:
        return {"guidance": self.scale}

    def recipe(self, context: RecipeContext) -> RecipeLines:
        return RecipeLines(call={"guidance_scale": repr(self.scale)})
