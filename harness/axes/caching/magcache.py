"""MagCache: blocks are skipped while the magnitude of their residual is steady (Ma et al. 2025)."""

from collections.abc import Callable
from itertools import pairwise
from typing import Annotated, Any, ClassVar

from pydantic import Field

from harness.axes.caching._reuse import BlockCache
from harness.core.axis import Setup
from harness.core.errors import HarnessError
from harness.core.model import TextToImage
from harness.core.recipe import RecipeContext, RecipeLines, read_source


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

        if not list_blocks(model.denoiser):
            raise HarnessError("the denoiser has no transformer blocks", "caching magcache")
        first = setup.call.of([0])
        ratios = measure_ratios(model.denoiser, lambda: model.generate(first))
        return MagCacheConfig(
            threshold=self.threshold,
            max_skip_steps=self.longest,
            retention_ratio=self.first,
            num_inference_steps=len(ratios),
            mag_ratios=ratios,
        )

    def recipe(self, context: RecipeContext) -> RecipeLines:
        (prompt_id, seed, text), *_ = context.prompts
        lines = super().recipe(context)
        first = f"generate(pipe, [{text!r}], [run_seed({prompt_id!r}, {seed})])"
        measure = f"ratios = measure_ratios({context.denoiser}, lambda: {first})"
        return lines.model_copy(
            update={
                "imports": (*lines.imports, "from itertools import pairwise"),
                "definitions": read_source(__name__, "list_blocks", "measure_ratios"),
                "build": (measure, *lines.build),
            }
        )

    def recipe_config(self, context: RecipeContext) -> tuple[str, dict[str, str]]:
        return "MagCacheConfig", {
            "threshold": repr(self.threshold),
            "max_skip_steps": str(self.longest),
            "retention_ratio": repr(self.first),
            "num_inference_steps": "len(ratios)",
            "mag_ratios": "ratios",
        }


def list_blocks(denoiser: Any) -> list[Any]:
    """Return a denoiser's transformer blocks in order."""
    children = denoiser.named_children()
    lists = [part for name, part in children if name.endswith("transformer_blocks")]
    return [block for part in lists for block in part]


def measure_ratios(denoiser: Any, generate_one: Callable[[], Any]) -> list[float]:
    """Return, per denoiser call, the token mean of ‖rₜ‖ / ‖rₜ₋₁‖; r = output − input of all blocks.

    Measured on one image: one prompt is enough (Ma et al. 2025, section 3.1).
    """
    import torch

    blocks = list_blocks(denoiser)
    inputs: list[Any] = []
    sizes: list[Any] = []

    def enter(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        inputs[:] = [kwargs["hidden_states"] if "hidden_states" in kwargs else args[0]]

    def leave(module: Any, args: tuple[Any, ...], output: Any) -> None:
        states = output[1] if isinstance(output, tuple) else output
        sizes.append(torch.linalg.vector_norm((states - inputs[0]).float(), dim=-1))

    entered = blocks[0].register_forward_pre_hook(enter, with_kwargs=True)
    left = blocks[-1].register_forward_hook(leave)
    generate_one()
    entered.remove()
    left.remove()
    changes = [float((after / (before + 1e-8)).mean()) for before, after in pairwise(sizes)]
    return [1.0, *changes]
