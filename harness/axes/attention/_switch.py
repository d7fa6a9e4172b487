"""Switch a denoiser's attention to another kernel, and see which one runs. Imports torch and diffusers."""

from typing import Any

from diffusers.hooks import HookRegistry, ModelHook
from diffusers.models.attention import AttentionModuleMixin
from diffusers.models.attention_dispatch import AttentionBackendName, attention_backend, dispatch_attention_fn
from diffusers.models.attention_processor import Attention
from torch.nn.functional import scaled_dot_product_attention
from torch.overrides import TorchFunctionMode
from torch.profiler import ProfilerActivity, profile

from harness.core.errors import UsageError
from harness.core.model import Call, TextToImage

NAME = "harness_attention"

KERNELS = ("attention_math", "flash_attention", "flash_attention_for_cpu", "efficient_attention", "cudnn_attention")
"""torch's kernels: aten::_scaled_dot_product_… in a trace."""


class Redirected(TorchFunctionMode):
    """Sends torch's attention function to a kernel of diffusers' dispatcher.

    torch has (batch, heads, tokens, channels) where the dispatcher has (batch, tokens, heads, channels).
    """

    def __init__(self, backend: AttentionBackendName) -> None:
        super().__init__()
        self.backend = backend

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is not scaled_dot_product_attention:
            return func(*args, **(kwargs or {}))
        named = dict(zip(("query", "key", "value", "attn_mask", "dropout_p", "is_causal"), args, strict=False))
        named |= kwargs or {}
        turned = {name: named.pop(name).transpose(1, 2) for name in ("query", "key", "value")}
        return dispatch_attention_fn(**turned, **named, backend=self.backend).transpose(1, 2)


class Redirect(ModelHook):
    """Redirects attention while one layer computes, in families that do not go by the dispatcher themselves."""

    def __init__(self, backend: AttentionBackendName) -> None:
        super().__init__()
        self.backend = backend

    def new_forward(self, module: Any, *args: Any, **kwargs: Any) -> Any:
        with Redirected(self.backend):
            return self.fn_ref.original_forward(*args, **kwargs)


def switch_kernel(denoiser: Any, name: str) -> int:
    """Let every attention layer of a denoiser use a kernel; return how many there are."""
    with attention_backend("native"):  # restores the process's own choice, which set_attention_backend changes too
        denoiser.set_attention_backend(name)
    layers = [layer for layer in denoiser.modules() if isinstance(layer, Attention | AttentionModuleMixin)]
    for layer in layers:
        if not hasattr(layer.processor, "_attention_backend"):
            HookRegistry.check_if_exists_or_initialize(layer).register_hook(Redirect(AttentionBackendName(name)), NAME)
    return len(layers)


def observe_kernels(model: TextToImage, call: Call) -> dict[str, int]:
    """Return how often each of torch's kernels ran in the first denoiser call of an image.

    UsageError if the chosen kernel refuses these tensors.
    """
    tracer = profile(activities=[ProfilerActivity.CPU])

    def begin(*_: Any) -> None:
        if not tracer.profiler:
            tracer.start()

    def end(*_: Any) -> None:
        handles[1].remove()
        tracer.stop()

    handles = [model.denoiser.register_forward_pre_hook(begin), model.denoiser.register_forward_hook(end)]
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
