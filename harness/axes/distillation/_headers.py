"""Shapes of the tensors in weight files, read without loading them."""

from functools import lru_cache
from pathlib import Path

from harness.checkpoints.header import read_shapes
from harness.core.errors import UsageError
from harness.core.model import ModelInfo

Shapes = dict[str, tuple[int, ...]]


def load_shapes(path: Path) -> Shapes:
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
    return {name: shape for path in sorted(folder.glob("*.safetensors")) for name, shape in load_shapes(path).items()}


@lru_cache(maxsize=32)
def _read(path: Path, time: int) -> Shapes:
    return read_shapes(path)
