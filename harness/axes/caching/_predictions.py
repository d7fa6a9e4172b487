"""The denoiser's first predictions of an image, kept and played back. Imports torch."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from harness.axes.caching._identity import digest_facts, digest_tensor, identify_denoising
from harness.axes.caching._in_front import InFront, per_image, standing
from harness.axes.caching._store import Tensors, TensorStore
from harness.core.model import Arguments, Call, TextToImage
from harness.core.trace import region

PER_IMAGE = ("prompt", "negative_prompt", "generator", "latents", "image")
"""Arguments of a pipeline that differ from image to image; what they mean for an image is in its key."""


class Predictions:
    """Keeps the outputs of the first `calls` denoiser calls of each image, by all that they depend on.

    Outputs rather than latents: a solver that looks back, or adds noise, needs its history to go on exactly, and gets
    it by taking the first steps again with the denoiser's answers known.
    """

    def __init__(self, model: TextToImage, folder: Path, calls: int) -> None:
        self.store, self.calls = TensorStore(folder), calls
        self.facts = [identify_denoising(model), calls]
        self.replayed = self.computed = 0
        self.draw: Callable[[Any, Call], Any] = model.draw

    def generate(self, model: TextToImage, call: Call) -> Any:
        """Draw the images with a denoiser that remembers: what takes the place of the model's `draw`."""
        with standing(model, Remembering(model.denoiser, self)) as remembering:
            images = self.draw(model, call)
            remembering.keep()
        return images

    def begin(self, model: TextToImage, call: Call, arguments: Arguments) -> Arguments:
        """Tell the denoiser which images a pass is about: a hook of the model."""
        with region("latent cache look-up"):
            model.denoiser.begin([self._key(model, arguments, row) for row in range(len(call.prompts))])
        return arguments

    def _key(self, model: TextToImage, arguments: Arguments, row: int) -> str:
        same = {name: value for name, value in arguments.items() if name not in PER_IMAGE}
        own = {name: digest_tensor(arguments[name][row]) for name in ("latents", "image") if name in arguments}
        kind = type(model.denoiser.inner).__name__
        texts = [arguments[name][row] for name in ("prompt", "negative_prompt") if name in arguments]
        return digest_facts([self.facts, kind, same, own, texts])


class Remembering(InFront):
    """Answers a denoiser's first calls from memory where all images of the batch are known."""

    def __init__(self, inner: Any, predictions: Predictions) -> None:
        super().__init__(inner)
        self.predictions = predictions
        self.keys: list[str] = []
        self.known: list[Tensors] | None = None
        self.seen: list[torch.Tensor] = []
        self.number = 0

    def begin(self, keys: list[str]) -> None:
        """Begin a pass over the images of these keys."""
        self.keep()
        found = [self.predictions.store.read(key) for key in keys]
        whole = [tensors for tensors in found if tensors is not None]
        self.keys, self.number = keys, 0
        self.known = whole if len(whole) == len(keys) else None

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        self.number += 1
        if self.known is not None and self.number <= self.predictions.calls:
            self.predictions.replayed += 1
            with region("step from the latent cache"):
                return self.answer([tensors["predictions"][self.number - 1] for tensors in self.known])
        self.predictions.computed += 1
        output = self.inner(*args, **kwargs)
        if self.known is None and self.number <= self.predictions.calls:
            self.seen.append(per_image(output, len(self.keys)))
        return output

    def keep(self) -> None:
        """Store what was seen of a pass that had to compute."""
        if len(self.seen) == self.predictions.calls:
            for row, key in enumerate(self.keys):
                stacked = torch.stack([output[:, row] for output in self.seen])
                self.predictions.store.write(key, {"predictions": stacked})
        self.seen = []
