"""What a checkpoint tells before it is loaded: its layers, and which parts come quantized."""

import json
from collections.abc import Iterator
from pathlib import Path

from harness.checkpoints.header import read_shapes
from harness.core.model import ModelInfo

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
