"""Put a student into a loaded model, with the timesteps and the prediction it was trained with."""

from pathlib import Path

from harness.axes.distillation._denoiser import put_denoiser
from harness.axes.distillation._lora import put_lora
from harness.axes.distillation._sampling import fixed_timesteps, predict
from harness.axes.distillation._student import Student
from harness.core.effect import Effect
from harness.core.model import TextToImage


def put_student(model: TextToImage, student: Student, path: Path, fuse: bool) -> Effect:
    """Change the model in place; NoEffect where the weights change nothing."""
    if student.prediction:
        predict(model, student.prediction)
    if student.timesteps:
        model.hooks.append(fixed_timesteps(student.timesteps))
    return put_denoiser(model, path) if student.kind == "denoiser" else put_lora(model, path, student.scale, fuse)
