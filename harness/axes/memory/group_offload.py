"""A few blocks of each part on the GPU at a time."""

from collections.abc import Iterator
from functools import partial
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from harness.axes.memory._offload import Fetch, Offload
from harness.core.model import TextToImage


class GroupOffload(Offload):
    """Every weight comes once in every denoiser call; `stream` fetches the next group while one computes."""

    summary: ClassVar[str] = "a few blocks of each part on the GPU at a time"
    resident: ClassVar = "block"
    examples: ClassVar = ("group-offload+stream", "group-offload+level=leaf")

    level: Literal["block", "leaf"] = "block"
    """What is one group: blocks of a network, or each of its layers."""
    blocks: Annotated[int, Field(ge=1, le=1000)] = 1
    """Blocks in a group."""
    stream: bool = False
    """Fetch ahead in a stream of its own: faster, and all weights stay in pinned memory of the CPU."""

    def offload(self, model: TextToImage) -> list[Fetch]:
        import torch
        from diffusers.hooks import HookRegistry

        model.pipeline.enable_group_offload(
            onload_device=torch.device(model.device),
            offload_type=f"{self.level}_level",
            num_blocks_per_group=self.blocks if self.level == "block" else None,
            use_stream=self.stream,
        )
        parts = [part for part in model.pipeline.components.values() if isinstance(part, torch.nn.Module)]
        registries = [HookRegistry.check_if_exists_or_initialize(m) for p in parts for m in _hooked(p)]
        hooks = [hook for registry in registries if (hook := registry.get_hook("group_offloading")) is not None]
        groups = {id(hook.group): hook.group for hook in hooks}
        return [Fetch(group, "onload_", partial(_weights, group)) for group in groups.values()]


def _hooked(part: Any) -> Iterator[Any]:
    return (module for module in part.modules() if hasattr(module, "_diffusers_hook"))


def _weights(group: Any) -> Iterator[Any]:
    """Yield the weights of a group of modules, and those that lie beside any module of it."""
    for module in group.modules:
        yield from module.parameters()
    yield from group.parameters
