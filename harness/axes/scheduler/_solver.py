"""Base of schedulers: another diffusers class with the model's noise schedule."""

from typing import Any, ClassVar

from harness.core.axis import AxisValue, Context, Setup
from harness.core.effect import Effect, FixedEffect
from harness.core.model import Arguments, Call, TextToImage
from harness.core.outcome import Caution
from harness.core.recipe import RecipeContext, RecipeLines

TRAINED = 1000
"""Training timesteps of models with noise prediction, 0 to 999."""
CONSISTENCY_STEPS = 50
"""Training timesteps of consistency students (`original_inference_steps` in diffusers)."""
COSINE_STEPS = 3
"""With more Karras steps of a cosine schedule, the first two round to the last timestep."""
KARRAS_STEPS = 900
"""The same limit for the usual schedules, whose largest σ is 10 to 200."""
FLOW_STEPS = 300
"""The same limit for a flow with the usual shift of 3."""


def refuse_all_steps(context: Context) -> str | None:
    """Return why a model with timesteps counted from 1 cannot make all its training steps."""
    if context.steps < TRAINED:
        return None
    title = context.model.title
    return (
        f"{TRAINED} steps begin at timestep {TRAINED} (steps_offset), but the {title} was trained "
        f"on 0 to {TRAINED - 1}: use {TRAINED - 1} steps"
    )


class Scheduler(AxisValue):
    """A diffusers scheduler class and its options.

    A stochastic solver draws noise from each image's generator, so that an image does not depend on
    the others of its batch.
    """

    trajectory: ClassVar = "changed"
    tags: ClassVar = frozenset({"scheduler"})
    conflicts: ClassVar = frozenset({"no-pipeline", "flow"})
    scheduler_class: ClassVar[str]
    scheduler_options: ClassVar[dict[str, Any]] = {}
    offset: ClassVar[bool] = False
    """Whether it counts timesteps from the offset of the model's default scheduler."""
    from_pure_noise: ClassVar[bool] = True
    """Whether it can start where the signal is exactly zero and σ infinite."""

    def options(self) -> dict[str, Any]:
        """Return options that replace those of the model's default scheduler."""
        return self.scheduler_options

    def flow_options(self, config: Any) -> dict[str, Any]:
        """Return options for flow matching, given the default scheduler's configuration."""
        return {}

    def arguments(self) -> Arguments:
        """Return arguments for every call of the pipeline."""
        return {}

    def calls(self, steps: int) -> int:
        """Return the number of denoiser calls in this many steps."""
        return steps

    def workload(self, steps: int) -> float:
        return self.calls(steps) / steps

    def refuse(self, context: Context) -> str | None:
        model = context.model
        if self.offset and "steps-offset" in model.tags and (reason := refuse_all_steps(context)):
            return reason
        if not self.from_pure_noise and "zero-snr" in model.tags:
            return (
                f"the {model.title} starts from pure noise (zero terminal SNR), and "
                f"{self.scheduler_class} divides by the signal"
            )
        if "flow" in model.tags and context.has_tag("cascade"):
            return (
                f"{self.scheduler_class} cannot start in the middle of a flow, as a cascade does: "
                "use flow-euler"
            )
        return None

    def cautions(self, context: Context) -> tuple[Caution, ...]:
        steps, calls = context.steps, self.calls(context.steps)
        if calls == steps:
            return ()
        message = f"{self.scheduler_class} calls the denoiser {calls} times in {steps} steps"
        advice = f"Compare it with other schedulers at {calls} steps."
        return (Caution(kind="denoiser-calls", message=message, advice=advice),)

    def apply(self, model: TextToImage, setup: Setup) -> Effect:
        import diffusers

        default = model.pipeline.scheduler
        options = {**self.options(), **self.flow_options(default.config)}
        if default.config.get("rescale_betas_zero_snr"):
            options = {"timestep_spacing": "trailing", **options}
        made = getattr(diffusers, self.scheduler_class).from_config(default.config, **options)
        alike = all(made.config.get(key) == default.config.get(key) for key in options)
        model.pipeline.scheduler = made
        arguments = self.arguments()
        if arguments:
            model.hooks.append(_add_arguments(arguments))
        words = {**self.options(), **arguments}
        details = "".join(f", {key} {value}" for key, value in words.items())
        if type(made) is type(default) and alike and not arguments:
            details += ", the model's default"
        return FixedEffect(f"scheduler is {self.scheduler_class}{details}")

    def recipe(self, context: RecipeContext) -> RecipeLines:
        options = self.options()
        if context.model.scheduler.get("rescale_betas_zero_snr"):
            options = {"timestep_spacing": "trailing", **options}
        flow = self.recipe_flow_options() if "flow" in context.model.tags else {}
        named = {**{name: repr(value) for name, value in options.items()}, **flow}
        words = "".join(f", {name}={value}" for name, value in named.items())
        lines = ("config = pipe.scheduler.config",) if flow else ()
        made = f"pipe.scheduler = {self.scheduler_class}.from_config(pipe.scheduler.config{words})"
        call = {name: repr(value) for name, value in self.arguments().items()}
        imports = (f"from diffusers import {self.scheduler_class}",)
        return RecipeLines(imports=imports, build=(*lines, made), call=call)

    def recipe_flow_options(self) -> dict[str, str]:
        """Return `flow_options` as source text that reads the default scheduler's `config`."""
        return {}


