"""Which layers of which parts of a model are quantized: chosen by part, left out by name."""

from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from harness.core.errors import NoEffect, UsageError
from harness.core.model import TextToImage

PARTS = ("denoiser", "text-encoder", "vae")


class QuantizedLayers(NamedTuple):
    """A network of the model and the names of its layers that are quantized, from its root."""

    name: str
    module: Any
    layers: tuple[str, ...]

    def weights(self) -> int:
        """Return how many weights the network has."""
        return sum(tensor.numel() for tensor in self.module.parameters())


def read_parts(words: str) -> tuple[str, ...]:
    """Return the parts that a comma list names; ValueError for a word that is none of them."""
    named = [word.strip() for word in words.split(",")]
    for word in named:
        if word not in (*PARTS, "all"):
            raise ValueError(f'there is no part "{word}"; choose of {", ".join(PARTS)}, or all')
    return PARTS if "all" in named else tuple(part for part in PARTS if part in named)


def read_patterns(words: str) -> tuple[str, ...]:
    """Return the patterns of a comma list."""
    return tuple(word.strip() for word in words.split(",") if word.strip())


def fits(pattern: str, layer: str) -> bool:
    """Whether a pattern fits a layer's name, or that of a block around it: `mid_block` is all that is in it."""
    steps = layer.split(".")
    return any(fnmatchcase(".".join(steps[:depth]), pattern) for depth in range(1, len(steps) + 1))


def choose(
    model: TextToImage, parts: tuple[str, ...], patterns: tuple[str, ...], kinds: tuple[Any, ...]
) -> list[QuantizedLayers]:
    """Return the parts with their layers of these kinds, less those that a pattern fits.

    Raises UsageError for a pattern that fits no layer, and NoEffect where no layer is left.
    """
    found = [
        QuantizedLayers(name, module, tuple(_float_layers(module, kinds))) for name, module in _networks(model, parts)
    ]
    names = [layer for part in found for layer in part.layers]
    for pattern in patterns:
        if names and not any(fits(pattern, layer) for layer in names):
            fix = f"Layers are named like {names[0]}; a name stands for all that is in it, * for any letters."
            raise UsageError(f'exclude = "{pattern}" fits no layer of {", ".join(parts)}', "precision", fix)
    kept = [
        part._replace(layers=tuple(name for name in part.layers if not any(fits(p, name) for p in patterns)))
        for part in found
    ]
    if not any(part.layers for part in kept):
        fix = "Choose other modules, or exclude less; a model that is quantized already has no such layers."
        kinds_named = " or ".join(kind.__name__ for kind in kinds)
        raise NoEffect(f"nothing to quantize: no {kinds_named} layer in {', '.join(parts)}", "precision", fix)
    return [part for part in kept if part.layers]


def _networks(model: TextToImage, parts: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    if "denoiser" in parts:
        yield "denoiser", model.denoiser
    if "text-encoder" in parts:
        yield from model.text_encoders.items()
    if "vae" in parts:
        yield "vae", model.vae


def _float_layers(module: Any, kinds: tuple[Any, ...]) -> Iterator[str]:
    """Yield names of layers with plain floating-point weights; a LoRA that is not fused stays as it is: it is small."""
    for name, layer in module.named_modules():
        if name and isinstance(layer, kinds) and ".lora_" not in name:
            weight: Any = layer.weight
            if not is_packed(weight) and weight.is_floating_point():
                yield name


def is_packed(weight: Any) -> bool:
    """Whether a weight is held in a quantized form: as a tensor of another class, or one byte a number."""
    import torch

    return type(weight) is not torch.nn.Parameter or weight.element_size() == 1


def own_memory(network: Any) -> None:
    """Copy packed weights, as they came from a file, into memory of their own.

    A safetensors file gives them at any address; quanto's int8 kernels for bfloat16 crash the process on some on a CPU.
    """
    for weight in network.parameters():
        if is_packed(weight) and hasattr(weight, "__tensor_flatten__"):
            for name in weight.__tensor_flatten__()[0]:
                setattr(weight, name, getattr(weight, name).clone())
