"""Put the weights of another denoiser of the same architecture into a loaded model."""

from pathlib import Path
from typing import Any

from harness.core.effect import Effect, FixedEffect
from harness.core.errors import NoEffect
from harness.core.model import TextToImage


def put_denoiser(model: TextToImage, path: Path) -> Effect:
    """Load the file's weights over the denoiser's own, in the number format it has."""
    state, own = _read(path), model.denoiser.state_dict()
    if set(state) != set(own):
        odd = sorted(set(state) ^ set(own))[0]
        raise NoEffect(f"{path.name} does not fit: {odd} is in one denoiser only", f"distillation {path.name}")
    changed = sum(not (state[name].to(tensor) == tensor).all() for name, tensor in own.items())
    if not changed:
        raise NoEffect("these are the weights that the model has already", f"distillation {path.name}")
    model.denoiser.load_state_dict(state)
    return FixedEffect(f"{changed} of {len(own)} tensors of the denoiser replaced", {"tensors_replaced": int(changed)})


def _read(path: Path) -> dict[str, Any]:
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return dict(load_file(path))
    import torch

    return dict(torch.load(path, map_location="cpu", weights_only=True, mmap=True))
