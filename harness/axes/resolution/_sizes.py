"""Which sizes a model can draw, and which it was trained for."""

from harness.core.model import ModelInfo
from harness.core.outcome import Caution

Size = tuple[int, int]

FAR = 1.5
"""Beyond this many times its own side a UNet begins to repeat its subject (ScaleCrafter, He et al. 2023)."""


def refuse_size(size: Size, model: ModelInfo) -> str | None:
    """Return why the model cannot draw pictures of (width, height) pixels, or None if it can."""
    if all(side % model.size_multiple == 0 for side in size):
        return None
    return f"both sides must be multiples of {model.size_multiple} for the {model.title}"


def caution_size(size: Size, model: ModelInfo) -> tuple[Caution, ...]:
    """Return a warning for a size far from the one that the model was trained for."""
    if "unet" not in model.tags:
        return ()
    larger = max(size[0] / model.width, size[1] / model.height)
    smaller = max(model.width / size[0], model.height / size[1])
    if max(larger, smaller) <= FAR:
        return ()
    faults = "subjects repeat" if larger > smaller else "pictures are cropped or abstract"
    message = f"{size[0]}x{size[1]} is far from {model.width}x{model.height}, which the {model.title} was trained for"
    advice = "Use progressive: it composes at the trained size." if larger > smaller else "Expect a loss of quality."
    return (Caution(kind="unusual-size", message=f"{message}: {faults}", advice=advice),)
