"""Switch a denoiser's attention to a kernel and count which ran. Imports torch and diffusers."""

from typing import Any

from diffusers.hooks import HookRegistry, ModelHook
from diffusers.models.attention import AttentionModuleMixin
from diffusers.models.attention_dispatch import (
    AttentionBackendName,
    attention_backend,
    dispatch_attention_fn,
)
from diffusers.models.attention_processor import Attention
from torch.nn.functional import scaled_dot_product_attention
from torch.overrides import TorchFunctionMode
from torch.profiler import ProfilerActivity, profile

from harness.core.errors import UsageError
from harness.core.model import Call, TextToImage

HOOK = "harness_attention"
KERNELS = (
    "attention_math",
    "flash_attention",
    "flash_attention_for_cpu",
    "efficient_attention",
    "cudnn_attention",
)
"""Torch's kernels: aten::_scaled_dot_product_… in a trace."""


class RedirectMode(TorchFunctionMode):
    """Sends torch's attention function to a kernel of diffusers' dispatcher.

    Torch has (batch, heads, tokens, channels), the dispatcher (batch, tokens, heads, channels).
    """

    def __init__(self, backend: AttentionBackendName) -> None:
        super().__init__()
        self.backend = backend

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is not scaled_dot_product_attention:
            return func(*args, **(kwargs or {}))
        names = ("query", "key", "value", "attn_mask", "dropout_p", "is_causal")
        given = dict(zip(names, args, strict=False)) | (kwargs or {})
        turned = {name: given.pop(name).transpose(1, 2) for name in ("query", "key", "value")}
        return dispatch_attention_fn(**turned, **given, backend=self.backend).transpose(1, 2)


class RedirectHook(ModelHook):
    """Redirects attention inside one layer, in families that do not use the dispatcher."""

    def __init__(self, backend: AttentionBackendName) -> None:
        super().__init__()
        self.backend = backend

    def new_forward(self, module: Any, *args: Any, **kwargs: Any) -> Any:
        with RedirectMode(self.backend):
            return self.fn_ref.original_forward(*args, **kwargs)


def switch_kernel(denoiser: Any, name: str) -> int:
    """Let every attention layer of a denoiser use a kernel; return the number of layers."""
    with attention_backend("native"):  # restores the process's default, which the call changes
        denoiser.set_attention_backend(name)
    kinds = Attention | AttentionModuleMixin
    layers = [layer for layer in denoiser.modules() if isinstance(layer, kinds)]
    for layer in layers:
        if not hasattr(layer.processor, "_attention_backend"):
            registry = HookRegistry.check_if_exists_or_initialize(layer)
            registry.register_hook(RedirectHook(AttentionBackendName(name)), HOOK)
    return len(layers)


def count_kernels(model: TextToImage, call: Call) -> dict[str, int]:
    """Return how often each torch kernel ran in the first denoiser call of an image.

    Raises UsageError if the chosen kernel refuses these tensors.
    """
    tracer = profile(activities=[ProfilerActivity.CPU])

    def begin(*_: Any) -> None:
        if not tracer.profiler:
            tracer.start()

    def end(*_: Any) -> None:
        handles[1].remove()
        tracer.stop()

    denoiser = model.denoiser
    handles = [denoiser.register_forward_pre_hook(begin), denoiser.register_forward_hook(end)]
    try:
        model.generate(call.of([0]).model_copy(update={"steps": 1}))
    except (RuntimeError, ValueError, AssertionError) as error:
        what = f"this kernel cannot compute the denoiser's attention: {error}"
        raise UsageError(what, "attention", "Use attention sdpa for this model.") from error
    finally:
        for handle in handles:
            handle.remove()
    counts = {event.key: event.count for event in tracer.key_averages()}
    names = {f"aten::_scaled_dot_product_{kernel}": kernel for kernel in KERNELS}
    return {names[key]: count for key, count in counts.items() if key in names}
