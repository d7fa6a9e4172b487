"""Weights kept in 8-bit floats and cast up around each layer's call (diffusers' layerwise casting)."""

import re
from typing import Any, ClassVar, Literal

from harness.axes.precision._layers import QuantizedLayers
from harness.axes.precision._quantized import Quantized
from harness.axes.precision._tally import Figures
from harness.core.axis import Context, Setup
from harness.core.model import TextToImage
from harness.core.outcome import Caution


class LayerwiseFp8(Quantized):
    """No scales: numbers out of fp8's range are lost. Layers that the model marks as delicate stay as they are."""

    summary: ClassVar[str] = "fp8 storage, cast up layer by layer: memory, not speed"
    tags: ClassVar = Quantized.tags | {"graph-breaks"}  # dynamo cannot trace a hook that makes parameters
    weights: ClassVar = "fp8"
    kinds: ClassVar = ("Linear", "Conv2d")
    castable: ClassVar = False
    stateful: ClassVar = True  # a layer's weights change form during its call: two threads would trip over each other
    tolerance: ClassVar = 0.1
    examples: ClassVar = ("layerwise-fp8+format=e5m2", "layerwise-fp8+modules=all")

    format: Literal["e4m3fn", "e5m2"] = "e4m3fn"
    """Four bits of exponent and three of mantissa, or five and two: more range, fewer digits."""

    def cautions(self, context: Context) -> tuple[Caution, ...]:
        message = "fp8 storage saves memory, but casting every layer's weights at every call takes time"
        return (Caution(kind="no-speed-up", message=message, advice="For speed, try fp8-torchao with a compiler."),)

    def quantize(self, parts: list[QuantizedLayers], model: TextToImage, setup: Setup) -> Figures:
        import torch
        from diffusers.hooks.layerwise_casting import apply_layerwise_casting_hook

        storage = getattr(torch, f"float8_{self.format}")
        for part in parts:
            delicate = _delicate(part.module)
            for name in part.layers:
                if not any(re.search(pattern, name) for pattern in delicate):
                    layer = part.module.get_submodule(name)
                    apply_layerwise_casting_hook(layer, storage, layer.weight.dtype, non_blocking=False)
        return {}


def _delicate(network: Any) -> tuple[str, ...]:
    """Return the patterns of layers that diffusers leaves alone in a network: norms, modulations, patch embeddings."""
    from diffusers.hooks.layerwise_casting import DEFAULT_SKIP_MODULES_PATTERN

    own = (getattr(network, name, None) or () for name in ("_skip_layerwise_casting_patterns", "_keep_in_fp32_modules"))
    return (*DEFAULT_SKIP_MODULES_PATTERN, *(pattern for patterns in own for pattern in patterns))
