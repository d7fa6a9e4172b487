"""Put a LoRA (Hu et al. 2021) into a loaded model, fused into its weights or beside them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.core.effect import Effect, FixedEffect
from harness.core.errors import NoEffect
from harness.core.model import TextToImage

ADAPTER = "distillation"
Layers = dict[str, float]


def put_lora(model: TextToImage, path: Path, scale: float, fuse: bool) -> Effect:
    """Load the LoRA; with `fuse`, W + scale·BA takes W's place and nothing is left to compute at run time."""
    pipeline, where = model.pipeline, f"distillation {path.name}"
    folder, name = (path, None) if path.is_dir() else (path.parent, path.name)
    pipeline.load_lora_weights(str(folder), weight_name=name, adapter_name=ADAPTER)
    pipeline.set_adapters([ADAPTER], [scale])
    changes = dict(_changes(model.denoiser))
    if not changes:
        raise NoEffect("no layer of the denoiser got a LoRA", where, "Is it of another model?")
    if not any(changes.values()):
        raise NoEffect("the LoRA changes no weight (B·A is zero everywhere)", where, "Was it ever trained?")
    figures: dict[str, float | int | str] = {"lora_layers": len(changes), "largest_change": max(changes.values())}
    if not fuse:
        return FixedEffect(f"LoRA beside {len(changes)} layers of the denoiser, computed at every call", figures)
    strongest = max(changes, key=lambda layer: changes[layer])
    before = model.denoiser.get_submodule(strongest).base_layer.weight.detach().clone()
    pipeline.fuse_lora(lora_scale=1.0)  # set_adapters has set the scale
    pipeline.unload_lora_weights()
    if (model.denoiser.get_submodule(strongest).weight == before).all():
        raise NoEffect(f"fused into {before.dtype} weights, the LoRA rounds to nothing", where, "Use +fuse=false.")
    return FixedEffect(f"LoRA fused into {len(changes)} layers of the denoiser", figures)


def _changes(denoiser: Any) -> Iterator[tuple[str, float]]:
    """Yield each adapted layer with ‖scale·BA‖ / ‖W‖."""
    for name, layer in denoiser.named_modules():
        if ADAPTER in getattr(layer, "lora_A", {}):
            weight = layer.base_layer.weight.detach().float().norm().item()
            yield name, layer.get_delta_weight(ADAPTER).detach().float().norm().item() / max(weight, 1e-30)
