"""Load few-step weights into a model, with the sampling settings they were trained for."""

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.axes.distillation._weights import Student
from harness.core.effect import Effect, FixedEffect
from harness.core.errors import NoEffect
from harness.core.model import Arguments, Call, CallHook, TextToImage
from harness.core.outcome import Figures

ADAPTER = "distillation"


def load_student(model: TextToImage, student: Student, path: Path, fuse: bool) -> Effect:
    """Change the model in place; NoEffect if the weights change nothing."""
    if student.prediction:
        scheduler = model.pipeline.scheduler
        options = {"prediction_type": student.prediction}  # a later scheduler inherits it
        model.pipeline.scheduler = type(scheduler).from_config(scheduler.config, **options)
    if student.timesteps:
        model.hooks.append(_fix_timesteps(student.timesteps))
    if student.kind == "denoiser":
        return _load_denoiser(model, path)
    return _load_lora(model, path, student.scale, fuse)


def _fix_timesteps(timesteps: tuple[int, ...]) -> CallHook:
    """Return a hook that passes these timesteps in calls from noise with as many steps.

    Other calls use the scheduler's timesteps, as do schedulers that accept none.
    """

    def hook(model: TextToImage, call: Call, arguments: Arguments) -> Arguments:
        parameters = inspect.signature(model.pipeline.scheduler.set_timesteps).parameters
        from_noise = "image" not in arguments
        if "timesteps" in parameters and call.steps == len(timesteps) and from_noise:
            return {**arguments, "timesteps": list(timesteps)}
        return arguments

    return hook


def _load_denoiser(model: TextToImage, path: Path) -> Effect:
    """Replace the denoiser's weights by the file's, in the denoiser's number format."""
    state, before, where = (
        _read_state(path),
        model.denoiser.state_dict(),
        f"distillation {path.name}",
    )
    if set(state) != set(before):
        odd = sorted(set(state) ^ set(before))[0]
        raise NoEffect(f"{path.name} does not fit: {odd} is in one denoiser only", where)
    changed = sum(not (state[name].to(tensor) == tensor).all() for name, tensor in before.items())
    if not changed:
        raise NoEffect("these weights equal the model's", where)
    model.denoiser.load_state_dict(state)
    figures: Figures = {"tensors_replaced": int(changed)}
    return FixedEffect(f"{changed} of {len(before)} tensors of the denoiser replaced", figures)


def _read_state(path: Path) -> dict[str, Any]:
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return dict(load_file(path))
    import torch

    return dict(torch.load(path, map_location="cpu", weights_only=True, mmap=True))


def _load_lora(model: TextToImage, path: Path, scale: float, fuse: bool) -> Effect:
    """Load a LoRA (Hu et al. 2021); `fuse` replaces W by W + scale·BA, free at run time."""
    pipeline, where = model.pipeline, f"distillation {path.name}"
    folder, name = (path, None) if path.is_dir() else (path.parent, path.name)
    pipeline.load_lora_weights(str(folder), weight_name=name, adapter_name=ADAPTER)
    pipeline.set_adapters([ADAPTER], [scale])
    changes = dict(_measure_changes(model.denoiser))
    if not changes:
        raise NoEffect("no layer of the denoiser got a LoRA", where, "Is it of another model?")
    if not any(changes.values()):
        what = "the LoRA changes no weight: B·A is zero everywhere"
        raise NoEffect(what, where, "Was it ever trained?")
    count = len(changes)
    figures: Figures = {"lora_layers": count, "largest_change": max(changes.values())}
    if not fuse:
        summary = f"LoRA next to {count} layers of the denoiser, computed at every call"
        return FixedEffect(summary, figures)
    strongest = max(changes, key=lambda layer: changes[layer])
    before = model.denoiser.get_submodule(strongest).base_layer.weight.detach().clone()
    pipeline.fuse_lora(lora_scale=1.0)  # set_adapters has set the scale
    pipeline.unload_lora_weights()
    if (model.denoiser.get_submodule(strongest).weight == before).all():
        what = f"fused into {before.dtype} weights, the LoRA rounds to nothing"
        raise NoEffect(what, where, "Use +fuse=false.")
    return FixedEffect(f"LoRA fused into {count} layers of the denoiser", figures)


def _measure_changes(denoiser: Any) -> Iterator[tuple[str, float]]:
    """Yield each adapted layer with ‖scale·BA‖ / ‖W‖."""
    for name, layer in denoiser.named_modules():
        if ADAPTER in getattr(layer, "lora_A", {}):
            weight = layer.base_layer.weight.detach().float().norm().item()
            change = layer.get_delta_weight(ADAPTER).detach().float().norm().item()
            yield name, change / max(weight, 1e-30)
