"""What a self-test compares: tensors in few numbers, stored with the versions of the libraries that made them."""

from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from harness.core.base import Frozen

LIBRARIES = (
    "torch", "torchvision", "numpy", "scipy", "pillow", "open_clip_torch", "lpips", "torch-fidelity", "torchmetrics",
    "transformers", "tokenizers",
)  # fmt: skip
_SAMPLES = 32


class Excerpt(Frozen):
    """A tensor in few numbers: its shape, mean, standard deviation, and values at fixed places spread over it."""

    what: str
    shape: tuple[int, ...]
    values: tuple[float, ...]


class Vector(Frozen):
    """What a metric must find. `shipped` are sha256 of weights that come with packages, `made_with` versions."""

    covers: str
    made_with: str
    shipped: dict[str, str]
    inputs: tuple[Excerpt, ...]
    outputs: tuple[Excerpt, ...]


def versions() -> str:
    """Return the installed versions of all libraries that can change a number."""

    def installed(name: str) -> str:
        try:
            return version(name)
        except PackageNotFoundError:
            return "absent"

    return ", ".join(f"{name} {installed(name)}" for name in LIBRARIES)


def excerpt(what: str, values: Any) -> Excerpt:
    """Return a tensor or array in few numbers of seven digits."""
    array = np.asarray(values, dtype=np.float64)
    flat = array.ravel()
    places = (np.arange(_SAMPLES, dtype=np.int64) * 2_654_435_761) % flat.size
    chosen = [flat.mean(), flat.std(), *flat[places]] if flat.size > _SAMPLES else list(flat)
    return Excerpt(what=what, shape=array.shape, values=tuple(float(f"{value:.7g}") for value in chosen))


def difference(wanted: Excerpt, here: Excerpt, tolerance: float) -> str:
    """Return in words how an excerpt differs by more than `tolerance` of the largest value; empty if it does not."""
    if (wanted.what, wanted.shape) != (here.what, here.shape):
        return f"{here.what} has shape {here.shape}, expected {wanted.what} of shape {wanted.shape}"
    expected, found = np.asarray(wanted.values), np.asarray(here.values)
    allowed = tolerance * np.abs(expected).max()
    apart = np.abs(expected - found)
    worst = int(np.nanargmax(np.where(np.isfinite(apart), apart, np.inf)))
    if apart[worst] <= allowed:
        return ""
    return f"{wanted.what}: found {found[worst]:.6g}, expected {expected[worst]:.6g} ± {allowed:.2g}"
