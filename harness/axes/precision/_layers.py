"""Layers to quantize: those in a checkpoint, those selected, and those that were converted."""

import json
from collections import Counter
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

from harness.checkpoints.header import read_shapes
from harness.core.effect import Effect, FixedEffect
from harness.core.errors import NoEffect, UsageError
from harness.core.model import ModelInfo, TextToImage
from harness.core.outcome import Figures
from harness.core.units import format_bytes, format_percent

PARTS = ("denoiser", "text-encoder", "vae")
KINDS = {2: "Linear", 4: "Conv2d"}
"""Layers by the dimensions of their weight; embedding tables of text encoders have two, too."""


def list_denoiser_layers(model: ModelInfo) -> tuple[str, ...]:
    """Return the denoiser's layers with a matrix or kernel; empty without safetensors files."""
    weights = _read_weights(model, "denoiser")
    return tuple(sorted(name for name, dimensions in weights if dimensions > 1))


def list_layer_kinds(model: ModelInfo, parts: tuple[str, ...]) -> frozenset[str]:
    """Return the kinds of layers in the parts; empty without safetensors files."""
    dimensions = {count for part in parts for _, count in _read_weights(model, part)}
    return frozenset(KINDS.get(count, "other") for count in dimensions)


def list_packed_parts(model: ModelInfo, parts: tuple[str, ...]) -> dict[str, str]:
    """Return the parts that are quantized in the checkpoint, with the method (bitsandbytes …)."""
    found = {}
    for part in parts:
        files = [folder / "config.json" for folder in _list_folders(model, part)]
        configs = [json.loads(file.read_text(encoding="utf-8")) for file in files]
        methods = [config.get("quantization_config") for config in configs]
        if methods and all(methods):
            found[part] = str(methods[0].get("quant_method", "an unnamed method"))
    return found


def _read_weights(model: ModelInfo, part: str) -> Iterator[tuple[str, int]]:
    """Yield each layer with a weight, and the weight's dimensions."""
    folders = _list_folders(model, part)
    for path in sorted(path for folder in folders for path in folder.glob("*.safetensors")):
        for name, shape in read_shapes(path).items():
            if name.endswith(".weight"):
                yield name.removesuffix(".weight"), len(shape)


def _list_folders(model: ModelInfo, part: str) -> list[Path]:
    """Return the folders of a part; several text encoders are one part."""
    denoiser = "unet" if "unet" in model.tags else "transformer"
    name = {"denoiser": denoiser, "text-encoder": "text_encoder*"}.get(part, part)
    found = Path(model.folder).glob(name) if model.folder else ()
    return sorted(folder for folder in found if (folder / "config.json").is_file())


class QuantizedLayers(NamedTuple):
    """A network of the model and the names of its layers that are quantized."""

    name: str
    module: Any
    layers: tuple[str, ...]


def read_parts(words: str) -> tuple[str, ...]:
    """Return the parts in a comma list; ValueError for an unknown one."""
    named = [word.strip() for word in words.split(",")]
    for word in named:
        if word not in (*PARTS, "all"):
            raise ValueError(f'unknown part "{word}"; known: {", ".join(PARTS)}, all')
    return PARTS if "all" in named else tuple(part for part in PARTS if part in named)


def read_patterns(words: str) -> tuple[str, ...]:
    """Return the words of a comma list."""
    return tuple(word.strip() for word in words.split(",") if word.strip())


def matches(pattern: str, layer: str) -> bool:
    """Return whether a pattern matches a layer's name or that of a block around it."""
    names = layer.split(".")
    prefixes = (".".join(names[:depth]) for depth in range(1, len(names) + 1))
    return any(fnmatchcase(prefix, pattern) for prefix in prefixes)


def select_layers(
    model: TextToImage, parts: tuple[str, ...], patterns: tuple[str, ...], kinds: tuple[Any, ...]
) -> list[QuantizedLayers]:
    """Return the parts with their layers of these kinds, except those that a pattern matches.

    Raises UsageError for a pattern without a match, and NoEffect if no layer is left.
    """
    networks = [
        QuantizedLayers(name, module, tuple(_list_float_layers(module, kinds)))
        for name, module in _list_networks(model, parts)
    ]
    names = [layer for network in networks for layer in network.layers]
    where = ", ".join(parts)
    for pattern in patterns:
        if names and not any(matches(pattern, layer) for layer in names):
            fix = f"Layer names are like {names[0]}; a block's name matches all its layers."
            raise UsageError(f'exclude = "{pattern}" matches no layer of {where}', "precision", fix)
    kept = {name for name in names if not any(matches(pattern, name) for pattern in patterns)}
    if not kept:
        fix = "Choose other modules, or exclude less; a quantized model has no such layers."
        wanted = " or ".join(kind.__name__ for kind in kinds)
        raise NoEffect(f"nothing to quantize: no {wanted} layer in {where}", "precision", fix)
    found = [n._replace(layers=tuple(x for x in n.layers if x in kept)) for n in networks]
    return [network for network in found if network.layers]


