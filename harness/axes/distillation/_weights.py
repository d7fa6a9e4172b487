"""Few-step weights: where their files are, and whether they fit the model before it is loaded."""

import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Literal, NamedTuple

from harness.checkpoints.digest import digest_file
from harness.checkpoints.header import read_shapes
from harness.core.axis import Context
from harness.core.errors import UsageError
from harness.core.model import HubFile, ModelInfo
from harness.core.parsing import expand_user

WEIGHT_FILES = {".safetensors", ".bin", ".pt", ".pth", ".ckpt"}
FOLDER_FILES = ("pytorch_lora_weights.safetensors", "diffusion_pytorch_model.safetensors")

LAYER = re.compile(r"^(.+?)[._]lora[._](A|B|down|up)(?:\.\w+)?\.weight$")
"""LoRA layers as peft, older diffusers and kohya's trainer name them."""
PREFIX = re.compile(
    r"^(?:base_model\.model\.)?"
    r"(?:diffusion_model\.|unet\.|transformer\.|lora_unet_|lora_transformer_)"
)
MAGNITUDE = re.compile(r"^(.+?)[._](?:lora_magnitude_vector(?:\.\w+)?|dora_scale)$")
"""Magnitudes of DoRA (Liu et al. 2024): peft gives every layer one if any layer has one."""
ENCODER = re.compile(r"^(?:text_encoder|lora_te)")
FOREIGN = re.compile(
    r"(?:^|_)(?:input_blocks|middle_block|output_blocks"
    r"|double_blocks|single_blocks|joint_blocks)_"
)
"""Layer names of original repositories, which diffusers translates: only widths are compared."""

Shapes = Mapping[str, tuple[int, ...]]
Widths = dict[str, dict[str, int]]


class Student(NamedTuple):
    """Few-step weights and their published settings."""

    kind: Literal["lora", "denoiser"]
    repo: str
    files: tuple[str, ...] = ("pytorch_lora_weights.safetensors",)
    """Names of the same weights; the first is the one to download."""
    steps: tuple[int, int] = (1, 1000)
    """Fewest and most steps that it was trained for."""
    brings: Mapping[str, str] = {}
    """Settings for axes that the matrix leaves open."""
    solver: str = ""
    """A tag of the schedulers that it supports."""
    scale: float = 1.0
    timesteps: tuple[int, ...] = ()
    """Timesteps of calls with this many steps."""
    prediction: str = ""
    """What the denoiser predicts, if other than its teacher."""
    side: int = 0
    """Side of its training images in pixels, if other than the model's."""


class MissingWeightsError(ValueError):
    """Weights are not on this machine; the message names the file."""


def find_weights(source: str, files: tuple[str, ...]) -> Path:
    """Return the path of one of `files` in a file, a folder or a hub id `owner/name`.

    Raises MissingWeightsError; never downloads.
    """
    path = expand_user(source)
    if path.is_file():
        return path.absolute()
    if path.is_dir():
        return _find_in_folder(path, files)
    if not _is_hub_id(source):
        raise MissingWeightsError(f"there is no file {path}")
    found = _find_in_cache(source, files)
    if found is None:
        raise MissingWeightsError(f"{HubFile(source, files)} is not in the Hugging Face cache")
    return found


def find_missing_file(source: str, files: tuple[str, ...]) -> HubFile | None:
    """Return the file of the Hub that is not on this machine; None for a local one or a path."""
    local = expand_user(source).exists() or not _is_hub_id(source) or _find_in_cache(source, files)
    return None if local else HubFile(source, files)


def digest_weights(source: str, files: tuple[str, ...]) -> str:
    """Return the sha256 of the file; empty if it is missing."""
    try:
        return digest_file(find_weights(source, files))
    except MissingWeightsError:
        return ""


def _find_in_folder(folder: Path, files: tuple[str, ...]) -> Path:
    wanted = (folder / file for file in (*files, *FOLDER_FILES))
    found = next((path for path in wanted if path.is_file()), None)
    single = tuple(folder.glob("*.safetensors"))
    if found is None and len(single) == 1:
        found = single[0]
    if found is None:
        what = f"{folder} has no {' or '.join(files)}: name the file with weight_name"
        raise MissingWeightsError(what)
    return found.absolute()


def _is_hub_id(source: str) -> bool:
    path = source.startswith((".", "/", "~")) or Path(source).suffix in WEIGHT_FILES
    return not path and source.count("/") == 1


