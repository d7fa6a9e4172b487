"""MagCache: blocks are skipped while the magnitude of their residual is steady (Ma et al. 2025)."""

from itertools import pairwise
from typing import Annotated, Any, ClassVar

from pydantic import Field

from harness.axes.caching._reuse import BlockCache
from harness.core.axis import Setup
from harness.core.errors import HarnessError
from harness.core.model import Call, TextToImage


class MagCache(BlockCache):
    """The magnitude ratios from step to step are measured on the cell's first prompt."""

    summary: ClassVar[str] = "skips all blocks while the magnitude of their residual is steady"
    fix: ClassVar = "Raise the threshold, or take more steps."
    examples: ClassVar = ("magcache+threshold=0.5",)

    threshold: Annotated[float, Field(gt=0, le=2)] = 0.06
    """Largest error, accumulated since the last computed step."""
    longest: Annotated[int, Field(ge=1)] = 3
    """Most steps skipped in a row."""
    first: Annotated[float, Field(ge=0, lt=1)] = 0.2
    """Share of the first steps that are always computed."""

    def configure(self, model: TextToImage, setup: Setup) -> Any:
        from diffusers import MagCacheConfig

        ratios = measure_ratios(model, setup.call)
        return MagCacheConfig(
            threshold=self.threshold,
            max_skip_steps=self.longest,
            retention_ratio=self.first,
            num_inference_steps=len(ratios),
            mag_ratios=ratios,
        )


def measure_ratios(model: TextToImage, call: Call) -> list[float]:
    """Return, per denoiser call, the token mean of ‖rₜ‖ / ‖rₜ₋₁‖; r = output − input of all blocks.

    Measured on the first image of `call`: one prompt is enough (Ma et al. 2025, section 3.1).
    """
    import torch

    children = model.denoiser.named_children()
    lists = [part for name, part in children if name.endswith("transformer_blocks")]
    blocks = [block for part in lists for block in part]
    if not blocks:
        raise HarnessError("the denoiser has no transformer blocks", "caching magcache")
    inputs: list[Any] = []
    sizes: list[Any] = []

    def enter(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        inputs[:] = [kwargs["hidden_states"] if "hidden_states" in kwargs else args[0]]

    def leave(module: Any, args: tuple[Any, ...], output: Any) -> None:
        states = output[1] if isinstance(output, tuple) else output
        sizes.append(torch.linalg.vector_norm((states - inputs[0]).float(), dim=-1))

    entered = blocks[0].register_forward_pre_hook(enter, with_kwargs=True)
    left = blocks[-1].register_forward_hook(leave)
    model.generate(call.of([0]))
    entered.remove()
    left.remove()
    changes = [float((after / (before + 1e-8)).mean()) for before, after in pairwise(sizes)]
    return [1.0, *changes]
