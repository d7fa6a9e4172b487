"""Count how often the blocks of a denoiser that a cache may skip were executed, from the hooks that decide it."""

from collections.abc import Callable, Iterator
from typing import Any

from harness.core.effect import Effect
from harness.core.errors import NoEffect
from harness.core.model import TextToImage
from harness.core.outcome import Shown
from harness.core.trace import region
from harness.core.units import format_percent


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