def _find_in_cache(repo: str, files: tuple[str, ...]) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    places = (try_to_load_from_cache(repo, file) for file in files)
    return next((Path(place) for place in places if isinstance(place, str)), None)


def refuse_weights(student: Student, path: Path | None, context: Context) -> str | None:
    """Return why the weights cannot be used in this cell, or None.

    `path` is None for a file that is not downloaded yet. Raises ValueError for an unreadable file.
    """
    model = context.model
    if student.timesteps and "flow" in model.tags:
        return f"the pipeline of the {model.title} uses a flow and takes no timesteps"
    if path is None:
        return None
    weights, denoiser = read_file_shapes(path), _read_denoiser_shapes(model)
    if not weights or not denoiser:
        return None
    reason = (refuse_lora if student.kind == "lora" else refuse_denoiser)(weights, denoiser)
    return f"{path.name} does not fit the {model.title}: {reason}" if reason else None


def read_file_shapes(path: Path) -> Shapes:
    """Return name → shape of a weight file; ValueError if it cannot be read."""
    try:
        return _read(path, path.stat().st_mtime_ns)
    except UsageError as error:
        raise ValueError(f"{path.name}: {error.what}. {error.fix}".rstrip()) from error


@lru_cache(maxsize=32)
def _read(path: Path, time: int) -> Shapes:
    return read_shapes(path)


def _read_denoiser_shapes(model: ModelInfo) -> Shapes:
    """Return name → shape of the model's denoiser; empty if it has no safetensors files."""
    if not model.folder:
        return {}
    folder = Path(model.folder) / ("unet" if "unet" in model.tags else "transformer")
    files = (read_file_shapes(path) for path in sorted(folder.glob("*.safetensors")))
    return {name: shape for shapes in files for name, shape in shapes.items()}


def refuse_denoiser(weights: Shapes, denoiser: Shapes) -> str | None:
    """Return why the weights do not fit the denoiser, or None if they do."""
    for name, shape in weights.items():
        if name not in denoiser:
            return f"its tensor {name} is not in the model's denoiser"
        if shape != denoiser[name]:
            theirs, ours = ("×".join(map(str, sizes)) for sizes in (shape, denoiser[name]))
            return f"its tensor {name} is {theirs}, in the model {ours}"
    if missing := next((name for name in denoiser if name not in weights), None):
        return f"it lacks the tensor {missing}"
    return None


def refuse_lora(lora: Shapes, denoiser: Shapes) -> str | None:
    """Return why the LoRA does not fit the denoiser, or None if it does."""
    layers = _read_lora_widths(lora)
    if not layers:
        return "it has no LoRA layers of a denoiser"
    magnitudes = sum(bool(MAGNITUDE.match(name)) and not ENCODER.match(name) for name in lora)
    if 0 < magnitudes < len(layers):
        return f"it has DoRA magnitudes for {magnitudes} of its {len(layers)} layers, not for all"
    matrices = {name: shape for name, shape in denoiser.items() if len(shape) > 1}
    known = {_unify_name(n.removesuffix(".weight")): shape for n, shape in matrices.items()}
    inputs = {shape[1] for shape in known.values()}
    for layer, widths in layers.items():
        shape = known.get(layer) or known.get(f"{layer}_0")  # older diffusers: to_out, not to_out.0
        if shape is None and FOREIGN.search(layer):
            if widths.get("in") not in inputs:
                channels = f"{widths.get('in')} channels"
                return f"its layer {layer} takes {channels}, no layer of the model does"
        elif shape is None:
            return f"its layer {layer} is not in the model"
        elif (widths.get("out"), widths.get("in")) != shape[:2]:
            theirs = f"{widths.get('in')} → {widths.get('out')}"
            ours = f"{shape[1]} → {shape[0]}"
            return f"its layer {layer} is {theirs} channels, in the model {ours}"
    return None


def _read_lora_widths(lora: Shapes) -> Widths:
    """Return the widths in and out of every denoiser layer that the LoRA changes."""
    found: Widths = {}
    for name, shape in lora.items():
        match = LAYER.match(name)
        if match and not ENCODER.match(name) and len(shape) > 1:
            side, width = ("in", shape[1]) if match[2] in ("A", "down") else ("out", shape[0])
            found.setdefault(_unify_name(PREFIX.sub("", match[1])), {})[side] = width
    return found


def _unify_name(name: str) -> str:
    return name.replace(".processor", "").replace(".", "_")
