"""Initial noise that depends on (prompt id, seed) alone: the same for every cell, device, precision and batch size."""

import hashlib
from collections.abc import Sequence
from typing import Any

from harness.core.errors import UsageError


def noise_seed(prompt_id: str, seed: int) -> int:
    """Return a 63-bit seed from a stable hash of the pairing key."""
    digest = hashlib.sha256(f"{prompt_id}\0{seed}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generators(keys: Sequence[tuple[str, int]]) -> list[Any]:
    """Return one CPU generator per image, so that an image does not depend on its neighbours in the batch."""
    import torch

    return [torch.Generator("cpu").manual_seed(noise_seed(*key)) for key in keys]


def initial_latents(sources: Sequence[Any], shape: tuple[int, int, int], fixed: Any = None) -> Any:
    """Return float32 standard normal noise of shape (n, *shape), drawn on the CPU, one generator per image.

    Or `fixed`, an array of that shape, for each of them; UsageError where it is of another.
    """
    import torch

    if fixed is None:
        return torch.stack([torch.randn(shape, generator=source) for source in sources])
    if tuple(fixed.shape) != shape:
        what = f"its shape is {tuple(fixed.shape)}, images of this size start from {shape}"
        raise UsageError(what, "prompts.latent", "Use the resolution that it was made for.")
    return torch.as_tensor(fixed, dtype=torch.float32).expand(len(sources), *shape).clone()
