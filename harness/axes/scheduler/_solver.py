"""Replaces a pipeline's scheduler by another diffusers class, keeping the model's noise schedule."""

from typing import Any, ClassVar

from harness.core.axis import AxisValue, Context, Setup
from harness.core.effect import Done, Effect
from harness.core.model import Arguments, Call, TextToImage
from harness.core.outcome import Caution

TRAINED = 1000
"""Timesteps that models of noise prediction are trained on, from 0 to 999."""


def steps_of(context: Context) -> int:
    """Return how many steps a cell asks for."""
    return int(context.values["steps"].call_options()["steps"])


def refuse_all_steps(context: Context) -> str | None:
    """Return why a model whose timesteps are counted from 1 cannot take as many steps as it was trained on."""
    if steps_of(context) < TRAINED:
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
        steps = steps_of(context)
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
        return Done(f"scheduler is {self.scheduler_class}{details}{', as the model ships it' if same else ''}")


def _adding(more: Arguments) -> Any:
    def hook(model: TextToImage, call: Call, arguments: Arguments) -> Arguments:
        return {**arguments, **more}

    return hook


def is_flow(config: Any) -> bool:
    """Return whether a scheduler's configuration is of flow matching."""
    return (
        bool(config.get("use_flow_sigmas")) or "shift" in config or config.get("prediction_type") == "flow_prediction"
    )


def flow_sigmas(config: Any) -> dict[str, Any]:
    """Return the options for a model trained with flow matching, with its own shift; none for others."""
    if not is_flow(config):
        return {}
    shift = config.get("flow_shift", config.get("shift", 1.0))
    return {"prediction_type": "flow_prediction", "use_flow_sigmas": True, "flow_shift": shift}


class Flow(Scheduler):
    conflicts: ClassVar = frozenset({"no-pipeline", "diffusion"})

    def flow_options(self, config: Any) -> dict[str, Any]:
        # Sana's own scheduler is a DPM solver, which calls the shift differently.
        own = {} if "shift" in config else {"shift": config.get("flow_shift", 1.0)}
        return {**own, **self.options()}

    def refuse(self, context: Context) -> str | None:
        return None


MOST = 50
"""Timesteps that the student was trained on (`original_inference_steps` of diffusers' schedulers)."""


class Consistency(Scheduler):
    tags: ClassVar = frozenset({"scheduler", "consistency"})

    def refuse(self, context: Context) -> str | None:
        steps = steps_of(context)
        if steps > MOST:
            return f"{self.scheduler_class} has {MOST} timesteps to choose from, the cell asks for {steps} steps"
        return super().refuse(context)

    def cautions(self, context: Context) -> tuple[Caution, ...]:
        if any("distilled" in value.tags for value in context.values.values()):
            return ()
        message = f"{self.scheduler_class} jumps to the picture in every step, which only distilled weights can do"
        advice = "Combine it with a distillation such as lcm-lora, unless the model itself is a consistency model."
        return (Caution(kind="undistilled", message=message, advice=advice),)


COSINE_STEPS = 3
"""Steps from whose next on Karras sigmas of a cosine schedule round to the last timestep twice."""
KARRAS_STEPS = 900
"""The same of the usual schedules, whose largest σ is 10 to 200."""
FLOW_STEPS = 300
"""The same of a flow with the usual shift of 3."""


class WithKarras(Scheduler):
    karras: bool = False

    by_timestep: ClassVar[bool] = False
    """Whether it looks up where it begins by the timestep: with two of them at the beginning it loses a step."""

    def options(self) -> dict[str, Any]:
        return {**self.scheduler_options, **({"use_karras_sigmas": True} if self.karras else {})}

    def refuse(self, context: Context) -> str | None:
        if self.karras and "flow" in context.model.tags:
            return f"Karras sigmas are of diffusion models, the {context.model.title} is trained with flow matching"
        if self.karras and "zero-snr" in context.model.tags:
            return f"Karras sigmas need a largest σ, the {context.model.title} has none (zero terminal SNR)"
        return super().refuse(context) or self._refuse_steps(context)

    def _refuse_steps(self, context: Context) -> str | None:
        """Return why timesteps, which are whole numbers, are too few for so many steps."""
        steps, model = steps_of(context), context.model
        if not self.by_timestep:
            return None
        most = TRAINED - 2  # with more, two steps have the same σ
        if self.karras:
            most = COSINE_STEPS if "cosine-noise" in model.tags else KARRAS_STEPS
        elif "flow" in model.tags:
            most = FLOW_STEPS
        if steps <= most:
            return None
        sigmas, advice = ("Karras sigmas", ", or leave karras out") if self.karras else ("sigmas", "")
        why = f"at {steps} steps the first {sigmas} of the {model.title} round to one timestep"
        return f"{self.scheduler_class} needs distinct timesteps, {why}: take at most {most}{advice}"


class Multistep(WithKarras):
    conflicts: ClassVar = frozenset({"no-pipeline"})
    by_timestep: ClassVar = True

    def flow_options(self, config: Any) -> dict[str, Any]:
        return flow_sigmas(config)
