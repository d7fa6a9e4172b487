"""Networks with random weights, made where they are used and in the numbers they are used in: nothing is copied."""

import math
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, NamedTuple


class Where(NamedTuple):
    """The device and the torch dtype that weights are made in, and a seed of their own."""

    device: str
    dtype: Any
    seed: int


def random_network(make: Callable[[], Any], where: Where) -> Any:
    """Return the network that `make` builds, its weights drawn anew on the device, ready for inference.

    Matrices and kernels are normal with variance 1 / inputs, which keeps the size of what flows through; biases are 0
    and scales of norms 1. So activations stay finite in FP16 too, and no weight is ever held in another place or
    format: the largest models are made in seconds, within the memory that they need anyway.
    """
    import torch

    with torch.random.fork_rng(devices=[]), _without_weights():
        torch.manual_seed(where.seed)  # small tables are drawn while the network is built
        network = make()
    generator = torch.Generator(where.device).manual_seed(where.seed)
    made: dict[int, Any] = {}  # a weight that two layers share is made once
    for owner, name, weight, dtype in _weights(network, where.dtype):
        if id(weight) not in made:
            tensor = _drawn(weight, name, dtype, generator) if weight.is_meta else weight.to(where.device, dtype)
            made[id(weight)] = torch.nn.Parameter(tensor, requires_grad=False)
        owner._parameters[name] = made[id(weight)]
    for module in network.modules():
        for name, buffer in module.named_buffers(recurse=False):
            dtype = where.dtype if buffer.is_floating_point() and name in _kept_buffers(network, module) else None
            module._buffers[name] = buffer.to(where.device, dtype)
    return network.eval()


def _weights(network: Any, dtype: Any) -> Iterator[tuple[Any, str, Any, Any]]:
    """Yield each weight with the layer and name it stands under, and the format it is loaded in.

    Some layers stay in FP32 where the rest is FP16, such as T5's last matrix of each block, which overflows.
    """
    import torch

    kept = [*(getattr(network, "_keep_in_fp32_modules_strict", None) or ())]
    if dtype == torch.float16:
        kept += getattr(network, "_keep_in_fp32_modules", None) or ()
    for path, module in network.named_modules():
        steps = set(path.split("."))
        for name, weight in module.named_parameters(recurse=False, remove_duplicate=False):
            yield module, name, weight, torch.float32 if steps & set(kept) else dtype


def _kept_buffers(network: Any, module: Any) -> set[str]:
    """Return the names of a module's buffers that are stored with a model and so are loaded in its format."""
    return set(module._buffers) - module._non_persistent_buffers_set


def _drawn(weight: Any, name: str, dtype: Any, generator: Any) -> Any:
    import torch

    tensor = torch.empty(weight.shape, dtype=dtype, device=generator.device)
    if weight.ndim < 2:
        return tensor.fill_(0.0 if "bias" in name else 1.0)
    return tensor.normal_(0.0, 1 / math.sqrt(weight[0].numel()), generator=generator)


def _without_weights() -> Any:
    """Return a context in which `torch.empty`, with which layers get their weights, takes no memory.

    What is computed, such as tables of positions, is real: it is no weight, and nothing would fill it later.
    """
    return _mode()()


@cache
def _mode() -> Any:
    import torch
    from torch.overrides import TorchFunctionMode

    class EmptyIsMeta(TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            given = kwargs or {}
            if func is torch.empty and given.get("device") is None:
                given = {**given, "device": "meta"}
            return func(*args, **given)

    return EmptyIsMeta