def _add_arguments(more: Arguments) -> Any:
    def hook(model: TextToImage, call: Call, arguments: Arguments) -> Arguments:
        return {**arguments, **more}

    return hook


class KarrasScheduler(Scheduler):
    """`karras` spaces steps evenly in σ^(1/7) instead of time (Karras et al. 2022, equation 5)."""

    karras: bool = False

    by_timestep: ClassVar[bool] = False
    """Whether it finds its first step by timestep: if two are equal, it loses a step."""

    def options(self) -> dict[str, Any]:
        return {**self.scheduler_options, **({"use_karras_sigmas": True} if self.karras else {})}

    def refuse(self, context: Context) -> str | None:
        title = context.model.title
        if self.karras and "flow" in context.model.tags:
            return f"Karras sigmas are for diffusion models; the {title} uses flow matching"
        if self.karras and "zero-snr" in context.model.tags:
            return f"Karras sigmas need a largest σ; the {title} has none (zero terminal SNR)"
        return super().refuse(context) or self._refuse_steps(context)

    def _refuse_steps(self, context: Context) -> str | None:
        """Return why the whole-numbered timesteps are too few for the cell's steps, or None."""
        steps, model = context.steps, context.model
        if not self.by_timestep:
            return None
        most = TRAINED - 2  # with more, two steps have the same σ
        if self.karras:
            most = COSINE_STEPS if "cosine-noise" in model.tags else KARRAS_STEPS
        elif "flow" in model.tags:
            most = FLOW_STEPS
        if steps <= most:
            return None
        sigmas, alternative = "sigmas", ""
        if self.karras:
            sigmas, alternative = "Karras sigmas", ", or leave karras out"
        return (
            f"{self.scheduler_class} needs distinct timesteps, but at {steps} steps the first "
            f"{sigmas} of the {model.title} round to one timestep: use at most {most} steps"
            f"{alternative}"
        )


class MultistepScheduler(KarrasScheduler):
    """A multistep solver that also solves a flow (Lipman et al. 2023), with the model's shift."""

    conflicts: ClassVar = frozenset({"no-pipeline"})
    by_timestep: ClassVar = True

    def flow_options(self, config: Any) -> dict[str, Any]:
        predicts_flow = config.get("prediction_type") == "flow_prediction"
        if not (config.get("use_flow_sigmas") or "shift" in config or predicts_flow):
            return {}
        shift = config.get("flow_shift", config.get("shift", 1.0))
        return {"prediction_type": "flow_prediction", "use_flow_sigmas": True, "flow_shift": shift}

    def recipe_flow_options(self) -> dict[str, str]:
        shift = 'config.get("flow_shift", config.get("shift", 1.0))'
        return {
            "prediction_type": "'flow_prediction'", "use_flow_sigmas": "True", "flow_shift": shift
        }  # fmt: skip


class FlowScheduler(Scheduler):
    """A scheduler for flow matching only."""

    conflicts: ClassVar = frozenset({"no-pipeline", "diffusion"})

    def flow_options(self, config: Any) -> dict[str, Any]:
        if "shift" in config:
            return self.options()
        # Sana's default scheduler is a DPM solver, which names the shift differently.
        return {"shift": config.get("flow_shift", 1.0), **self.options()}

    def recipe_flow_options(self) -> dict[str, str]:
        if "shift" in self.options():
            return {}
        return {"shift": 'config.get("shift", config.get("flow_shift", 1.0))'}

    def refuse(self, context: Context) -> str | None:
        return None


class ConsistencyScheduler(Scheduler):
    """LCM and TCD jump to the image and back in every step, which needs a distilled denoiser."""

    tags: ClassVar = frozenset({"scheduler", "consistency"})

    def refuse(self, context: Context) -> str | None:
        if context.steps > CONSISTENCY_STEPS:
            return (
                f"{self.scheduler_class} has {CONSISTENCY_STEPS} timesteps, "
                f"but the cell has {context.steps} steps"
            )
        return super().refuse(context)

    def cautions(self, context: Context) -> tuple[Caution, ...]:
        if context.has_tag("distilled"):
            return ()
        message = f"{self.scheduler_class} jumps to the image in every step, "
        message += "which only distilled weights support"
        advice = "Add a distillation such as lcm-lora, unless the model is a consistency model."
        return (Caution(kind="undistilled", message=message, advice=advice),)
