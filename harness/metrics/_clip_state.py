"""Read the weights of a CLIP checkpoint: OpenAI published TorchScript archives, others share plain tensors."""

import warnings
from pathlib import Path
from typing import Any

_ARCHIVE_ONLY = frozenset({"input_resolution", "context_length", "vocab_size"})


def clip_state(path: Path) -> dict[str, Any]:
    """Return tensors by name; nothing in the file is run but what TorchScript allows."""
    import torch
    from safetensors.torch import load_file

    try:
        state = load_file(path) if path.suffix == ".safetensors" else _load_archive(path)
    except RuntimeError:
        state = torch.load(path, "cpu", weights_only=True)
    return {key: value for key, value in state.items() if key not in _ARCHIVE_ONLY}


def _load_archive(path: Path) -> dict[str, Any]:
    """Return the tensors of a TorchScript archive: torch warns of the format, which its publisher chose."""
    import torch

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`torch.jit.load` is deprecated", FutureWarning)
        found: dict[str, Any] = torch.jit.load(path, "cpu").state_dict()
    return found
