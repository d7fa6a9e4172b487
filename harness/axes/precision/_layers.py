"""The layers of a model: those a checkpoint names, those that are chosen, those that were quantized."""

import json
from collections import Counter
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

from harness.checkpoints.header import read_shapes
from harness.core.effect import Done, Effect
from harness.core.errors import NoEffect, UsageError
from harness.core.model import ModelInfo, TextToImage
from harness.core.units import format_bytes, format_percent

KINDS = {2: "Linear", 4: "Conv2d"}
"""Layers by the dimensions of their weight; tables of embeddings, in text encoders, have two as well."""


def denoiser_layers(model: ModelInfo) -> tuple[str, ...]:
    """Return the names of layers with a matrix or a kernel as weight; empty where no safetensors file tells them."""
    return tuple(sorted(name for name, dimensions in _weights(model, "denoiser") if dimensions > 1))


def layer_kinds(model: ModelInfo, parts: tuple[str, ...]) -> frozenset[str]:
    """Return which kinds of layers the parts have; empty where no safetensors file tells."""
    dimensions = {count for part in parts for _, count in _weights(model, part)}
    return frozenset(KINDS.get(count, "another") for count in dimensions)


def packed_parts(model: ModelInfo, parts: tuple[str, ...]) -> dict[str, str]:
    """Return the parts that the checkpoint holds quantized as a whole, each with the method, such as bitsandbytes."""
    found = {}
    for part in parts:
        files = [folder / "config.json" for folder in _folders(model, part)]
        configs = [json.loads(file.read_text(encoding="utf-8")).get("quantization_config") for file in files]
        if configs and all(configs):
            found[part] = str(configs[0].get("quant_method", "an unnamed method"))
    return found


def _weights(model: ModelInfo, part: str) -> Iterator[tuple[str, int]]:
    """Yield the name of every layer with a weight, and its weight's dimensions."""
    for path in sorted(path for folder in _folders(model, part) for path in folder.glob("*.safetensors")):
        for name, shape in read_shapes(path).items():
            if name.endswith(".weight"):
                yield name.removesuffix(".weight"), len(shape)


def _folders(model: ModelInfo, part: str) -> list[Path]:
    """Return where a part's files lie: several text encoders are one part."""
    names = {"denoiser": "unet" if "unet" in model.tags else "transformer", "text-encoder": "text_encoder*"}
    found = Path(model.folder).glob(names.get(part, part)) if model.folder else ()
    return sorted(folder for folder in found if (folder / "config.json").is_file())


PARTS = ("denoiser", "text-encoder", "vae")


class Part(NamedTuple):
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


def choose(model: TextToImage, parts: tuple[str, ...], patterns: tuple[str, ...], kinds: tuple[Any, ...]) -> list[Part]:
    """Return the parts with their layers of these kinds, less those that a pattern fits.

    Raises UsageError for a pattern that fits no layer, and NoEffect where no layer is left.
    """
    found = [Part(name, module, tuple(_float_layers(module, kinds))) for name, module in _networks(model, parts)]
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


Figures = dict[str, float | int | str]


class Tally:
    """Remembers what the layers were; `effect` counts those whose weights are held in another form since."""

    def __init__(self, model: TextToImage, parts: list[Part]) -> None:
        self.parts, self.bytes_before = parts, model.weights_bytes()
        layers = {(part.name, name): part.module.get_submodule(name) for part in parts for name in part.layers}
        self.kinds = {key: type(layer).__name__ for key, layer in layers.items()}
        self.sizes = {key: layer.weight.numel() for key, layer in layers.items()}
        self.total = sum(part.weights() for part in parts)

    def effect(self, model: TextToImage, weights: str, more: Figures) -> Effect:
        """Return what was done, in `weights` (a few words); NoEffect if no layer took it or nothing shrank."""
        done = [
            (part.name, name)
            for part in self.parts
            for name in part.layers
            if is_packed(part.module.get_submodule(name).weight)
        ]
        if not done:
            fix = "Their sizes do not fit this format: see the value's options, or choose another precision."
            raise NoEffect(f"none of {len(self.sizes)} layers took {weights} weights", "precision", fix)
        after = model.weights_bytes()
        changed = [name for name in after if after[name] != self.bytes_before.get(name)]
        before_bytes, after_bytes = (sum(held[name] for name in changed) for held in (self.bytes_before, after))
        if after_bytes >= before_bytes:
            raise NoEffect(f"{weights} weights take no less memory than before", "precision")
        kinds = Counter(self.kinds[key] for key in done)
        coverage = sum(self.sizes[key] for key in done) / self.total
        figures: Figures = {
            "layers_quantized": len(done),
            "layers_left": len(self.sizes) - len(done),
            **{f"{kind.lower()}_quantized": count for kind, count in sorted(kinds.items())},
            "coverage": round(coverage, 4),
            "bytes_before": before_bytes,
            "bytes_after": after_bytes,
        }
        if len(changed) > 1:
            for name in changed:
                figures |= {f"{name}_bytes_before": self.bytes_before[name], f"{name}_bytes_after": after[name]}
        listing = " and ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
        sizes = f"{format_bytes(before_bytes)} → {format_bytes(after_bytes)}"
        where = ", ".join(part.name for part in self.parts)
        summary = (
            f"{weights} weights in {listing} layers of {where}: {format_percent(coverage, 0)} of their weights, {sizes}"
        )
        return Done(summary, {**figures, **more})
