"""4-bit normal floats of Linear layers, a scale per 64 weights (Dettmers et al. 2023, QLoRA)."""

from typing import Any, ClassVar

from harness.axes.precision._layers import QuantizedLayers
from harness.axes.precision._quantized import Quantized
from harness.core.axis import Setup
from harness.core.model import TextToImage
from harness.core.outcome import Figures
from harness.core.recipe import RecipeLines, read_source


class Nf4Bitsandbytes(Quantized):
    summary: ClassVar[str] = "nf4 weights of linear layers"
    needs: ClassVar = "pip install bitsandbytes"
    package: ClassVar = "bitsandbytes"
    bits: ClassVar = 4
    weights: ClassVar = "nf4"
    tolerance: ClassVar = 0.3
    examples: ClassVar = ("nf4-bitsandbytes+modules=all", "nf4-bitsandbytes+compute=bf16")

    def quantize(
        self, networks: list[QuantizedLayers], model: TextToImage, setup: Setup
    ) -> Figures:
        for network in networks:
            for name in network.layers:
                layer = network.module.get_submodule(name)
                network.module.set_submodule(name, _pack(layer))
        return {}

    def recipe_quantize(self) -> RecipeLines:
        pack = "network.set_submodule(name, _pack(network.get_submodule(name)))"
        return RecipeLines(
            imports=("import bitsandbytes",),
            definitions=read_source(__name__, "_pack"),
            build=("for name in names:", f"    {pack}"),
        )


def _pack(layer: Any) -> Any:
    """Return a layer with the same weights in 4 bits; moving it to a device packs them."""
    import bitsandbytes

    made = bitsandbytes.nn.Linear4bit(
        layer.in_features,
        layer.out_features,
        bias=layer.bias is not None,
        compute_dtype=layer.weight.dtype,
        quant_type="nf4",
        device="meta",
    )
    made.weight = bitsandbytes.nn.Params4bit(
        layer.weight.data, requires_grad=False, quant_type="nf4", module=made
    )
    made.bias = layer.bias
    # The AVX-512 layout needs multiples of 64 and is made in the first call, in any thread.
    made.support_avx512bf16_for_cpu = False
    return made.to(layer.weight.device).eval()
