"""Read the weights of a CLIP checkpoint: OpenAI published TorchScript archives, others share plain tensors."""

from pathlib import Path
from typing import Any

_ARCHIVE_ONLY = frozenset({"input_resolution", "context_length", "vocab_size"})


def clip_state(path: Path) -> dict[str, Any]:
    """Return tensors by name; nothing in the file is run but what TorchScript allows."""
    import torch
    from safetensors.torch import load_file

    try:
        state = load_file(path) if path.suffix == ".safetensors" else torch.jit.load(path, "cpu").state_dict()
    except RuntimeError:
        state = torch.load(path, "cpu", weights_only=True)
    return {key: value for key, value in state.items() if key not in _ARCHIVE_ONLY}
