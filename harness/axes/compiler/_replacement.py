"""Record the denoiser's inputs, replace the denoiser by an engine, check their parity.

Imports torch.
"""

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from diffusers.models.modeling_outputs import Transformer2DModelOutput

from harness.core.effect import Effect
from harness.core.errors import HarnessError, NoEffect
from harness.core.model import Call, TextToImage
from harness.core.outcome import Figures, Shown
from harness.core.trace import region

Tensors = dict[str, Any]

RECORDED_IMAGES = 2
"""Images of the recorded call: with one, torch.export takes the batch for a constant."""


class Inputs(NamedTuple):
    """One denoiser call: tensors by name (`added_cond_kwargs.text_embeds`) and other arguments."""

    tensors: Tensors
    constants: dict[str, Any]


def split(signature: inspect.Signature, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Inputs:
    """Return the tensors of a call by name, also those inside dictionaries, and its constants."""
    named: dict[str, Any] = {}
    for name, value in signature.bind(*args, **kwargs).arguments.items():
        if isinstance(value, dict) and value:
            named |= {f"{name}.{key}": item for key, item in value.items()}
        else:
            named[name] = value
    tensors = {name: value for name, value in named.items() if hasattr(value, "shape")}
    return Inputs(tensors, {name: value for name, value in named.items() if name not in tensors})


def join(inputs: Inputs) -> dict[str, Any]:
    """Return the keyword arguments that `split` took apart."""
    joined: dict[str, Any] = {}
    for name, value in (inputs.constants | inputs.tensors).items():
        outer, dot, key = name.partition(".")
        if dot:
            joined.setdefault(outer, {})[key] = value
        else:
            joined[outer] = value
    return joined


Dimension = tuple[str, int]
"""A tensor's name and the number of one of its dimensions."""


class Recording(NamedTuple):
    """The inputs of a call with two images, and the dimensions that change together.

    The first group of `groups` is the batch; the others grow with the width, the height, or both.
    """

    signature: inspect.Signature
    inputs: Inputs
    groups: tuple[tuple[Dimension, ...], ...]

    def sizes(self) -> tuple[int, ...]:
        """Return the size of each group's dimensions in the recorded call."""
        return tuple(self.inputs.tensors[name].shape[axis] for (name, axis), *_ in self.groups)


def record(model: TextToImage, call: Call) -> Recording:
    """Return the denoiser's inputs for two images of `call`, without running the denoiser.

    A second call with another batch, width and height, each multiplied by a different factor,
    shows which dimensions they change.
    """
    signature = inspect.signature(model.denoiser.forward)
    given = _catch_inputs(model, _repeat_prompt(call, RECORDED_IMAGES))
    larger = {"width": 2 * call.width, "height": 3 * call.height}
    other = _catch_inputs(
        model, _repeat_prompt(call, RECORDED_IMAGES + 1).model_copy(update=larger)
    )
    first, second = (split(signature, args, kwargs).tensors for args, kwargs in (given, other))
    groups: dict[tuple[int, int], list[Dimension]] = {}
    for name, tensor in first.items():
        for axis, pair in enumerate(zip(tensor.shape, second[name].shape, strict=True)):
            if pair[0] != pair[1]:
                groups.setdefault(pair, []).append((name, axis))
    batch = [
        pair for pair in groups if pair[0] * (RECORDED_IMAGES + 1) == pair[1] * RECORDED_IMAGES
    ]
    ordered = [*batch, *(pair for pair in groups if pair not in batch)]
    dimensions = tuple(tuple(groups[pair]) for pair in ordered)
    return Recording(signature, split(signature, *given), dimensions)


def measure_sizes(recording: Recording, model: TextToImage, call: Call) -> tuple[int, ...]:
    """Return the size of each group's dimensions in `call`, with the recorded number of images."""
    args, kwargs = _catch_inputs(model, _repeat_prompt(call, RECORDED_IMAGES))
    return recording._replace(inputs=split(recording.signature, args, kwargs)).sizes()


def _repeat_prompt(call: Call, count: int) -> Call:
    keys = tuple((f"recorded-{number}", 0) for number in range(count))
    prompts, negatives = (call.prompts or ("an image",))[:1] * count, call.negatives[:1] * count
    return call.model_copy(update={"prompts": prompts, "keys": keys, "negatives": negatives})


class _InputsCaught(Exception):
    """Ends a pipeline call at the first call of its denoiser."""


def _catch_inputs(model: TextToImage, call: Call) -> tuple[tuple[Any, ...], dict[str, Any]]:
    caught: list[Any] = []

    def catch(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        caught.extend((args, kwargs))
        raise _InputsCaught

    handle = model.denoiser.register_forward_pre_hook(catch, with_kwargs=True)
    hooks, model.hooks[:] = list(model.hooks), []  # they change no shape
    try:
        model.text_to_image(call)
    except _InputsCaught:
        pass
    finally:
        handle.remove()
        model.hooks[:] = hooks
    return caught[0], caught[1]


class Engine(NamedTuple):
    """Computes the denoiser's output from tensors by name, on the same device and in its dtype."""

    run: Callable[[Tensors], Any]
    weights_bytes: int
    name: str
    origin: str
    """Whether it was built or came from a warm cache, in words."""
    figures: Figures


def run_eager(model: TextToImage, recording: Recording) -> Any:
    """Return the denoiser's own output for the recorded inputs."""
    with torch.no_grad():
        return model.denoiser(**join(recording.inputs))[0]


def compute_distance(output: Any, reference: Any) -> float:
    """Return ‖output − reference‖ / ‖reference‖."""
    return float((output.float() - reference.float()).norm() / reference.float().norm())


def exchange(
    model: TextToImage, recording: Recording, engine: Engine, reference: Any, limit: float
) -> Effect:
    """Replace the denoiser by the engine and return the effect.

    Raises HarnessError if the relative error ‖engine − eager‖ / ‖eager‖ on the recorded inputs
    exceeds `limit`.
    """
    error = compute_distance(engine.run(recording.inputs.tensors), reference)
    if not error <= limit:  # NaN too
        raise HarnessError(
            f"{engine.name} differs from the eager denoiser by {error:.2g} (relative); "
            f"the limit is {limit:g}",
            "compiler",
            "Use another precision or compiler: this engine computes something else.",
        )
    model.denoiser = Replacement(model.denoiser, recording, engine)
    return EngineCalls(engine, error)


class EngineCalls(Effect):
    """Counts the engine's calls: an engine that a cache or a cascade never calls has no effect."""

    def __init__(self, engine: Engine, error: float) -> None:
        self._engine, self._error, self._before = engine, error, 0

    def start(self, model: TextToImage) -> None:
        self._before = model.denoiser.calls

    def report(self, model: TextToImage, calls: int) -> Shown:
        engine, made = self._engine, (model.denoiser.calls - self._before) / calls
        if not made:
            raise NoEffect(f"{engine.name} was never called", "compiler")
        summary = f"denoiser run by {engine.name} ({engine.origin}), {self._error:.1g} from eager"
        figures = {"parity_error": self._error, "engine_calls": round(made, 2)}
        return Shown(summary=summary, figures={**engine.figures, **figures})


class FlatDenoiser(torch.nn.Module):
    """A denoiser that takes its tensors in the recorded order and returns one tensor."""

    def __init__(self, denoiser: torch.nn.Module, recording: Recording) -> None:
        super().__init__()
        self.denoiser, self.recording = denoiser, recording

    def forward(self, *tensors: torch.Tensor) -> torch.Tensor:
        inputs = self.recording.inputs
        named = dict(zip(inputs.tensors, tensors, strict=True))
        for (name, axis), *others in self.recording.groups:
            for (
                other,
                dimension,
            ) in others:  # else the exporter gives each tensor its own batch size
                torch._check(named[name].shape[axis] == named[other].shape[dimension])
        return self.denoiser(**join(Inputs(named, inputs.constants)))[0]


class Replacement(torch.nn.Module):
    """Takes the denoiser's place in a pipeline and computes with an engine.

    The denoiser remains as a skeleton without weights: pipelines read its configuration.
    """

    def __init__(self, skeleton: torch.nn.Module, recording: Recording, engine: Engine) -> None:
        super().__init__()
        self.__dict__["_skeleton"] = skeleton.to("meta")  # not a submodule: it has no weights
        self._dtype, self._recording, self._run = skeleton.dtype, recording, engine.run
        self.device = next(iter(recording.inputs.tensors.values())).device
        self.engine_bytes, self.calls = engine.weights_bytes, 0

    @property
    def dtype(self) -> torch.dtype:
        return self._dtype

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(self.__dict__["_skeleton"], name)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        given = split(self._recording.signature, args, kwargs)
        known = self._recording.inputs.tensors
        if set(given.tensors) != set(known):
            raise HarnessError(
                f"the denoiser was exported for {sorted(known)} but called with "
                f"{sorted(given.tensors)}",
                "compiler",
                "Leave out the value that changes the denoiser's arguments, or use eager.",
            )
        self.calls += 1
        with region("engine"):
            output = self._run(given.tensors)
        if given.constants.get("return_dict", True):
            return Transformer2DModelOutput(sample=output)
        return (output,)
