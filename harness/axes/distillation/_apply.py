"""Load a LoRA or a whole denoiser into a model, with the sampling settings it was trained for."""

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.axes.distillation._weights import Student
from harness.core.effect import Done, Effect
from harness.core.errors import NoEffect
from harness.core.model import Arguments, Call, CallHook, TextToImage


def fixed_timesteps(timesteps: tuple[int, ...]) -> CallHook:
    """Return a hook that gives these timesteps to calls from noise with as many steps.

    Others keep their scheduler's own, as do all where the scheduler takes none.
    """

    def hook(model: TextToImage, call: Call, arguments: Arguments) -> Arguments:
        takes = "timesteps" in inspect.signature(model.pipeline.scheduler.set_timesteps).parameters
        if not takes or call.steps != len(timesteps) or "image" in arguments:
            return arguments
        return {**arguments, "timesteps": list(timesteps)}

    return hook


def predict(model: TextToImage, prediction: str) -> None:
    """Tell the scheduler what the denoiser predicts; a scheduler that is put in its place takes it over."""
    scheduler = model.pipeline.scheduler
    model.pipeline.scheduler = type(scheduler).from_config(scheduler.config, prediction_type=prediction)


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
    return Done(f"{changed} of {len(own)} tensors of the denoiser replaced", {"tensors_replaced": int(changed)})


def _read(path: Path) -> dict[str, Any]:
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return dict(load_file(path))
    import torch

    return dict(torch.load(path, map_location="cpu", weights_only=True, mmap=True))


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
        return Done(f"LoRA beside {len(changes)} layers of the denoiser, computed at every call", figures)
    strongest = max(changes, key=lambda layer: changes[layer])
    before = model.denoiser.get_submodule(strongest).base_layer.weight.detach().clone()
    pipeline.fuse_lora(lora_scale=1.0)  # set_adapters has set the scale
    pipeline.unload_lora_weights()
    if (model.denoiser.get_submodule(strongest).weight == before).all():
        raise NoEffect(f"fused into {before.dtype} weights, the LoRA rounds to nothing", where, "Use +fuse=false.")
    return Done(f"LoRA fused into {len(changes)} layers of the denoiser", figures)


def _changes(denoiser: Any) -> Iterator[tuple[str, float]]:
    """Yield each adapted layer with ‖scale·BA‖ / ‖W‖."""
    for name, layer in denoiser.named_modules():
        if ADAPTER in getattr(layer, "lora_A", {}):
            weight = layer.base_layer.weight.detach().float().norm().item()
            yield name, layer.get_delta_weight(ADAPTER).detach().float().norm().item() / max(weight, 1e-30)


def put_student(model: TextToImage, student: Student, path: Path, fuse: bool) -> Effect:
    """Change the model in place; NoEffect where the weights change nothing."""
    if student.prediction:
        predict(model, student.prediction)
    if student.timesteps:
        model.hooks.append(fixed_timesteps(student.timesteps))
    return put_denoiser(model, path) if student.kind == "denoiser" else put_lora(model, path, student.scale, fuse)