def _list_networks(model: TextToImage, parts: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    if "denoiser" in parts:
        yield "denoiser", model.denoiser
    if "text-encoder" in parts:
        yield from model.text_encoders.items()
    if "vae" in parts:
        yield "vae", model.vae


def _list_float_layers(module: Any, kinds: tuple[Any, ...]) -> Iterator[str]:
    """Yield layers with floating-point weights, without a LoRA's that is not fused: it is small."""
    for name, layer in module.named_modules():
        if name and isinstance(layer, kinds) and ".lora_" not in name:
            weight: Any = layer.weight
            if not is_packed(weight) and weight.is_floating_point():
                yield name


def is_packed(weight: Any) -> bool:
    """Return whether a weight is quantized: another tensor class, or one byte per number."""
    import torch

    return type(weight) is not torch.nn.Parameter or weight.element_size() == 1


def copy_packed_weights(network: Any) -> None:
    """Copy packed weights out of their file's memory.

    A safetensors file gives them at any address; for some, quanto's int8 kernels for bfloat16 crash
    on a CPU.
    """
    for weight in network.parameters():
        if is_packed(weight) and hasattr(weight, "__tensor_flatten__"):
            for name in weight.__tensor_flatten__()[0]:
                setattr(weight, name, getattr(weight, name).clone())


class ConvertedLayers:
    """Remembers layers and bytes before quantization; `report` compares them with those after."""

    def __init__(self, model: TextToImage, networks: list[QuantizedLayers]) -> None:
        self.networks = {network.name: network.module for network in networks}
        self.bytes_before = model.weights_bytes()
        names = [(network.name, name) for network in networks for name in network.layers]
        layers = {name: self._find_layer(name) for name in names}
        self.kinds = {name: type(layer).__name__ for name, layer in layers.items()}
        self.sizes = {name: layer.weight.numel() for name, layer in layers.items()}
        modules = self.networks.values()
        self.total = sum(weight.numel() for module in modules for weight in module.parameters())

    def report(self, model: TextToImage, weights: str, more: Figures) -> Effect:
        """Return the effect; NoEffect if no layer was converted or memory did not shrink.

        `weights` names their format.
        """
        done = [name for name in self.sizes if is_packed(self._find_layer(name).weight)]
        if not done:
            what = f"none of {len(self.sizes)} layers took {weights} weights"
            fix = "Their sizes do not fit the format: see its options, or use another precision."
            raise NoEffect(what, "precision", fix)
        sizes = self._measure_bytes(model.weights_bytes())
        if sizes["bytes_after"] >= sizes["bytes_before"]:
            raise NoEffect(f"{weights} weights take no less memory than before", "precision")
        kinds = sorted(Counter(self.kinds[name] for name in done).items())
        coverage = sum(self.sizes[name] for name in done) / self.total
        figures: Figures = {
            "layers_quantized": len(done),
            "layers_left": len(self.sizes) - len(done),
            **{f"{kind.lower()}_quantized": count for kind, count in kinds},
            "coverage": round(coverage, 4),
            **sizes,
            **more,
        }
        summary = (
            f"{weights} weights in {' and '.join(f'{count} {kind}' for kind, count in kinds)} "
            f"layers of {', '.join(self.networks)}: {format_percent(coverage, 0)} of their "
            f"weights, {format_bytes(sizes['bytes_before'])} → {format_bytes(sizes['bytes_after'])}"
        )
        return FixedEffect(summary, figures)

    def _find_layer(self, name: tuple[str, str]) -> Any:
        network, layer = name
        return self.networks[network].get_submodule(layer)

    def _measure_bytes(self, after: dict[str, int]) -> dict[str, int]:
        """Return the bytes of the changed components, before and after, in total and of each."""
        before = self.bytes_before
        changed = [name for name in after if after[name] != before.get(name)]
        sizes = {
            "bytes_before": sum(before[name] for name in changed),
            "bytes_after": sum(after[name] for name in changed),
        }
        for name in changed if len(changed) > 1 else ():
            sizes |= {f"{name}_bytes_before": before[name], f"{name}_bytes_after": after[name]}
        return sizes
