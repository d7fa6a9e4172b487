"""Hooks inside a denoiser: skipped inner levels, reused text projections. Imports diffusers."""

from typing import Any

from diffusers.hooks import HookRegistry, ModelHook
from diffusers.models.attention_processor import Attention

from harness.core.model import Arguments, Call, TextToImage

DEEP_CACHE = "harness_deepcache"
TEXT_KV = "harness_text_kv"


def _register(module: Any, hook: ModelHook, name: str) -> ModelHook:
    HookRegistry.check_if_exists_or_initialize(module).register_hook(hook, name)
    return hook


class CallCount:
    """Counts an image's denoiser calls; one in `interval` is whole, starting with the first."""

    def __init__(self, interval: int) -> None:
        self.interval, self.calls = interval, 0

    def restart(self, model: TextToImage, call: Call, arguments: Arguments) -> Arguments:
        """Start a new image: the kept output belongs to the previous one."""
        self.calls = 0
        return arguments

    @property
    def is_whole(self) -> bool:
        return (self.calls - 1) % self.interval == 0


class InnerBlock(ModelHook):
    """An inner block: in calls that are not whole it returns its input, which is unused."""

    def __init__(self, count: CallCount) -> None:
        super().__init__()
        self.count = count

    def new_forward(self, module: Any, *args: Any, **kwargs: Any) -> Any:
        if self.count.is_whole:
            return self.remember(self.fn_ref.original_forward(*args, **kwargs))
        return self.recall(kwargs["hidden_states"] if "hidden_states" in kwargs else args[0])

    def remember(self, output: Any) -> Any:
        return output

    def recall(self, states: Any) -> Any:
        return states


class DownBlock(InnerBlock):
    """Also returns its skip connections, which the UNet counts from the end."""

    def remember(self, output: Any) -> Any:
        self.skips = len(output[1])
        return output

    def recall(self, states: Any) -> Any:
        return states, (states,) * self.skips


class FirstDownBlock(DownBlock):
    """The inner block that is called first: it counts the calls."""

    def new_forward(self, module: Any, *args: Any, **kwargs: Any) -> Any:
        self.count.calls += 1
        return super().new_forward(module, *args, **kwargs)


class LastUpBlock(InnerBlock):
    """The inner block that is called last: outer levels reuse its output of the last whole call."""

    def remember(self, output: Any) -> Any:
        self.output = output
        return output

    def recall(self, states: Any) -> Any:
        return self.output


def hook_levels(unet: Any, interval: int, depth: int) -> tuple[CallCount, list[Any]]:
    """Hook a UNet's blocks inside the outer `depth` levels; return the hooks in call order.

    `restart` of the count must be called before each image.
    """
    count = CallCount(interval)
    first, *down = unet.down_blocks[depth:]
    *up, last = unet.up_blocks[:-depth]
    middle = [unet.mid_block] if unet.mid_block is not None else []
    kinds = [(first, FirstDownBlock), *((block, DownBlock) for block in down)]
    kinds += [*((block, InnerBlock) for block in (*middle, *up)), (last, LastUpBlock)]
    return count, [_register(block, kind(count), DEEP_CACHE) for block, kind in kinds]


class ImageCounter:
    """Numbers the pipeline's calls, so that a projection knows whether its output is current."""

    def __init__(self) -> None:
        self.number = 0

    def begin(self, model: TextToImage, call: Call, arguments: Arguments) -> Arguments:
        self.number += 1
        return arguments


class OncePerImage(ModelHook):
    """Returns the first output of this image; a batch that is split or joined is recomputed."""

    def __init__(self, image: ImageCounter) -> None:
        super().__init__()
        self.image = image
        self.key: Any = None
        self.output: Any = None

    def new_forward(self, module: Any, states: Any, *args: Any, **kwargs: Any) -> Any:
        key = (self.image.number, states.shape, states.dtype)
        if key != self.key:
            self.output = self.fn_ref.original_forward(states, *args, **kwargs)
            self.key = key
        return self.output


def hook_projections(denoiser: Any) -> tuple[ImageCounter, list[Any]]:
    """Hook the key and value projections of every cross-attention layer; return the hooks.

    `begin` of the counter must be called before each image.
    """
    image = ImageCounter()
    layers = [layer for layer in denoiser.modules() if isinstance(layer, Attention)]
    crossed = [layer for layer in layers if layer.is_cross_attention]
    projections = [projection for layer in crossed for projection in (layer.to_k, layer.to_v)]
    hooks = [_register(each, OncePerImage(image), TEXT_KV) for each in projections]
    return image, hooks
