"""8-bit floats for an engine: weights packed, inputs rounded on ranges that the cell's own prompts showed."""

from collections import Counter
from typing import Any, NamedTuple

from harness.core.axis import Setup
from harness.core.errors import NoEffect
from harness.core.model import Call, TextToImage

ALIGNED = 16
"""Both sides of a matrix must be multiples of this: what fp8 tensor cores take."""


class InputRange(NamedTuple):
    """The largest absolute input of a layer over all calibration calls, and how many dimensions its input has."""

    peak: Any
    dimensions: int


def pack_fp8(model: TextToImage, setup: Setup, prompts: int) -> dict[str, int]:
    """Replace the denoiser's Linear and Conv2d layers by ones that multiply in E4M3, and tell how many of each kind.

    Left as they are: sides that are no multiple of 16, and layers that see one row a picture (time, modulation), where
    there is no time to win. Raises NoEffect where no layer is left to pack.
    """
    from harness.axes.compiler._fp8_layer import Fp8Layer

    layers = _layers(model.denoiser)
    calls = _calls(setup, prompts)
    chosen = {name: seen for name, seen in calibrate(model, layers, calls).items() if seen.dimensions > 2}
    chosen = {name: seen for name, seen in chosen.items() if _aligned(layers[name].weight)}
    if not chosen:
        raise NoEffect("no layer of the denoiser fits fp8 tensor cores", "compiler", "Leave fp8 out.")
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


def calibrate(model: TextToImage, layers: dict[str, Any], calls: list[Call]) -> dict[str, InputRange]:
    """Return what the layers that work while pictures are made were given, by name."""
    seen: dict[str, InputRange] = {}

    def observe(name: str, given: Any) -> None:
        peak = given.detach().abs().amax()
        seen[name] = InputRange(peak.maximum(seen[name].peak) if name in seen else peak, given.dim())

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


def _layers(denoiser: Any) -> dict[str, Any]:
    """Return the layers by name; a LoRA that is not fused stays as it is: it is small."""
    import torch

    kinds = (torch.nn.Linear, torch.nn.Conv2d)
    return {name: part for name, part in denoiser.named_modules() if type(part) in kinds and ".lora_" not in name}


def _aligned(weight: Any) -> bool:
    return all(side % ALIGNED == 0 for side in weight.shape[:2])


def _calls(setup: Setup, prompts: int) -> list[Call]:
    """Return calls of the cell's batch size for its first prompts: larger ones may not fit into memory."""
    count = min(prompts, len(setup.call.prompts))
    return [setup.call.of(range(start, min(start + setup.batch, count))) for start in range(0, count, setup.batch)]
