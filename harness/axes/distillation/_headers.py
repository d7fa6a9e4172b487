"""Shapes of the tensors in weight files, read without loading them."""

from functools import lru_cache
from pathlib import Path

from harness.axes.distillation._pickled import pickled_shapes
from harness.core.model import ModelInfo

Shapes = dict[str, tuple[int, ...]]


def shapes_of(path: Path) -> Shapes:
    """Return name → shape of a weight file; ValueError for one that cannot be read."""
    return _read(path, path.stat().st_mtime_ns)


def denoiser_shapes(model: ModelInfo) -> Shapes:
    """Return name → shape of the model's denoiser; empty where no safetensors file tells."""
    if not model.folder:
        return {}
    folder = Path(model.folder) / ("unet" if "unet" in model.tags else "transformer")
    return {name: shape for path in sorted(folder.glob("*.safetensors")) for name, shape in shapes_of(path).items()}


@lru_cache(maxsize=32)
def _read(path: Path, time: int) -> Shapes:
    from safetensors import SafetensorError, safe_open

    if path.suffix != ".safetensors":
        return pickled_shapes(path)
    try:
        with safe_open(path, framework="numpy") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"{path.name} is no safetensors file: {error}") from error
