"""Bases of values that load few-step weights, with the sampling settings of their training."""

import inspect
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field

from harness.axes.distillation._recipe import write_student
from harness.axes.distillation._weights import (
    Student,
    digest_weights,
    find_missing_file,
    find_weights,
    refuse_weights,
)
from harness.core.axis import AxisValue, Context, Setup, Unavailable, Words
from harness.core.effect import Effect, FixedEffect
from harness.core.errors import NoEffect
from harness.core.machine import Machine
from harness.core.model import Arguments, Call, CallHook, HubFile, ModelInfo, TextToImage
from harness.core.outcome import Caution, Figures
from harness.core.recipe import NoRecipe, RecipeContext, RecipeLines

ADAPTER = "distillation"
MOST_GUIDANCE = 2.0
"""Luo et al. 2023 advise 1 to 2 for consistency-distilled weights."""


class Distilled(AxisValue):
    """`weights` (a file, a folder or a hub id; with `weight_name`) replace the published ones."""

    trajectory: ClassVar = "changed"
    tags: ClassVar = frozenset({"distilled"})
    conflicts: ClassVar = frozenset({"no-pipeline", "no-lora"})

    weights: str = ""
    weight_name: str = ""
    scale: Annotated[float | None, Field(gt=0, le=10)] = None
    """Scale of a LoRA; default: the published one."""
    fuse: bool = True

    def students(self) -> Mapping[str, Student]:
        """Return the published weights for these options, by model family."""
        raise NotImplementedError

    def student(self, family: str) -> Student | None:
        """Return the student for a family; the user's files replace the published ones."""
        found = self.students().get(family)
        if self.weights:
            found = (found or Student("lora", ""))._replace(repo=self.weights)
            found = found._replace(files=(self.weight_name,)) if self.weight_name else found
        return found._replace(scale=self.scale) if found and self.scale else found

    def brings(self, model: ModelInfo) -> Mapping[str, str]:
        student = self.student(model.family)
        return student.brings if student else {}

    def fingerprint(self, model: ModelInfo) -> str:
        student = self.student(model.family)
        digest = digest_weights(student.repo, student.files) if student else ""
        return digest or " ".join(map(str, self.wants(model)))

    def wants(self, model: ModelInfo | None) -> tuple[HubFile, ...]:
        students = [self.student(model.family)] if model else list(self.students().values())
        files = [find_missing_file(student.repo, student.files) for student in students if student]
        return tuple(file for file in files if file) if all(files) else ()

    def refuse(self, context: Context) -> str | None:
        student, title = self.student(context.model.family), context.model.title
        if student is None:
            return f"no such weights are published for the {title}: name a file with weights"
        if student.kind == "denoiser" and (self.scale is not None or not self.fuse):
            return "these weights are a whole denoiser, not a LoRA: leave out scale and fuse"
        try:
            missing = self.wants(context.model)
            path = None if missing else find_weights(student.repo, student.files)
            return refuse_weights(student, path, context)
        except ValueError as error:
            return str(error)

    def cautions(self, context: Context) -> tuple[Caution, ...]:
        student = self.student(context.model.family)
        return tuple(_yield_cautions(student, context)) if student else ()

    def apply(self, model: TextToImage, setup: Setup) -> Effect:
        student = self.student(model.family)
        assert student is not None  # else the plan refused
        path = find_weights(student.repo, student.files)
        return load_student(model, student, path, self.fuse)

    def recipe(self, context: RecipeContext) -> RecipeLines | NoRecipe:
        student = self.student(context.model.family)
        if student is None:
            return NoRecipe(reason=f"no such weights are published for the {context.model.title}")
        path = find_weights(student.repo, student.files)
        return write_student(student, path, self.fuse, context)


class UserWeights(Distilled):
    """`timesteps` such as `999-749-499-249` are used in calls with as many steps."""

    timesteps: Words = ""

    def kind(self) -> Student:
        """Return a student of this kind of weights, without a repository."""
        raise NotImplementedError

    def students(self) -> Mapping[str, Student]:
        return {}

    def student(self, family: str) -> Student | None:
        if not self.weights:
            return None
        found = self.kind()._replace(repo=self.weights, scale=self.scale or 1.0)
        files = (self.weight_name,) if self.weight_name else found.files
        words = self.timesteps.split("-")
        return found._replace(files=files, timesteps=tuple(int(w) for w in words if w.isdigit()))

    def unavailable(self, machine: Machine) -> Unavailable | None:
        if self.weights:
            return None
        return Unavailable(reason="needs the option weights", hint="a file or a hub id")

    def refuse(self, context: Context) -> str | None:
        if not self.weights:
            return None  # `unavailable` reports it
        for word in filter(None, self.timesteps.split("-")):
            if not (word.isdigit() and int(word) < 1000):
                return f"timesteps are numbers from 0 to 999, not {word}"
        return super().refuse(context)


def _yield_cautions(student: Student, context: Context) -> Iterator[Caution]:
    """Yield warnings where steps, guidance, scheduler or size differ from the training."""
    steps, (fewest, most) = context.steps, student.steps
    if not fewest <= steps <= most:
        trained = str(most) if fewest == most else f"{fewest} to {most}"
        message = f"{steps} steps with weights that were trained for {trained}"
        advice = (
            "More steps take time without gain." if steps > most else "Fewer leave blur or noise."
        )
        yield Caution(kind="distilled-steps", message=message, advice=advice)
    guidance = float(context.values["guidance"].call_options()["guidance"])
    if student.brings.get("guidance") == "1" and guidance > MOST_GUIDANCE:
        message = f"guidance {guidance:g} with guidance-distilled weights burns the colours"
        yield Caution(
            kind="guided-twice", message=message, advice="Use 1, which also halves the work."
        )
    if student.solver and student.solver not in context.values["scheduler"].tags:
        message = f"these weights were trained for the scheduler {student.brings.get('scheduler')}"
        advice = "Leave the scheduler out: the weights set it."
        yield Caution(kind="distilled-scheduler", message=message, advice=advice)
    resolution = context.values["resolution"]
    size = resolution.call_options()
    too_large = student.side and max(size.values(), default=0) > student.side
    if too_large and "cascade" not in resolution.tags:
        trained = f"{student.side}x{student.side}"
        message = f"{size['width']}x{size['height']} with weights that were trained for {trained}"
        advice = f"Use resolution {trained}, and a baseline of that size."
        yield Caution(kind="distilled-size", message=message, advice=advice)


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
