"""Bases of caching values: reuse from step to step inside the denoiser, and starts from stored predictions."""

import logging
from collections.abc import Callable, Iterator
from typing import Annotated, Any, ClassVar

from pydantic import Field

from harness.core.axis import AxisValue, Context, Setup
from harness.core.effect import Effect
from harness.core.errors import NoEffect
from harness.core.model import TextToImage
from harness.core.outcome import Caution, Shown
from harness.core.region import region
from harness.core.units import format_percent

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


class BlockCounter(Effect):
    """Counts calls of hooked modules (`asked`), and those that reached the module itself (`executed`).

    diffusers' hooks put `fn_ref.forward` in the place of a module's forward and call `fn_ref.original_forward`
    where they do not skip, so both are counted without a change to the cache.
    """

    def __init__(self, where: str, hooks: list[Any], fix: str, unit: str = "blocks") -> None:
        self.where, self.fix, self.unit = where, fix, unit
        self.asked = self.executed = 0
        if not hooks:
            raise NoEffect(f"no {unit} of this denoiser can be cached", where)
        for hook in hooks:
            reference = hook.fn_ref
            reference.forward = self._counting(reference.forward, "asked")
            reference.original_forward = self._counting(reference.original_forward, "executed")

    def start(self, model: TextToImage) -> None:
        self.asked = self.executed = 0

    def report(self, model: TextToImage, calls: int) -> Shown:
        skipped = self.asked - self.executed
        if not skipped:
            raise NoEffect(f"none of {self.asked} {self.unit} was skipped", self.where, self.fix)
        unit = self.unit.replace(" ", "_")
        figures: dict[str, float | int | str] = {
            f"{unit}_executed": self.executed / calls,
            f"{unit}_skipped": skipped / calls,
        }
        share = format_percent(skipped / self.asked, 0)
        return Shown(summary=f"{share} of the {self.unit} were skipped", figures=figures)

    def _counting(self, forward: Callable[..., Any], name: str) -> Callable[..., Any]:
        def counted(*args: Any, **kwargs: Any) -> Any:
            setattr(self, name, getattr(self, name) + 1)
            with region(f"{self.unit} {name}"):  # one that was asked, with none that was executed inside: skipped
                return forward(*args, **kwargs)

        return counted


def hooks_inside(denoiser: Any) -> Iterator[Any]:
    """Yield diffusers' hooks on the modules inside a denoiser, not those on the denoiser as a whole."""
    for module in denoiser.modules():
        registry = getattr(module, "_diffusers_hook", None)
        if registry is not None and module is not denoiser:
            yield from registry.hooks.values()


class BlockCache(ApproximateReuse):
    """A configuration of diffusers' cache; the pipeline forgets what was remembered when an image is done.

    Not in a cascade: the pipeline of its later stages sets up no such memory, nor is it the one asked for the timestep.
    """

    needs: ClassVar = "a transformer with diffusers' CacheMixin (FLUX)"
    conflicts: ClassVar = ApproximateReuse.conflicts | {"no-block-cache", "cascade"}
    name: ClassVar[str]
    unit: ClassVar[str] = "blocks"
    fix: ClassVar[str]
    """What to try when nothing was skipped."""

    def configure(self, model: TextToImage, setup: Setup) -> Any:
        """Return the configuration of diffusers' cache."""
        raise NotImplementedError

    def apply(self, model: TextToImage, setup: Setup) -> Effect:
        before = {id(hook) for hook in hooks_inside(model.denoiser)}
        config = self.configure(model, setup)
        log = logging.getLogger("diffusers.hooks.faster_cache")
        level = log.level
        log.setLevel(logging.ERROR)  # it warns of being experimental every time
        model.denoiser.enable_cache(config)
        log.setLevel(level)
        hooks = [hook for hook in hooks_inside(model.denoiser) if id(hook) not in before]
        return BlockCounter(f"caching {self.name}", hooks, self.fix, self.unit)


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
