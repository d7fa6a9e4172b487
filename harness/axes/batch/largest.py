"""The largest batch that fits into memory, found by trial on the finished pipeline."""

from typing import Annotated, ClassVar

from pydantic import Field

from harness.axes.batch._memory import largest_that_fits
from harness.axes.batch._trial import trial_for
from harness.core.axis import AxisValue, Context, Setup
from harness.core.effect import Effect, FixedEffect
from harness.core.errors import MachineError
from harness.core.model import TextToImage


class Largest(AxisValue):
    """Double the batch until it does not fit, then halve the difference; `limit` is where to stop.

    A GPU says itself when it is out of memory. A CPU's process would be killed instead: there a batch fits if its
    peak, extrapolated from smaller ones, stays below `share` of the memory that is free.
    """

    summary: ClassVar[str] = "the most that fit into memory, by trial; limit, share"
    tags: ClassVar = frozenset({"tries-batches"})
    conflicts: ClassVar = frozenset({"no-torch"})
    tolerance: ClassVar = 1e-4
    examples: ClassVar = ("largest+limit=3",)

    limit: Annotated[int, Field(ge=1, le=4096)] = 64
    share: Annotated[float, Field(gt=0, le=1)] = 0.8

    def refuse(self, context: Context) -> str | None:
        if any(value.lazy for value in context.values.values()):
            return "every size it tries would be compiled anew, which takes most of a minute each: name a number"
        return None

    def call_options(self) -> dict[str, int]:
        return {"batch": 1}

    def apply(self, model: TextToImage, setup: Setup) -> Effect:
        trial = trial_for(model, setup.call, self.share)
        found = largest_that_fits(trial.fits, self.limit)
        if not found:
            fix = "Use a smaller resolution or precision, or another machine."
            raise MachineError("not even one image fits into memory", "batch largest", fix)
        why = f"the limit of {self.limit}" if found == self.limit else f"{found + 1} do not fit ({trial.reason})"
        figures: dict[str, float | int | str] = {
            "images": found,
            "trials": trial.count,
            "peak_bytes": trial.peaks.get(found, 0),
        }
        effect = FixedEffect(f"{found} images a call: {why}", figures)
        effect.batch = found
        return effect
