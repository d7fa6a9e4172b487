"""Arithmetic and memory bounds of the denoiser: counted operations, measured rates."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from harness.core.outcome import Roofline
from harness.core.units import Absent
from harness.measure.clock import time_block

GPU_SIDE, CPU_SIDE = 8192, 1024
"""Side of the timed square matrices: large enough that arithmetic dominates."""
GPU_COPY, CPU_COPY = 2**30, 2**28
"""Copied bytes: more than the caches' size."""
LEAST_RUNS, LEAST_S = 3, 0.1
GPU_RUNS = 10
"""Runs that are timed together on a GPU, so that their launch adds little."""


class OperationCounter:
    """Counts the operations of a denoiser's calls, as if the loaded network executed them.

    An axis value that skips operations may be faster than this bound.
    """

    def __init__(self, denoiser: Any) -> None:
        self._make: Callable[[], Any] | None = None
        if hasattr(denoiser, "from_config") and hasattr(denoiser, "config"):
            self._make = partial(_without_data, type(denoiser), denoiser.config, denoiser.dtype)
        self._calls: list[tuple[Any, Any]] = []

    @contextmanager
    def watching(self, part: Any) -> Iterator[None]:
        """Record the shapes of a part's arguments inside the block; a later block replaces them."""
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
        """Return the bounds of the watched calls on a device, in a number format."""
        if self._make is None:
            return Absent(absent="the denoiser has no configuration to count from")
        if not self._calls:
            return Absent(absent="no call was watched: measure.warmup is 0")
        try:
            flops, rate = self._flops(), measure_product_rate(device, dtype)
        except Exception as error:  # a network that needs data, other arguments, a full device
            return Absent(absent=f"operations could not be counted: {error}")
        copied = _copy_rate_or_why(device)
        return Roofline(flops=flops, flops_per_s=rate, dtype=dtype, bytes_per_s=copied)

    def _flops(self) -> int:
        assert self._make is not None
        network = self._make()
        counted: dict[str, int] = {}
        total = 0
        for args, kwargs in self._calls:
            key = repr((args, kwargs))  # of a meta tensor, its size and format
            if key not in counted:
                counted[key] = count_flops(partial(network, *args, **kwargs))
            total += counted[key]
        return total


def _without_data(kind: Any, config: Any, dtype: Any) -> Any:
    """Return a network on the meta device: it takes no memory, and calls compute nothing."""
    import torch

    with torch.device("meta"):
        network = kind.from_config(config)
    torch.nn.Module.to(network, dtype)  # diffusers' own `to` warns about layers that stay in FP32
    return network.eval()


def count_flops(call: Callable[[], object]) -> int:
    """Return the operations of matrix products, convolutions and attention, by torch's count.

    A multiply-add counts as two. Elementwise operations and fused attention kernels of a CPU are
    not counted; the meta device has no such kernels.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        call()
    return counter.get_total_flops()


def measure_product_rate(device: str, dtype: str) -> float:
    """Return a device's FLOP/s in a product of large square matrices, the best of several."""
    import torch

    side = GPU_SIDE if device.startswith("cuda") else CPU_SIDE
    return 2 * side**3 / _best_s(_product(side, device, getattr(torch, dtype)), device)


def measure_copy_rate(device: str) -> float:
    """Return a device's memory bandwidth in bytes/s, the best of several large copies.

    Read and written bytes both count, as in STREAM's Copy (McCalpin 1995). Raises torch's errors on
    a full device.
    """
    import torch

    size = GPU_COPY if device.startswith("cuda") else CPU_COPY
    source = torch.ones(size, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * size / _best_s(lambda: target.copy_(source), device)


def _copy_rate_or_why(device: str) -> float | Absent:
    try:
        return measure_copy_rate(device)
    except RuntimeError as error:  # torch's out-of-memory errors are of this type
        return Absent(absent=f"not enough memory for a large copy: {error}")


def _best_s(run: Callable[[], object], device: str) -> float:
    """Return the shortest of several runs in seconds, after an untimed one."""
    run()
    together = GPU_RUNS if device.startswith("cuda") else 1
    best_s, spent_s, done = float("inf"), 0.0, 0
    while done < LEAST_RUNS or spent_s < LEAST_S:
        with time_block(device) as watch:
            for _ in range(together):
                run()
        block_s = watch.seconds if isinstance(watch.device_s, Absent) else watch.device_s
        best_s, spent_s, done = min(best_s, block_s / together), spent_s + block_s, done + 1
    return best_s


def _product(side: int, device: str, dtype: Any) -> Callable[[], object]:
    import torch

    generator = torch.Generator(device).manual_seed(0)
    options = {"device": device, "generator": generator}
    left, right = (torch.randn(side, side, **options).to(dtype) for _ in range(2))
    if dtype.itemsize > 1:
        return lambda: left @ right
    scale = torch.ones((), device=device)
    # The fast accumulator is what torchao's layers use.
    return lambda: torch._scaled_mm(
        left, right.t(), scale, scale, out_dtype=torch.bfloat16, use_fast_accum=True
    )


def _to_shape(value: Any) -> Any:
    """Return a tensor without its data; other values unchanged."""
    import torch

    return torch.empty_like(value, device="meta") if isinstance(value, torch.Tensor) else value
