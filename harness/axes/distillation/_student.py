"""A published student: which file it is, and how its authors sample from it."""

from collections.abc import Mapping
from typing import Literal, NamedTuple


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
