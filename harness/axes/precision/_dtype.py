"""Weights and arithmetic in one of torch's number formats, chosen while loading."""

from typing import ClassVar

from harness.axes.precision._layers import own_memory
from harness.core.axis import AxisValue, Setup
from harness.core.effect import Effect, FixedEffect
from harness.core.errors import NoEffect
from harness.core.model import Footprint, TextToImage
from harness.core.units import format_percent

BYTES = {"float32": 4, "float16": 2, "bfloat16": 2}


class Dtype(AxisValue):
    dtype: ClassVar[str]

    def footprint(self, without: Footprint) -> Footprint:
        return without.scaled(BYTES[self.dtype] / 4)

    def load_options(self) -> dict[str, str]:
        return {"dtype": self.dtype}

    def apply(self, model: TextToImage, setup: Setup) -> Effect | None:
        """Look at what the denoiser's weights really are: diffusers keeps some modules in FP32."""
        if model.pipeline is None:
            return None
        for network in (model.denoiser, model.vae, *model.text_encoders.values()):
            own_memory(network)
        sizes = [(tensor.numel(), str(tensor.dtype)) for tensor in model.denoiser.parameters()]
        matching = sum(count for count, dtype in sizes if dtype == f"torch.{self.dtype}")
        if not matching:
            raise NoEffect(f"no weight of the denoiser is {self.dtype}", f"precision {self.dtype}")
        share = matching / sum(count for count, _ in sizes)
        figures = {"bytes": sum(model.weights_bytes().values()), "denoiser_share": round(share, 4)}
        return FixedEffect(f"{format_percent(share, 0)} of the denoiser's weights are {self.dtype}", figures)
