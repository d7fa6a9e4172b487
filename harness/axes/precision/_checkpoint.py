"""What a checkpoint tells before it is loaded: the names of the denoiser's layers, what is quantized already."""

import json
from pathlib import Path

from harness.core.model import ModelInfo


def denoiser_layers(model: ModelInfo) -> tuple[str, ...]:
    """Return the names of layers with a matrix or a kernel as weight; empty where no safetensors file tells them."""
    from safetensors import safe_open

    if not model.folder:
        return ()
    folder = Path(model.folder) / _denoiser(model)
    found: set[str] = set()
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, framework="numpy") as file:
            weights = [name for name in file.keys() if name.endswith(".weight")]  # noqa: SIM118
            found |= {name.removesuffix(".weight") for name in weights if len(file.get_slice(name).get_shape()) > 1}
    return tuple(sorted(found))


def packed_parts(model: ModelInfo, parts: tuple[str, ...]) -> dict[str, str]:
    """Return the parts that the checkpoint holds quantized as a whole, each with the method, such as bitsandbytes."""
    folders = {"denoiser": _denoiser(model), "text-encoder": "text_encoder*", "vae": "vae"}
    found = {}
    for part in parts if model.folder else ():
        files = Path(model.folder).glob(f"{folders[part]}/config.json")
        configs = [json.loads(file.read_text(encoding="utf-8")).get("quantization_config") for file in files]
        if configs and all(configs):
            found[part] = str(configs[0].get("quant_method", "an unnamed method"))
    return found


def _denoiser(model: ModelInfo) -> str:
    return "unet" if "unet" in model.tags else "transformer"
