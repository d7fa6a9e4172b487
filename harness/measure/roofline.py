"""How long the denoiser's arithmetic takes at the very least: operations counted, over the rate of large products."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from harness.core.outcome import Roofline
from harness.core.units import Absent
from harness.measure.clock import timed

GPU_SIDE, CPU_SIDE = 8192, 1024
"""Of the square matrices whose product is timed: large enough that arithmetic is all that counts."""
GPU_COPY, CPU_COPY = 2**30, 2**28
"""Bytes that are copied: more than caches hold."""
LEAST_RUNS, LEAST_S = 3, 0.1


class OperationCounter:
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
            self._calls.append(tree_map(_to_shape, (args, kwargs)))

        handle = part.register_forward_pre_hook(note, with_kwargs=True)
        try:
            yield
        finally:
            handle.remove()

    def roofline(self, device: str, dtype: str) -> Roofline | Absent:
        """Return the floor of the calls that were watched, at the device's rate in a number format; or why not."""
        if self._make is None:
            return Absent(absent="the denoiser has no configuration to count from")
        if not self._calls:
            return Absent(absent="no call was watched: measure.warmup is 0")
        try:
            flops, rate = self._flops(), product_rate(device, dtype)
        except Exception as error:  # a network that cannot run without data or is called unlike its own, a full device
            return Absent(absent=f"operations could not be counted: {error}")
        return Roofline(flops=flops, flops_per_s=rate, dtype=dtype, bytes_per_s=_copy_rate_or_why(device))

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
    return 2 * side**3 / _best_s(_product(side, device, getattr(torch, dtype)), device)


def copy_rate(device: str) -> float:
    """Return the bytes a second at which a device copies within its memory, read and written bytes both counted.

    The best of several large copies, as STREAM counts its Copy (McCalpin 1995). Raises what torch raises on a full
    device.
    """
    import torch

    size = GPU_COPY if device.startswith("cuda") else CPU_COPY
    source = torch.ones(size, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * size / _best_s(lambda: target.copy_(source), device)


def _copy_rate_or_why(device: str) -> float | Absent:
    try:
        return copy_rate(device)
    except RuntimeError as error:  # torch's out-of-memory errors are of this type
        return Absent(absent=f"no room for a large copy: {error}")


def _best_s(run: Callable[[], object], device: str) -> float:
    """Return the least seconds of several runs, after one that is not timed."""
    run()
    best_s, spent_s, done = float("inf"), 0.0, 0
    while done < LEAST_RUNS or spent_s < LEAST_S:
        with timed(device) as watch:
            run()
        best_s, spent_s, done = min(best_s, watch.seconds), spent_s + watch.seconds, done + 1
    return best_s


def _product(side: int, device: str, dtype: Any) -> Callable[[], object]:
    import torch

    generator = torch.Generator(device).manual_seed(0)
    if dtype.itemsize > 1:
        left, right = (torch.randn(side, side, device=device, generator=generator).to(dtype) for _ in range(2))
        return lambda: left @ right
    left, right = (torch.randn(side, side, device=device, generator=generator).to(dtype) for _ in range(2))
    scale = torch.ones((), device=device)
    return lambda: torch._scaled_mm(left, right.t(), scale, scale, out_dtype=torch.bfloat16)


def _to_shape(value: Any) -> Any:
    """Return a tensor without its data, and anything else as it is."""
    import torch

    return torch.empty_like(value, device="meta") if isinstance(value, torch.Tensor) else value
