"""A few blocks of each part on the GPU at a time."""

from collections.abc import Iterator
from functools import partial
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from harness.axes.memory._offload import Fetch, Offload, list_networks
from harness.core.model import TextToImage


class GroupOffload(Offload):
    """Every denoiser call moves all weights; `stream` moves the next group while one computes."""

    summary: ClassVar[str] = "a few blocks of each part on the GPU at a time"
    resident: ClassVar = "block"
    examples: ClassVar = ("group-offload+stream", "group-offload+level=leaf")

    level: Literal["block", "leaf"] = "block"
    """A group: blocks of a network, or each of its layers."""
    blocks: Annotated[int, Field(ge=1, le=1000)] = 1
    """Blocks in a group."""
    stream: bool = False
    """Move weights in a second CUDA stream: faster; all weights stay in pinned CPU memory."""

    def offload(self, model: TextToImage) -> list[Fetch]:
        import torch
        from diffusers.hooks import HookRegistry

        model.pipeline.enable_group_offload(
            onload_device=torch.device(model.device),
            offload_type=f"{self.level}_level",
            num_blocks_per_group=self.blocks if self.level == "block" else None,
            use_stream=self.stream,
        )
        modules = (module for network in list_networks(model) for module in network.modules())
        hooked = [module for module in modules if hasattr(module, "_diffusers_hook")]
        registries = [HookRegistry.check_if_exists_or_initialize(module) for module in hooked]
        hooks = (registry.get_hook("group_offloading") for registry in registries)
        groups = {id(hook.group): hook.group for hook in hooks if hook is not None}
        return [
            Fetch(group, "onload_", partial(_yield_weights, group)) for group in groups.values()
        ]

    def recipe_offload(self) -> tuple[str, ...]:
        blocks = self.blocks if self.level == "block" else None
        return (
            "pipe.enable_group_offload(",
            "    onload_device=torch.device(DEVICE),",
            f'    offload_type="{self.level}_level",',
            f"    num_blocks_per_group={blocks},",
            f"    use_stream={self.stream},",
            ")",
        )


def _yield_weights(group: Any) -> Iterator[Any]:
    """Yield the weights of a group's modules and its other weights."""
    for module in group.modules:
        yield from module.parameters()
    yield from group.parameters
