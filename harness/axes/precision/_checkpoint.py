"""What a checkpoint tells before it is loaded: the names of the denoiser's layers."""

from pathlib import Path

from harness.core.model import ModelInfo


def denoiser_layers(model: ModelInfo) -> tuple[str, ...]:
    """Return the names of layers with a matrix or a kernel as weight; empty where no safetensors file tells them."""
    from safetensors import safe_open

    if not model.folder:
        return ()
    folder = Path(model.folder) / ("unet" if "unet" in model.tags else "transformer")
    found: set[str] = set()
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, framework="numpy") as file:
            weights = [name for name in file.keys() if name.endswith(".weight")]  # noqa: SIM118
            found |= {name.removesuffix(".weight") for name in weights if len(file.get_slice(name).get_shape()) > 1}
    return tuple(sorted(found))
