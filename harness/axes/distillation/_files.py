"""Find weights by path, in a folder, or in the Hugging Face cache; nothing is ever fetched in the middle of a run."""

from pathlib import Path

from harness.checkpoints.digest import digest_file
from harness.core.model import HubFile
from harness.core.parsing import expand_user

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


def compute_digest(named: str, files: tuple[str, ...]) -> str:
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
