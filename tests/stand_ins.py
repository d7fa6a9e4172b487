"""Weight files with random numbers in the real architecture, for weights that cannot be had on a test machine."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.metrics._weights import WeightFile


def stand_in(path: Path, state: dict[str, Any], key: str) -> WeightFile:
    """Write a checkpoint and return the description under which the metrics accept it."""
    import torch

    torch.save(state, path)
    return described(path, key)


def described(path: Path, key: str) -> WeightFile:
    """The description of a file that is there: its own sha256."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return WeightFile(key=key, file=path.name, sha256=digest, origin="a test")


def _torchvision(architecture: str) -> dict[str, Any]:
    from torchvision import models

    extra = {"aux_logits": False, "init_weights": False} if architecture == "inception_v3" else {}
    state: dict[str, Any] = models.get_model(architecture, weights=None, **extra).state_dict()
    return state


def _vit_b32() -> dict[str, Any]:
    import open_clip

    state: dict[str, Any] = open_clip.CLIP(**open_clip.get_model_config("ViT-B-32-quickgelu")).state_dict()
    return state


RANDOM: dict[str, Callable[[], dict[str, Any]]] = {
    "inception": lambda: _torchvision("inception_v3"),
    "alexnet": lambda: _torchvision("alexnet"),
    "vgg16": lambda: _torchvision("vgg16"),
    "clip": _vit_b32,
}
"""Key of a weight file → random numbers for it; ViT-L/14 at 336 pixels is not among them: it takes gigabytes."""
