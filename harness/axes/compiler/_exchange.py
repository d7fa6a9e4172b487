"""Put something else in the denoiser's place, and prove that it computes the same."""

from collections.abc import Callable
from typing import Any, NamedTuple

from harness.axes.compiler._inputs import Inputs, join
from harness.axes.compiler._recording import Recording
from harness.core.effect import Effect
from harness.core.errors import HarnessError, NoEffect
from harness.core.model import TextToImage
from harness.core.outcome import Shown


class Engine(NamedTuple):
    """What computes in the denoiser's place: from tensors by name to one tensor of the same device and dtype."""

    run: Callable[[dict[str, Any]], Any]
    engine_bytes: int
    """Bytes of its weights."""
    name: str
    origin: str
    """Whether it was built or came from a warm cache."""
    figures: dict[str, float | int | str]


def eager_output(model: TextToImage, recording: Recording) -> Any:
    """Return what the denoiser itself makes of the recorded inputs."""
    import torch

    with torch.no_grad():
        return model.denoiser(**join(Inputs(recording.inputs.tensors, recording.inputs.constants)))[0]


def distance(output: Any, reference: Any) -> float:
    """Return ‖output − reference‖ / ‖reference‖."""
    return float((output.float() - reference.float()).norm() / reference.float().norm())


def exchange(model: TextToImage, recording: Recording, engine: Engine, reference: Any, limit: float) -> Effect:
    """Put the engine in the denoiser's place and return its effect.

    `limit` is the largest relative error ‖engine − eager‖ / ‖eager‖ on the recorded inputs; above it, HarnessError.
    """
    from harness.axes.compiler._module import Replacement

    output = engine.run(recording.inputs.tensors)
    error = distance(output, reference)
    if not error <= limit:  # NaN too
        what = f"{engine.name} is {error:.2g} away from the eager denoiser, relative; at most {limit:g} was expected"
        raise HarnessError(what, "compiler", "Use another precision or compiler: this engine computes something else.")
    model.denoiser = Replacement(model.denoiser, recording, engine.run, engine.engine_bytes)
    return Replaced(engine, error)


class Replaced(Effect):
    """Counts the calls of the engine: what a cache or a cascade leaves unused has no effect."""

    def __init__(self, engine: Engine, error: float) -> None:
        self._engine, self._error, self._before = engine, error, 0

    def start(self, model: TextToImage) -> None:
        self._before = model.denoiser.calls

    def report(self, model: TextToImage, calls: int) -> Shown:
        made = (model.denoiser.calls - self._before) / calls
        if not made:
            raise NoEffect(f"{self._engine.name} was never called", "compiler")
        engine = self._engine
        summary = f"denoiser run by {engine.name} ({engine.origin}), {self._error:.1g} from eager"
        return Shown(
            summary=summary, figures={**engine.figures, "parity_error": self._error, "engine_calls": round(made, 2)}
        )
