"""Swap a pipeline's scheduler for another class, keeping the noise schedule the model was trained with."""

from typing import Any, ClassVar

from harness.core.axis import AxisValue, Context, Setup
from harness.core.effect import Effect, FixedEffect
from harness.core.model import Arguments, Call, TextToImage
from harness.core.outcome import Caution

TRAINED = 1000
"""Timesteps that models of noise prediction are trained on, from 0 to 999."""


def count_steps(context: Context) -> int:
    """Return how many steps a cell asks for."""
    return int(context.values["steps"].call_options()["steps"])


def refuse_all_steps(context: Context) -> str | None:
    """Return why a model whose timesteps are counted from 1 cannot take as many steps as it was trained on."""
    if count_steps(context) < TRAINED:
        return None
    where = f"{TRAINED} steps begin at timestep {TRAINED}"
    return f"{where} (steps_offset), the {context.model.title} was trained on 0 to {TRAINED - 1}: take {TRAINED - 1}"


class Scheduler(AxisValue):
    """A diffusers scheduler class with the settings that make it this value.

    Noise that a stochastic solver adds comes from the generator of each image, so an image does not depend on its
    neighbours in the batch.
    """

    trajectory: ClassVar = "changed"
    tags: ClassVar = frozenset({"scheduler"})
    conflicts: ClassVar = frozenset({"no-pipeline", "flow"})
    scheduler_class: ClassVar[str]
    scheduler_options: ClassVar[dict[str, Any]] = {}
    offset: ClassVar[bool] = False
    """Whether it counts timesteps from the offset that the model's own scheduler has."""
    from_pure_noise: ClassVar[bool] = True
    """Whether it can start where the signal is exactly zero; σ is infinite there."""

    def options(self) -> dict[str, Any]:
        """Return what differs from the model's own scheduler."""
        return self.scheduler_options

    def flow_options(self, config: Any) -> dict[str, Any]:
        """Return what a model trained with flow matching needs, given its own scheduler's configuration."""
        return {}

    def arguments(self) -> Arguments:
        """Return arguments of every call of the pipeline."""
        return {}

    def calls(self, steps: int) -> int:
        """Return how often the denoiser is called in so many steps."""
        return steps

    def workload(self, steps: int) -> float:
        return self.calls(steps) / steps

    def refuse(self, context: Context) -> str | None:
        model = context.model
        if self.offset and "steps-offset" in model.tags and (reason := refuse_all_steps(context)):
            return reason
        if not self.from_pure_noise and "zero-snr" in model.tags:
            where = "starts from pure noise (zero terminal SNR)"
            return f"the {model.title} {where}, and {self.scheduler_class} divides by its signal"
        if "flow" in model.tags and any("cascade" in value.tags for value in context.values.values()):
            return f"{self.scheduler_class} cannot begin in the middle of a flow, as a cascade does: use flow-euler"
        return None

    def cautions(self, context: Context) -> tuple[Caution, ...]:
        steps = count_steps(context)
        calls = self.calls(steps)
        if calls == steps:
            return ()
        message = f"{self.scheduler_class} calls the denoiser {calls} times in {steps} steps"
        return (Caution(kind="denoiser-calls", message=message, advice=f"Compare it with others at {calls} steps."),)

    def apply(self, model: TextToImage, setup: Setup) -> Effect:
        import diffusers

        own = model.pipeline.scheduler
        kept = {"timestep_spacing": "trailing"} if own.config.get("rescale_betas_zero_snr") else {}
        options = {**kept, **self.options(), **self.flow_options(own.config)}
        made = getattr(diffusers, self.scheduler_class).from_config(own.config, **options)
        arguments = self.arguments()
        alike = type(made) is type(own) and all(made.config.get(key) == own.config.get(key) for key in options)
        same = alike and not arguments
        model.pipeline.scheduler = made
        if arguments:
            model.hooks.append(_adding(arguments))
        words = {**self.options(), **arguments}
        details = "".join(f", {key} {value}" for key, value in words.items())
        return FixedEffect(f"scheduler is {self.scheduler_class}{details}{', as the model ships it' if same else ''}")


def _adding(more: Arguments) -> Any:
    def hook(model: TextToImage, call: Call, arguments: Arguments) -> Arguments:
        return {**arguments, **more}

    return hook
