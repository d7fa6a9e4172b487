"""Hooks inside a denoiser: resting inner levels, text projections, magnitudes of blocks. Imports diffusers."""

from itertools import pairwise
from typing import Any

import torch
from diffusers.hooks import HookRegistry, ModelHook
from diffusers.models.attention_processor import Attention

from harness.core.errors import HarnessError
from harness.core.model import Arguments, Call, TextToImage

DEEP_CACHE = "harness_deepcache"


class Beat:
    """Counts the denoiser calls of a pass; one in `interval` is whole, the first among them."""

    def __init__(self, interval: int) -> None:
        self.interval, self.calls = interval, 0

    def restart(self, model: TextToImage, call: Call, arguments: Arguments) -> Arguments:
        """Begin a new image: what is remembered belongs to the one before."""
        self.calls = 0
        return arguments

    @property
    def whole(self) -> bool:
        return (self.calls - 1) % self.interval == 0


class Inner(ModelHook):
    """A block of the inner levels: in calls that are not whole it passes on what it is given, which nobody reads."""

    def __init__(self, beat: Beat) -> None:
        super().__init__()
        self.beat = beat

    def new_forward(self, module: Any, *args: Any, **kwargs: Any) -> Any:
        if self.beat.whole:
            return self.remember(self.fn_ref.original_forward(*args, **kwargs))
        return self.recall(kwargs["hidden_states"] if "hidden_states" in kwargs else args[0])

    def remember(self, output: Any) -> Any:
        return output

    def recall(self, states: Any) -> Any:
        return states


class Down(Inner):
    """Fills the places of its skip connections too: the UNet counts them off from the end."""

    def remember(self, output: Any) -> Any:
        self.skips = len(output[1])
        return output

    def recall(self, states: Any) -> Any:
        return states, (states,) * self.skips


class FirstDown(Down):
    """The first inner block that is called: the beat goes by it."""

    def new_forward(self, module: Any, *args: Any, **kwargs: Any) -> Any:
        self.beat.calls += 1
        return super().new_forward(module, *args, **kwargs)


class LastUp(Inner):
    """The last one: its output of the last whole call is what the outer levels work on."""

    def remember(self, output: Any) -> Any:
        self.output = output
        return output

    def recall(self, states: Any) -> Any:
        return self.output


def hook_levels(model: TextToImage, interval: int, depth: int) -> list[Any]:
    """Hook all blocks of a UNet but the outer `depth` down and up blocks; return the hooks, in the order of calls."""
    unet, beat = model.denoiser, Beat(interval)
    model.hooks.append(beat.restart)
    first, *down = unet.down_blocks[depth:]
    *up, last = unet.up_blocks[:-depth]
    kinds = [(first, FirstDown), *((block, Down) for block in down)]
    kinds += [(unet.mid_block, Inner)] if unet.mid_block is not None else []
    kinds += [*((block, Inner) for block in up), (last, LastUp)]
    hooks = []
    for block, kind in kinds:
        hooks.append(kind(beat))
        HookRegistry.check_if_exists_or_initialize(block).register_hook(hooks[-1], DEEP_CACHE)
    return hooks


TEXT_KV = "harness_text_kv"


class Image:
    """Numbers the passes of the pipeline, so that a projection knows whether what it holds is of this one."""

    def __init__(self) -> None:
        self.number = 0

    def begin(self, model: TextToImage, call: Call, arguments: Arguments) -> Arguments:
        self.number += 1
        return arguments


class Once(ModelHook):
    """Answers with the first output of this image; a batch that is split or joined midway is computed anew."""

    def __init__(self, image: Image) -> None:
        super().__init__()
        self.image = image
        self.held: Any = None
        self.output: Any = None

    def new_forward(self, module: Any, states: Any, *args: Any, **kwargs: Any) -> Any:
        wanted = (self.image.number, states.shape, states.dtype)
        if wanted != self.held:
            self.output = self.fn_ref.original_forward(states, *args, **kwargs)
            self.held = wanted
        return self.output


def hook_projections(model: TextToImage) -> list[Any]:
    """Hook the key and value projections of every cross-attention layer; return the hooks."""
    image = Image()
    model.hooks.append(image.begin)
    hooks = []
    for layer in model.denoiser.modules():
        if isinstance(layer, Attention) and layer.is_cross_attention:
            for projection in (layer.to_k, layer.to_v):
                hooks.append(Once(image))
                HookRegistry.check_if_exists_or_initialize(projection).register_hook(hooks[-1], TEXT_KV)
    return hooks


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
