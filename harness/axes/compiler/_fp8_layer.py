"""A layer that multiplies 8-bit floats: the same numbers in torch as in the graph it is exported to. Imports torch."""

import math
from functools import partial

import torch
from torch.nn import functional

E4M3 = torch.float8_e4m3fn
LARGEST = 448.0
"""The largest number of E4M3."""


class Fp8Layer(torch.nn.Module):
    """A Linear or Conv2d layer; exported, it is a product between QuantizeLinear and DequantizeLinear nodes.

    Both scales are powers of two: as precise for numbers that have exponents of their own, and the same in every
    run although sums on a GPU are not, so that an engine made from them is found again.
    """

    def __init__(self, layer: torch.nn.Linear | torch.nn.Conv2d, peak: float) -> None:
        super().__init__()
        weight = layer.weight.detach()
        input_scale, weight_scale = (weight.new_tensor(scale(top)) for top in (peak, float(weight.abs().max())))
        self.bias = layer.bias
        self.register_buffer("input_scale", input_scale)
        self.register_buffer("weight_scale", weight_scale)
        self.register_buffer("packed", pack(weight, weight_scale))
        self.register_buffer("zero", torch.zeros((), dtype=E4M3, device=weight.device))
        self.multiply = functional.linear
        if isinstance(layer, torch.nn.Conv2d):
            places = {"stride": layer.stride, "padding": layer.padding, "dilation": layer.dilation}
            self.multiply = partial(functional.conv2d, groups=layer.groups, **places)  # type: ignore[assignment, arg-type]

    def extra_repr(self) -> str:
        """Return how it multiplies: what two layers of the same weights may differ in."""
        return str(getattr(self.multiply, "keywords", ""))

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        if torch.compiler.is_exporting():
            packed = _node("QuantizeLinear", (given, self.input_scale, self.zero), E4M3)
            parts = (packed, self.input_scale), (self.packed, self.weight_scale)
            rounded, weight = (_node("DequantizeLinear", (*part, self.zero), given.dtype) for part in parts)
        else:
            rounded = pack(given, self.input_scale).to(given.dtype) * self.input_scale
            weight = self.packed.to(given.dtype) * self.weight_scale
        return self.multiply(rounded, weight, self.bias)


def _node(kind: str, inputs: tuple[torch.Tensor, ...], dtype: torch.dtype) -> torch.Tensor:
    return torch.onnx.ops.symbolic(f"ai.onnx::{kind}", inputs, dtype=dtype, shape=inputs[0].shape)


def scale(peak: float) -> float:
    """Return the smallest power of two that brings `peak` into the range of E4M3; 1 where there is nothing."""
    return 2.0 ** math.ceil(math.log2(peak / LARGEST)) if peak > 0 else 1.0


def pack(numbers: torch.Tensor, step: torch.Tensor) -> torch.Tensor:
    """Return numbers as E4M3 in units of `step`; what is out of range becomes the largest, as ONNX has it."""
    return (numbers / step).clamp(-LARGEST, LARGEST).to(E4M3)
