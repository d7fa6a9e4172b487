"""Bases of caching values: reuse between steps inside the denoiser, and stored first calls."""

import logging
from collections.abc import Callable, Iterator
from typing import Annotated, Any, ClassVar

from pydantic import Field

from harness.core.axis import AxisValue, Context, Setup
from harness.core.effect import Effect
from harness.core.errors import NoEffect
from harness.core.model import TextToImage
from harness.core.outcome import Caution, Figures, Shown
from harness.core.recipe import RecipeContext, RecipeLines
from harness.core.trace import region
from harness.core.units import format_percent

FEW_STEPS = 10
NO_STORE = "stored predictions need harness's proxy of the denoiser and its store on disk"
STORE_HINT = "write the same cell with caching none; the store returns the same images, sooner"


class StepReuse(AxisValue):
    """Keeps results between the denoiser calls of one image, in modules inside the denoiser.

    It needs the denoiser itself (an engine in its place has the tag as a conflict), a second step,
    and one thread.
    """

    tags: ClassVar = frozenset({"block-cache"})
    conflicts: ClassVar = frozenset({"no-pipeline", "no-torch"})
    stateful: ClassVar = True

    def refuse(self, context: Context) -> str | None:
        if context.steps < 2:
            return "one step has no results to reuse: use 2 or more steps, or caching none"
        for axis, value in context.values.items():
            if "compiled" in value.tags:  # dynamo recompiles when a counter or a kept value changes
                return (
                    f"the cached values change in every step, so the {axis} recompiles: use eager"
                )
        return None


class ApproximateReuse(StepReuse):
    """Uses results of an earlier step in place of this one's: faster, and another image."""

    trajectory: ClassVar = "changed"

    def cautions(self, context: Context) -> tuple[Caution, ...]:
        if context.steps >= FEW_STEPS and not context.has_tag("distilled"):
            return ()
        message = f"over {context.steps} steps, the steps differ too much for reuse"
        advice = "Leave the cache out, or use 20 or more steps."
        return (Caution(kind="few-steps-cache", message=message, advice=advice),)


class BlockCache(ApproximateReuse):
    """A configuration of diffusers' cache, which the pipeline resets after each image.

    It excludes a cascade: the pipeline of later stages neither resets the cache nor provides the
    timestep.
    """

    needs: ClassVar = "a transformer with diffusers' CacheMixin (FLUX)"
    conflicts: ClassVar = ApproximateReuse.conflicts | {"no-block-cache", "cascade"}
    unit: ClassVar[str] = "blocks"
    fix: ClassVar[str]
    """Advice if nothing was skipped."""

    def configure(self, model: TextToImage, setup: Setup) -> Any:
        """Return the configuration of diffusers' cache."""
        raise NotImplementedError

    def apply(self, model: TextToImage, setup: Setup) -> Effect:
        before = {id(hook) for hook in _list_hooks(model.denoiser)}
        config = self.configure(model, setup)
        log = logging.getLogger("diffusers.hooks.faster_cache")
        level = log.level
        log.setLevel(logging.ERROR)  # it warns of being experimental every time
        model.denoiser.enable_cache(config)
        log.setLevel(level)
        hooks = [hook for hook in _list_hooks(model.denoiser) if id(hook) not in before]
        return SkippedBlocks(self.where(), hooks, self.fix, self.unit)

    def recipe(self, context: RecipeContext) -> RecipeLines:
        kind, arguments = self.recipe_config(context)
        named = ", ".join(f"{name}={value}" for name, value in arguments.items())
        return RecipeLines(
            imports=(f"from diffusers import {kind}",),
            build=(f"{context.denoiser}.enable_cache({kind}({named}))",),
        )

    def recipe_config(self, context: RecipeContext) -> tuple[str, dict[str, str]]:
        """Return the class of diffusers' configuration and its arguments as source text."""
        raise NotImplementedError


def _list_hooks(denoiser: Any) -> Iterator[Any]:
    """Yield diffusers' hooks on the modules inside a denoiser, without those on the denoiser."""
    for module in denoiser.modules():
        registry = getattr(module, "_diffusers_hook", None)
        if registry is not None and module is not denoiser:
            yield from registry.hooks.values()


class SkippedBlocks(Effect):
    """Counts calls of hooked modules (`asked`), and those that reached the module (`executed`).

    diffusers' hooks replace a module's forward by `fn_ref.forward`, and call
    `fn_ref.original_forward` unless they skip, so both are counted without changing the cache.
    """

    def __init__(self, where: str, hooks: list[Any], fix: str, unit: str = "blocks") -> None:
        self.where, self.fix, self.unit = where, fix, unit
        self.asked = self.executed = 0
        if not hooks:
            raise NoEffect(f"no {unit} of this denoiser can be cached", where)
        for hook in hooks:
            reference = hook.fn_ref
            reference.forward = self._count(reference.forward, "asked")
            reference.original_forward = self._count(reference.original_forward, "executed")

    def start(self, model: TextToImage) -> None:
        self.asked = self.executed = 0

    def report(self, model: TextToImage, calls: int) -> Shown:
        skipped = self.asked - self.executed
        if not skipped:
            what = f"none of {self.asked} {self.unit} was skipped"
            raise NoEffect(what, self.where, self.fix)
        unit = self.unit.replace(" ", "_")
        figures: Figures = {
            f"{unit}_executed": self.executed / calls,
            f"{unit}_skipped": skipped / calls,
        }
        share = format_percent(skipped / self.asked, 0)
        return Shown(summary=f"{share} of the {self.unit} were skipped", figures=figures)

    def _count(self, forward: Callable[..., Any], name: str) -> Callable[..., Any]:
        def counted(*args: Any, **kwargs: Any) -> Any:
            setattr(self, name, getattr(self, name) + 1)
            with region(f"{self.unit} {name}"):  # skipped: "asked" without "executed" inside
                return forward(*args, **kwargs)

        return counted


class StoredStart(AxisValue):
    """A store answers the first `calls` denoiser calls of an image."""

    tags: ClassVar = frozenset({"stored-latents", "reads-weights"})
    conflicts: ClassVar = frozenset({"no-pipeline", "no-torch"})

    calls: Annotated[int, Field(ge=1, le=1000)] = 2
    """Number of first denoiser calls taken from the store."""

    def refuse(self, context: Context) -> str | None:
        if self.calls < context.steps:
            return None
        return f"the cell has {context.steps} steps, not more than calls={self.calls}: lower calls"


def count_calls(computed: int, replayed: int, calls: int) -> Figures:
    """Return the computed and the stored denoiser calls, per whole-pipeline call."""
    return {"denoiser_calls": computed / calls, "denoiser_calls_skipped": replayed / calls}
