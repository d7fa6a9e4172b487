"""8-bit floats for an engine: packed weights, inputs rounded to calibrated ranges.

Imports torch.
"""

import math
from collections import Counter
from functools import partial
from typing import Any, NamedTuple

import torch
from torch.nn import functional

from harness.core.axis import Setup
from harness.core.errors import NoEffect
from harness.core.model import Call, TextToImage

ALIGNED = 16
"""fp8 tensor cores need both sides of a matrix to be multiples of this."""
E4M3 = torch.float8_e4m3fn
LARGEST = 448.0
"""The largest number of E4M3."""


class InputRange(NamedTuple):
    """The largest absolute input of a layer over all calibration calls, and its dimensions."""

    peak: Any
    dimensions: int


def pack_fp8(model: TextToImage, setup: Setup, prompts: int) -> dict[str, int]:
    """Replace the denoiser's Linear and Conv2d layers by E4M3 ones; return their counts.

    Layers with unaligned sides stay, and layers with one row per image (time, modulation), which
    would gain nothing. Raises NoEffect if no layer is left.
    """
    layers = _list_layers(model.denoiser)
    calls = setup.calibration_calls(prompts)
    ranges = calibrate(model, layers, calls)
    chosen = {name: seen for name, seen in ranges.items() if seen.dimensions > 2}
    chosen = {name: seen for name, seen in chosen.items() if _is_aligned(layers[name].weight)}
    if not chosen:
        what = "no layer of the denoiser fits fp8 tensor cores"
        raise NoEffect(what, "compiler", "Leave fp8 out.")
    before = sum(layers[name].weight.nbytes for name in chosen)
    for name, seen in chosen.items():
        model.denoiser.set_submodule(name, Fp8Layer(layers[name], float(seen.peak)))
    kinds = Counter(type(layers[name]).__name__.lower() for name in chosen)
    return {
        **{f"{kind}_fp8": count for kind, count in sorted(kinds.items())},
        "layers_left": len(layers) - len(chosen),
        "bytes_before": before,
        "bytes_fp8": sum(layers[name].weight.numel() for name in chosen),
        "calibration_prompts": sum(len(call.prompts) for call in calls),
    }


def calibrate(
    model: TextToImage, layers: dict[str, Any], calls: list[Call]
) -> dict[str, InputRange]:
    """Return the input ranges, by name, of the layers that run while images are generated."""
    seen: dict[str, InputRange] = {}

    def observe(name: str, given: Any) -> None:
        peak = given.detach().abs().amax()
        seen[name] = InputRange(
            peak.maximum(seen[name].peak) if name in seen else peak, given.dim()
        )

    hooks = [
        layer.register_forward_pre_hook(lambda _, args, name=name: observe(name, args[0]))
        for name, layer in layers.items()
    ]
    try:
        for call in calls:
            model.generate(call)
    finally:
        for hook in hooks:
            hook.remove()
    return seen


def _list_layers(denoiser: Any) -> dict[str, Any]:
    """Return the layers by name, without those of a LoRA that is not fused: they are small."""
    kinds, modules = (torch.nn.Linear, torch.nn.Conv2d), denoiser.named_modules()
    return {name: part for name, part in modules if type(part) in kinds and ".lora_" not in name}


def _is_aligned(weight: Any) -> bool:
    return all(side % ALIGNED == 0 for side in weight.shape[:2])


class Fp8Layer(torch.nn.Module):
    """A Linear or Conv2d layer between QuantizeLinear and DequantizeLinear nodes.

    Torch computes the same numbers as the exported graph. Scales are powers of two: as precise for
    floating point, and equal in every run (GPU sums are not), so that a kept engine is found.
    """

    def __init__(self, layer: torch.nn.Linear | torch.nn.Conv2d, peak: float) -> None:
        super().__init__()
        weight = layer.weight.detach()
        peaks = (peak, float(weight.abs().max()))
        input_scale, weight_scale = (weight.new_tensor(find_scale(top)) for top in peaks)
        self.bias = layer.bias
        self.register_buffer("input_scale", input_scale)
        self.register_buffer("weight_scale", weight_scale)
        self.register_buffer("packed", pack(weight, weight_scale))
        self.register_buffer("zero", torch.zeros((), dtype=E4M3, device=weight.device))
        self.multiply = functional.linear
        if isinstance(layer, torch.nn.Conv2d):
            options = {name: getattr(layer, name) for name in ("stride", "padding", "dilation")}
            self.multiply = partial(functional.conv2d, groups=layer.groups, **options)

    def extra_repr(self) -> str:
        """Return the convolution's options: two layers with equal weights may differ in them."""
        return str(getattr(self.multiply, "keywords", ""))

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        if torch.compiler.is_exporting():
            packed = _add_node("QuantizeLinear", (given, self.input_scale, self.zero), E4M3)
            parts = (packed, self.input_scale), (self.packed, self.weight_scale)
            rounded, weight = (
                _add_node("DequantizeLinear", (*part, self.zero), given.dtype) for part in parts
            )
        else:
            rounded = pack(given, self.input_scale).to(given.dtype) * self.input_scale
            weight = self.packed.to(given.dtype) * self.weight_scale
        return self.multiply(rounded, weight, self.bias)


def _add_node(kind: str, inputs: tuple[torch.Tensor, ...], dtype: torch.dtype) -> torch.Tensor:
    return torch.onnx.ops.symbolic(f"ai.onnx::{kind}", inputs, dtype=dtype, shape=inputs[0].shape)


def find_scale(peak: float) -> float:
    """Return the smallest power of two that brings `peak` into E4M3's range; 1 for a peak of 0."""
    return 2.0 ** math.ceil(math.log2(peak / LARGEST)) if peak > 0 else 1.0


def pack(numbers: torch.Tensor, step: torch.Tensor) -> torch.Tensor:
    """Return numbers as E4M3 in units of `step`, clamped to its range, as ONNX defines it."""
    return (numbers / step).clamp(-LARGEST, LARGEST).to(E4M3)
