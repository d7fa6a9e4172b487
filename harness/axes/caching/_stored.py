"""What values that begin an image with stored latents have in common."""

from typing import Annotated, ClassVar

from pydantic import Field

from harness.core.axis import AxisValue, Context

Figures = dict[str, float | int | str]


class StoredStart(AxisValue):
    """The first `calls` denoiser calls of an image are answered from a store."""

    tags: ClassVar = frozenset({"stored-latents", "reads-weights"})
    conflicts: ClassVar = frozenset({"no-pipeline", "no-torch"})

    calls: Annotated[int, Field(ge=1, le=1000)] = 2
    """Denoiser calls at the beginning that are taken from the store: k."""

    def refuse(self, context: Context) -> str | None:
        steps = int(context.values["steps"].call_options()["steps"])
        if self.calls >= steps:
            return f"starts after {self.calls} denoiser calls, and the cell takes {steps} steps: lower calls"
        return None


def call_figures(computed: int, replayed: int, calls: int) -> Figures:
    """Return the denoiser calls made and those answered from the store, per whole-pipeline call."""
    return {"denoiser_calls": computed / calls, "denoiser_calls_skipped": replayed / calls}
