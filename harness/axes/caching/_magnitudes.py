"""Measure how the size of what a transformer's blocks add changes from step to step. Imports torch."""

from itertools import pairwise
from typing import Any

import torch

from harness.core.errors import HarnessError
from harness.core.model import Call, TextToImage


def measure_ratios(model: TextToImage, call: Call) -> list[float]:
    """Return, per denoiser call, the mean over tokens of ‖rₜ‖ / ‖rₜ₋₁‖ with r = output − input of all blocks.

    From the first image of `call`: the paper (Ma et al. 2025, section 3.1) finds one prompt enough. The first is 1.
    """
    blocks = _blocks(model.denoiser)
    inputs: list[torch.Tensor] = []
    sizes: list[torch.Tensor] = []

    def enter(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        inputs[:] = [kwargs["hidden_states"] if "hidden_states" in kwargs else args[0]]

    def leave(module: Any, args: tuple[Any, ...], output: Any) -> None:
        states = output[1] if isinstance(output, tuple) else output
        sizes.append(torch.linalg.vector_norm((states - inputs[0]).float(), dim=-1))

    handles = [
        blocks[0].register_forward_pre_hook(enter, with_kwargs=True),
        blocks[-1].register_forward_hook(leave),
    ]
    model.generate(call.of([0]))
    for handle in handles:
        handle.remove()
    changes = [float((after / (before + 1e-8)).mean()) for before, after in pairwise(sizes)]
    return [1.0, *changes]


def _blocks(denoiser: Any) -> list[Any]:
    """The transformer blocks in the order of execution."""
    lists = [part for name, part in denoiser.named_children() if name.endswith("transformer_blocks")]
    blocks = [block for part in lists for block in part]
    if not blocks:
        raise HarnessError("the denoiser has no transformer blocks", "caching magcache")
    return blocks
