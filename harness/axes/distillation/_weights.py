"""Find weight files on this machine, and check that they fit the model before loading it."""

import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Literal, NamedTuple

from harness.checkpoints.digest import digest_file
from harness.checkpoints.header import read_shapes
from harness.core.axis import Context
from harness.core.errors import UsageError
from harness.core.model import ModelInfo
from harness.core.paths import expand_user
from harness.core.published import HubFile


class Student(NamedTuple):
    """Few-step weights and their published settings.

    `kind` is a LoRA or a whole denoiser; `files` are names of the same weights, the first is the one to get;
    `steps` the fewest and most it was trained for; `brings` settings for axes the matrix leaves open; `solver` a tag
    of the schedulers it may be sampled with; `timesteps` those of a call with as many steps; `prediction` what the
    denoiser predicts where that is not what its teacher does; `side` in pixels of the pictures it was trained on where
    that is not the model's own.
    """

    kind: Literal["lora", "denoiser"]
    repo: str
    files: tuple[str, ...] = ("pytorch_lora_weights.safetensors",)
    steps: tuple[int, int] = (1, 1000)
    brings: Mapping[str, str] = {}
    solver: str = ""
    scale: float = 1.0
    timesteps: tuple[int, ...] = ()
    prediction: str = ""
    side: int = 0


WEIGHT_FILES = {".safetensors", ".bin", ".pt", ".pth", ".ckpt"}
FOLDER_FILES = ("pytorch_lora_weights.safetensors", "diffusion_pytorch_model.safetensors")


class MissingWeightsError(ValueError):
    """Weights are not on this machine; the message names the file."""


def find_weights(named: str, files: tuple[str, ...]) -> Path:
    """Return the file that `named` (a file, a folder or a hub id `owner/name`) and one of `files` mean.

    Raises MissingWeightsError.
    """
    path = expand_user(named)
    if path.is_file():
        return path.absolute()
    if path.is_dir():
        return _in_folder(path, files)
    if not _is_hub_id(named):
        raise MissingWeightsError(f"there is no file {path}")
    found = _in_cache(named, files)
    if found is None:
        raise MissingWeightsError(f"{HubFile(named, files)} is not in the Hugging Face cache")
    return found


def wanted_file(named: str, files: tuple[str, ...]) -> HubFile | None:
    """Return the file of the Hub that is meant and is not here; None for one that is here, or a path."""
    here = expand_user(named).exists() or not _is_hub_id(named) or _in_cache(named, files)
    return None if here else HubFile(named, files)


def digest_of(named: str, files: tuple[str, ...]) -> str:
    """Return the sha256 of the file; empty where there is none."""
    try:
        return digest_file(find_weights(named, files))
    except MissingWeightsError:
        return ""


def _in_folder(folder: Path, files: tuple[str, ...]) -> Path:
    wanted = (folder / file for file in (*files, *FOLDER_FILES))
    lone = tuple(folder.glob("*.safetensors"))
    found = next((path for path in wanted if path.is_file()), lone[0] if len(lone) == 1 else None)
    if found is None:
        raise MissingWeightsError(f"{folder} holds no {' or '.join(files)}: say which file with weight_name")
    return found.absolute()


def _is_hub_id(named: str) -> bool:
    path = named.startswith((".", "/", "~")) or Path(named).suffix in WEIGHT_FILES
    return not path and named.count("/") == 1


def _in_cache(repo: str, files: tuple[str, ...]) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    places = (try_to_load_from_cache(repo, file) for file in files)
    return next((Path(place) for place in places if isinstance(place, str)), None)


Shapes = dict[str, tuple[int, ...]]


def shapes_of(path: Path) -> Shapes:
    """Return name → shape of a weight file; ValueError for one that cannot be read."""
    try:
        return _read(path, path.stat().st_mtime_ns)
    except UsageError as error:
        raise ValueError(f"{path.name}: {error.what}. {error.fix}".rstrip()) from error


def denoiser_shapes(model: ModelInfo) -> Shapes:
    """Return name → shape of the model's denoiser; empty where no safetensors file tells."""
    if not model.folder:
        return {}
    folder = Path(model.folder) / ("unet" if "unet" in model.tags else "transformer")
    return {name: shape for path in sorted(folder.glob("*.safetensors")) for name, shape in shapes_of(path).items()}


@lru_cache(maxsize=32)
def _read(path: Path, time: int) -> Shapes:
    return read_shapes(path)


def refuse_denoiser(weights: Shapes, denoiser: Shapes) -> str | None:
    """Return why the weights do not fit the denoiser, or None if they do."""
    for name, shape in weights.items():
        if name not in denoiser:
            return f"its tensor {name} is not in the model's denoiser"
        if shape != denoiser[name]:
            return f"its tensor {name} is {_size(shape)}, in the model {_size(denoiser[name])}"
    if lacking := next((name for name in denoiser if name not in weights), None):
        return f"it lacks the tensor {lacking}"
    return None


def _size(shape: tuple[int, ...]) -> str:
    return "×".join(str(width) for width in shape)


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


def refuse_weights(student: Student, path: Path | None, context: Context) -> str | None:
    """Return why the file cannot be used in this cell, naming both sides; ValueError for one that is unreadable.

    Of a file that is yet to be fetched (None) less can be told.
    """
    if student.timesteps and "flow" in context.model.tags:
        return f"the pipeline of the {context.model.title} takes no timesteps: it walks a flow"
    if path is None:
        return None
    theirs, ours = shapes_of(path), denoiser_shapes(context.model)
    if not theirs or not ours:
        return None
    reason = (refuse_lora if student.kind == "lora" else refuse_denoiser)(theirs, ours)
    return f"{path.name} does not fit the {context.model.title}: {reason}" if reason else None
