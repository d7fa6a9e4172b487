"""Find weights by path, in a folder, or in the Hugging Face cache; nothing is ever fetched in the middle of a run."""

import hashlib
from pathlib import Path

from harness.core.published import HubFile

_BLOCKS, _BLOCK_BYTES = 64, 2**18
WEIGHT_FILES = {".safetensors", ".bin", ".pt", ".pth", ".ckpt"}
FOLDER_FILES = ("pytorch_lora_weights.safetensors", "diffusion_pytorch_model.safetensors")


class MissingWeightsError(ValueError):
    """Weights are not on this machine; the message names the file."""


def find_weights(named: str, files: tuple[str, ...]) -> Path:
    """Return the file that `named` (a file, a folder or a hub id `owner/name`) and one of `files` mean.

    Raises MissingWeightsError.
    """
    path = Path(named).expanduser()
    if path.is_file():
        return path.resolve()
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
    here = Path(named).expanduser().exists() or not _is_hub_id(named) or _in_cache(named, files)
    return None if here else HubFile(named, files)


def digest_of(named: str, files: tuple[str, ...]) -> str:
    """Return a hash of the file's size and of 64 blocks spread over it, as models have; empty where there is none."""
    try:
        path = find_weights(named, files)
    except MissingWeightsError:
        return ""
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with path.open("rb") as file:
        for number in range(_BLOCKS):
            file.seek(max(0, size - _BLOCK_BYTES) * number // (_BLOCKS - 1))
            digest.update(file.read(_BLOCK_BYTES))
    return digest.hexdigest()


def _in_folder(folder: Path, files: tuple[str, ...]) -> Path:
    wanted = (folder / file for file in (*files, *FOLDER_FILES))
    lone = tuple(folder.glob("*.safetensors"))
    found = next((path for path in wanted if path.is_file()), lone[0] if len(lone) == 1 else None)
    if found is None:
        raise MissingWeightsError(f"{folder} holds no {' or '.join(files)}: say which file with weight_name")
    return found.resolve()


def _is_hub_id(named: str) -> bool:
    path = named.startswith((".", "/", "~")) or Path(named).suffix in WEIGHT_FILES
    return not path and named.count("/") == 1


def _in_cache(repo: str, files: tuple[str, ...]) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    places = (try_to_load_from_cache(repo, file) for file in files)
    return next((Path(place) for place in places if isinstance(place, str)), None)
