"""Does a LoRA fit a model? Told by the names and shapes in both files, before anything is loaded."""

import re

from harness.axes.distillation._headers import Shapes

LAYER = re.compile(r"^(.+?)[._]lora[._](A|B|down|up)(?:\.\w+)?\.weight$")
"""The spellings of peft, of diffusers before it, and of kohya's trainer."""
PREFIX = re.compile(r"^(?:base_model\.model\.)?(?:diffusion_model\.|unet\.|transformer\.|lora_unet_|lora_transformer_)")
ENCODER = re.compile(r"^(?:text_encoder|lora_te)")
FOREIGN = re.compile(r"(?:^|_)(?:input_blocks|middle_block|output_blocks|double_blocks|single_blocks|joint_blocks)_")
"""Layer names of the models' own repositories, which diffusers translates: only their widths can be compared."""

Widths = dict[str, dict[str, int]]


def refuse_lora(lora: Shapes, denoiser: Shapes) -> str | None:
    """Return why the LoRA does not fit the denoiser, or None if it does."""
    layers = _layers(lora)
    if not layers:
        return "it holds no LoRA of a denoiser"
    known = {_plain(name.removesuffix(".weight")): shape for name, shape in denoiser.items() if len(shape) > 1}
    inputs = {shape[1] for shape in known.values()}
    for layer, widths in layers.items():
        shape = known.get(layer) or known.get(f"{layer}_0")  # diffusers once wrote to_out for to_out.0
        if shape is None and FOREIGN.search(layer):
            if widths.get("in") not in inputs:
                return f"its layer {layer} takes {widths.get('in')} channels, no layer of the model does"
        elif shape is None:
            return f"its layer {layer} is not in the model"
        elif (widths.get("out"), widths.get("in")) != shape[:2]:
            theirs, ours = f"{widths.get('in')} → {widths.get('out')}", f"{shape[1]} → {shape[0]}"
            return f"its layer {layer} is {theirs} channels, in the model {ours}"
    return None


def _layers(lora: Shapes) -> Widths:
    """Return the widths in and out of every denoiser layer that the LoRA changes."""
    found: Widths = {}
    for name, shape in lora.items():
        match = LAYER.match(name)
        if match and not ENCODER.match(name) and len(shape) > 1:
            side, width = ("in", shape[1]) if match[2] in ("A", "down") else ("out", shape[0])
            found.setdefault(_plain(PREFIX.sub("", match[1])), {})[side] = width
    return found


def _plain(name: str) -> str:
    return name.replace(".processor", "").replace(".", "_")
