"""Tiny checkpoints in one file: tensors named as in the files of the first SD and SDXL releases."""

import re
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

Tensors = dict[str, torch.Tensor]

_RESNET = {
    "norm1": "in_layers.0", "conv1": "in_layers.2", "norm2": "out_layers.0", "conv2": "out_layers.3",
    "time_emb_proj": "emb_layers.1", "conv_shortcut": "skip_connection",
}  # fmt: skip
_TOP = {
    "time_embedding.linear_1": "time_embed.0", "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0", "add_embedding.linear_2": "label_emb.0.2",
    "conv_in": "input_blocks.0.0", "conv_norm_out": "out.0", "conv_out": "out.2",
}  # fmt: skip
_VAE: dict[str, Any] = {
    "conv_norm_out": "norm_out",
    "conv_shortcut": "nin_shortcut",
    r"down_blocks\.(\d)\.resnets\.": r"down.\1.block.",
    r"down_blocks\.(\d)\.downsamplers\.0\.": r"down.\1.downsample.",
    r"up\.(\d)\.resnets\.": r"up.\1.block.",
    r"up\.(\d)\.upsamplers\.0\.": r"up.\1.upsample.",
    r"mid_block\.resnets\.(\d)\.": lambda found: f"mid.block_{int(found[1]) + 1}.",
    r"mid_block\.attentions\.0\.": "mid.attn_1.",
    "group_norm": "norm",
    r"to_([qkv])\.": r"\1.",
    r"to_out\.0\.": "proj_out.",
}
_OPEN_CLIP: dict[str, Any] = {
    r"^text_model\.": "",
    r"^encoder\.layers\.": "transformer.resblocks.",
    "layer_norm([12])": r"ln_\1",
    r"mlp\.fc1": "mlp.c_fc",
    r"mlp\.fc2": "mlp.c_proj",
    "self_attn": "attn",
    "final_layer_norm": "ln_final",
    r"^text_projection\.weight": "text_projection",
    r"^embeddings\.token_embedding\.weight": "token_embedding.weight",
    r"^embeddings\.position_embedding\.weight": "positional_embedding",
}


def write_original(folder: Path, file: Path) -> Path:
    """Write a tiny SD or SDXL folder's weights as one file and return it."""
    tensors = _prefixed("model.diffusion_model.", unet(_weights(folder / "unet")))
    tensors |= _prefixed("first_stage_model.", vae(_weights(folder / "vae")))
    if (folder / "text_encoder_2").exists():
        tensors |= _prefixed("conditioner.embedders.0.transformer.", clip(_weights(folder / "text_encoder")))
        tensors |= _prefixed("conditioner.embedders.1.model.", open_clip(_weights(folder / "text_encoder_2")))
    else:
        tensors |= _prefixed("cond_stage_model.transformer.", clip(_weights(folder / "text_encoder")))
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, file)
    return file


def unet(tensors: Tensors) -> Tensors:
    """A UNet with as many layers in every block."""
    layers = 1 + max(int(found[1]) for name in tensors if (found := re.match(r"down_blocks\.\d\.resnets\.(\d)", name)))
    crossed = {name.split(".attentions.")[0] for name in tensors if ".attentions." in name}
    return {_unet_name(name, layers, crossed): tensor for name, tensor in tensors.items()}


def _unet_name(name: str, layers: int, crossed: set[str]) -> str:
    for new, old in _TOP.items():
        if name.startswith(f"{new}."):
            return name.replace(new, old, 1)
    if found := re.fullmatch(r"mid_block\.(resnets|attentions)\.(\d)\.(.*)", name):
        place = 1 if found[1] == "attentions" else 2 * int(found[2])
        return f"middle_block.{place}.{_resnet(found[3])}"
    found = re.fullmatch(r"(down|up)_blocks\.(\d)\.(\w+)\.(\d)\.(.*)", name)
    assert found, name
    side, block, kind, layer, rest = found[1], int(found[2]), found[3], int(found[4]), _resnet(found[5])
    first = (layers + 1) * block  # on the way down a convolution ends a block, on the way up there is a layer more
    if kind == "downsamplers":
        return f"input_blocks.{first + layers + 1}.0.op.{rest.removeprefix('conv.')}"
    if kind == "upsamplers":
        return f"output_blocks.{first + layers}.{2 if f'up_blocks.{block}' in crossed else 1}.{rest}"
    where = f"input_blocks.{first + layer + 1}" if side == "down" else f"output_blocks.{first + layer}"
    return f"{where}.{1 if kind == 'attentions' else 0}.{rest}"


def _resnet(rest: str) -> str:
    first, dot, more = rest.partition(".")
    return f"{_RESNET.get(first, first)}{dot}{more}"


def vae(tensors: Tensors) -> Tensors:
    """An autoencoder; what is linear in its attention was a convolution of 1×1 once."""
    last = max(int(found[1]) for name in tensors if (found := re.match(r"encoder\.down_blocks\.(\d)", name)))
    ups = {rf"up_blocks\.{block}\.": f"up.{last - block}." for block in range(last + 1)}  # from the image's side
    return {
        _renamed(name, {**ups, **_VAE}): tensor[..., None, None]
        if ".attentions." in name and tensor.ndim == 2
        else tensor
        for name, tensor in tensors.items()
    }


def clip(tensors: Tensors) -> Tensors:
    """The CLIP text tower of OpenAI, as transformers named it then."""
    return {f"text_model.{name.removeprefix('text_model.')}": tensor for name, tensor in tensors.items()}


def open_clip(tensors: Tensors) -> Tensors:
    """A text tower of OpenCLIP: queries, keys and values are one matrix."""
    made: Tensors = {}
    for name, tensor in tensors.items():
        place = _renamed(name, _OPEN_CLIP)
        if found := re.fullmatch(r"(.*attn\.)([qkv])_proj\.(\w+)", place):
            whole = made.setdefault(f"{found[1]}in_proj_{found[3]}", torch.empty(3 * len(tensor), *tensor.shape[1:]))
            whole["qkv".index(found[2]) * len(tensor) :][: len(tensor)] = tensor
        else:
            made[place] = tensor.T if place == "text_projection" else tensor
    return made


def _renamed(name: str, rules: dict[str, Any]) -> str:
    for pattern, replacement in rules.items():
        name = re.sub(pattern, replacement, name)
    return name


def _weights(folder: Path) -> Tensors:
    loaded: Any = load_file(next(folder.glob("*.safetensors")))
    return dict(loaded)


def _prefixed(prefix: str, tensors: Tensors) -> Tensors:
    return {f"{prefix}{name}": tensor for name, tensor in tensors.items()}
