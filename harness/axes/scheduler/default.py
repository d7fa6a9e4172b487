"""The model's default scheduler."""

from typing import ClassVar

from harness.axes.scheduler._ancestral import CLASS, refuse_broken
from harness.axes.scheduler._solver import refuse_all_steps
from harness.core.axis import AxisValue, Context
from harness.core.recipe import RecipeContext, RecipeLines


class Default(AxisValue):
    summary: ClassVar[str] = "the model's default scheduler"
    trajectory: ClassVar = "changed"
    tags: ClassVar = frozenset({"own-scheduler"})

    def refuse(self, context: Context) -> str | None:
        own = context.model.scheduler.get("_class_name")
        if own == CLASS and (reason := refuse_broken(context)):
            return reason
        return refuse_all_steps(context) if "own-steps-offset" in context.model.tags else None

    def recipe(self, context: RecipeContext) -> RecipeLines:
        return RecipeLines()
