"""Do the weights of a whole denoiser fit a model? Told by the names and shapes in both files."""

from harness.axes.distillation._headers import Shapes


def refuse_denoiser(weights: Shapes, denoiser: Shapes) -> str | None:
    """Return why the weights do not fit the denoiser, or None if they do."""
    for name, shape in weights.items():
        if name not in denoiser:
            return f"its tensor {name} is not in the model's denoiser"
        if shape != denoiser[name]:
            return f"its tensor {name} is {_size(shape)}, in the model {_size(denoiser[name])}"
    if absent_files := next((name for name in denoiser if name not in weights), None):
        return f"it lacks the tensor {absent_files}"
    return None


def _size(shape: tuple[int, ...]) -> str:
    return "×".join(str(width) for width in shape)
