"""Weights in 8-bit floats, cast up for each layer's call (diffusers' layerwise casting)."""

import re
from typing import Any, ClassVar, Literal

from harness.axes.precision._layers import QuantizedLayers
from harness.axes.precision._quantized import Quantized
from harness.core.axis import Context, Setup
from harness.core.model import TextToImage
from harness.core.outcome import Caution, Figures
from harness.core.recipe import RecipeLines, read_source


class LayerwiseFp8(Quantized):
    """No scales: numbers out of fp8's range are lost. Layers that the model excludes are left."""

    summary: ClassVar[str] = "fp8 storage, cast up layer by layer: memory, not speed"
    # Dynamo cannot trace a hook that makes parameters.
    tags: ClassVar = Quantized.tags | {"graph-breaks"}
    weights: ClassVar = "fp8"
    kinds: ClassVar = ("Linear", "Conv2d")
    castable: ClassVar = False
    stateful: ClassVar = True  # threads would share a layer whose weights are cast in its call
    tolerance: ClassVar = 0.1
    examples: ClassVar = ("layerwise-fp8+format=e5m2", "layerwise-fp8+modules=all")

    format: Literal["e4m3fn", "e5m2"] = "e4m3fn"
    """4 bits of exponent and 3 of mantissa, or 5 and 2: more range, fewer digits."""

    def cautions(self, context: Context) -> tuple[Caution, ...]:
        message = "fp8 storage saves memory, but casting weights in every call takes time"
        return (
            Caution(
                kind="no-speed-up",
                message=message,
                advice="For speed, try fp8-torchao with a compiler.",
            ),
        )

    def quantize(
        self, networks: list[QuantizedLayers], model: TextToImage, setup: Setup
    ) -> Figures:
        import torch
        from diffusers.hooks.layerwise_casting import apply_layerwise_casting_hook

        storage = getattr(torch, f"float8_{self.format}")
        for network in networks:
            skipped = _list_skipped(network.module)
            for name in network.layers:
                if not any(re.search(pattern, name) for pattern in skipped):
                    layer = network.module.get_submodule(name)
                    dtype = layer.weight.dtype
                    apply_layerwise_casting_hook(layer, storage, dtype, non_blocking=False)
        return {}

    def recipe_quantize(self) -> RecipeLines:
        casting = "from diffusers.hooks.layerwise_casting import apply_layerwise_casting_hook"
        cast = f"layer, torch.float8_{self.format}, layer.weight.dtype, non_blocking=False"
        return RecipeLines(
            imports=("import re", casting),
            definitions=read_source(__name__, "_list_skipped"),
            build=(
                "skipped = _list_skipped(network)",
                "for name in names:",
                "    if not any(re.search(pattern, name) for pattern in skipped):",
                "        layer = network.get_submodule(name)",
                f"        apply_layerwise_casting_hook({cast})",
            ),
        )


def _list_skipped(network: Any) -> tuple[str, ...]:
    """Return diffusers' patterns of layers to skip: norms, modulations, patch embeddings."""
    from diffusers.hooks.layerwise_casting import DEFAULT_SKIP_MODULES_PATTERN

    casting = getattr(network, "_skip_layerwise_casting_patterns", None) or ()
    single = getattr(network, "_keep_in_fp32_modules", None) or ()
    return (*DEFAULT_SKIP_MODULES_PATTERN, *casting, *single)
