"""The timesteps and the prediction a student was trained with, given to its pipeline."""

import inspect

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
