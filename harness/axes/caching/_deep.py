"""Hooks that let the inner levels of a UNet rest between whole passes. Imports diffusers."""

from typing import Any

from diffusers.hooks import HookRegistry, ModelHook

from harness.core.model import Arguments, Call, TextToImage

NAME = "harness_deepcache"


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
        HookRegistry.check_if_exists_or_initialize(block).register_hook(hooks[-1], NAME)
    return hooks
