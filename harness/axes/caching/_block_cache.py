"""Caches of transformer blocks that diffusers offers through `enable_cache`."""

import logging
from typing import Any, ClassVar

from harness.axes.caching._blocks import BlockCounter, hooks_inside
from harness.axes.caching._reuse import ApproximateReuse
from harness.core.axis import Setup
from harness.core.effect import Effect
from harness.core.model import TextToImage


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
