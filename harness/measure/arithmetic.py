"""How long the denoiser's arithmetic takes at the very least: operations counted, over the rate of large products."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from harness.core.outcome import Floor
from harness.core.units import Absent
from harness.measure.clock import synchronize

GPU_SIDE, CPU_SIDE = 8192, 1024
"""Of the square matrices whose product is timed: large enough that arithmetic is all that counts."""
LEAST_PRODUCTS, LEAST_S = 3, 0.1


class Arithmetic:
    """Watches the calls of a denoiser, whatever was made of it, and counts what they cost the network it was loaded as.

    So the count is of the whole arithmetic: a value that skips some of it may come below its floor.
    """

    def __init__(self, denoiser: Any) -> None:
        self._make: Callable[[], Any] | None = None
        if hasattr(denoiser, "from_config") and hasattr(denoiser, "config"):
            self._make = partial(_without_data, type(denoiser), denoiser.config, denoiser.dtype)
        self._calls: list[tuple[Any, Any]] = []

    @contextmanager
    def watching(self, part: Any) -> Iterator[None]:
        """Note the shapes of what the part is called with inside the block; the last block counts."""
        if self._make is None:
            yield
            return
        from torch.utils._pytree import tree_map

        self._calls.clear()

        def note(_: Any, args: Any, kwargs: Any) -> None:
            self._calls.append(tree_map(_shape_of, (args, kwargs)))

        handle = part.register_forward_pre_hook(note, with_kwargs=True)
        try:
            yield
        finally:
            handle.remove()

    def floor(self, device: str, dtype: str) -> Floor | Absent:
        """Return the floor of the calls that were watched, at the device's rate in a number format; or why not."""
        if self._make is None:
            return Absent(absent="the denoiser has no configuration to count from")
        if not self._calls:
            return Absent(absent="no call was watched: measure.warmup is 0")
        try:
            return Floor(flops=self._flops(), flops_per_s=product_rate(device, dtype), dtype=dtype)
        except Exception as error:  # a network that cannot run without data or is called unlike its own, a full device
            return Absent(absent=f"operations could not be counted: {error}")

    def _flops(self) -> int:
        assert self._make is not None
        network = self._make()
        counted: dict[str, int] = {}
        total = 0
        for args, kwargs in self._calls:
            key = repr((args, kwargs))  # tensors without data are told apart by their size and format
            if key not in counted:
                counted[key] = count_flops(partial(network, *args, **kwargs))
            total += counted[key]
        return total


def _without_data(kind: Any, config: Any, dtype: Any) -> Any:
    """Return a network on the meta device in a number format: it takes no memory, and calls compute nothing."""
    import torch

    with torch.device("meta"):
        network = kind.from_config(config)
    return torch.nn.Module.to(network, dtype).eval()  # diffusers' own `to` warns of layers that stay in FP32


def count_flops(call: Callable[[], object]) -> int:
    """Return the floating-point operations of matrix products, convolutions and attention in a call: torch's count.

    A multiplication and an addition are two; what is done number by number is not counted, nor is attention by fused
    kernels of a CPU: on the meta device there are none.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        call()
    return counter.get_total_flops()


def product_rate(device: str, dtype: str) -> float:
    """Return the operations a second at which a device multiplies two large square matrices: the best of several."""
    import torch

    side = GPU_SIDE if device.startswith("cuda") else CPU_SIDE
    multiply = _product(side, device, getattr(torch, dtype))
    multiply()
    best_s, spent_s, done = float("inf"), 0.0, 0
    while done < LEAST_PRODUCTS or spent_s < LEAST_S:
        synchronize(device)
        begin = time.perf_counter()
        multiply()
        synchronize(device)
        took_s = time.perf_counter() - begin
        best_s, spent_s, done = min(best_s, took_s), spent_s + took_s, done + 1
    return 2 * side**3 / best_s


def _product(side: int, device: str, dtype: Any) -> Callable[[], object]:
    import torch

    generator = torch.Generator(device).manual_seed(0)
    if dtype.itemsize > 1:
        left, right = (torch.randn(side, side, device=device, generator=generator).to(dtype) for _ in range(2))
        return lambda: left @ right
    left, right = (torch.randn(side, side, device=device, generator=generator).to(dtype) for _ in range(2))
    scale = torch.ones((), device=device)
    return lambda: torch._scaled_mm(left, right.t(), scale, scale, out_dtype=torch.bfloat16)


def _shape_of(value: Any) -> Any:
    """Return a tensor without its data, and anything else as it is."""
    import torch

    return torch.empty_like(value, device="meta") if isinstance(value, torch.Tensor) else value
