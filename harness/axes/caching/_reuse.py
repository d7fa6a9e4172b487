"""What values that reuse a denoiser's inner results from step to step have in common."""

from typing import ClassVar

from harness.core.axis import AxisValue, Context
from harness.core.outcome import Caution

FEW_STEPS = 10


class StepReuse(AxisValue):
    """Remembers results between the denoiser calls of one image, in modules inside the denoiser.

    So it needs the denoiser itself (its tag is a conflict of compilers that put an engine in its place), a second
    step to use what the first computed, and one thread.
    """

    tags: ClassVar = frozenset({"block-cache"})
    conflicts: ClassVar = frozenset({"no-pipeline", "no-torch"})
    stateful: ClassVar = True

    def refuse(self, context: Context) -> str | None:
        if _steps(context) < 2:
            return "one step leaves nothing to use again: take 2 or more, or caching none"
        for axis, value in context.values.items():
            if "compiled" in value.tags:  # dynamo compiles anew whenever a counter or what is remembered changes
                return f"what it remembers changes with every step, and the {axis} would compile each anew: use eager"
        return None


class ApproximateReuse(StepReuse):
    """Takes results of an earlier step for those of this one: faster, and no longer the same image."""

    trajectory: ClassVar = "changed"

    def cautions(self, context: Context) -> tuple[Caution, ...]:
        steps = _steps(context)
        distilled = any("distilled" in value.tags for value in context.values.values())
        if steps >= FEW_STEPS and not distilled:
            return ()
        message = f"a cache over {steps} steps: the steps differ too much for one to stand in for the next"
        return (Caution(kind="few-steps-cache", message=message, advice="Few steps need no cache; use 20 or more."),)


def _steps(context: Context) -> int:
    return int(context.values["steps"].call_options()["steps"])
