"""A proxy in place of the denoiser, stored predictions and stored prompt embeddings. Imports torch."""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import torch

from harness.axes.caching._store import (
    Tensors,
    TensorStore,
    digest_facts,
    digest_tensor,
    identify_denoising,
    identify_encoders,
)
from harness.core.model import Arguments, Call, TextToImage
from harness.core.region import region

Front = TypeVar("Front", bound="InFront")


class InFront(torch.nn.Module):
    """Looks like the denoiser behind it to a pipeline; a subclass says what `forward` does."""

    def __init__(self, inner: Any) -> None:
        super().__init__()
        self.__dict__["inner"] = inner  # not a submodule: the pipeline moves and counts the real one

    @property
    def dtype(self) -> Any:
        return self.inner.dtype

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(self.__dict__["inner"], name)

    def answer(self, rows: list[torch.Tensor]) -> tuple[torch.Tensor]:
        """Return predictions of shape (branches, …), one tensor per image, as the denoiser returns a batch of them.

        Branches are those of guidance: a batch has all images without the prompt, then all with it.
        """
        return (torch.stack(rows, dim=1).flatten(0, 1).to(self.inner.device, self.dtype),)


def per_image(output: Any, images: int) -> torch.Tensor:
    """Return what a denoiser returned for a batch, of shape (branches, images, …), on the CPU."""
    return output[0].unflatten(0, (-1, images)).detach().cpu()


@contextmanager
def standing(model: TextToImage, front: Front) -> Iterator[Front]:
    """Put `front` in the denoiser's place for a while."""
    denoiser = model.denoiser
    model.denoiser = front
    try:
        yield front
    finally:
        model.denoiser = denoiser


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


AT_HAND = 64
"""Prompts used last whose embeddings stay in memory: T5's of one prompt are 4 MiB in FP16."""


class Embeddings:
    """Gives pipelines embeddings in the place of prompts; counts prompts found (`hits`) and encoded (`misses`)."""

    def __init__(self, model: TextToImage, folder: Path) -> None:
        self.store, self.encoder = TensorStore(folder), identify_encoders(model)
        self.at_hand: OrderedDict[str, Tensors] = OrderedDict()
        self.hits = self.misses = 0

    def __call__(self, model: TextToImage, call: Call, arguments: Arguments) -> Arguments:
        """Replace the prompts of a call: what a hook of the model does."""
        guided = call.guidance > 1
        pairs = zip(call.prompts, call.negatives or [None] * len(call.prompts), strict=True)
        with region("prompt cache look-up"):
            rows = [self.row(model, prompt, guided, negative) for prompt, negative in pairs]
        return model.embedded(arguments, join_rows(rows, model.device))

    def row(self, model: TextToImage, prompt: str, guided: bool, negative: str | None = None) -> Tensors:
        """Return the embeddings of one prompt, of shape (1, …), encoding it if nobody has before."""
        key = digest_facts([self.encoder, guided, prompt, negative if guided else None])
        found = self.at_hand.get(key) or self.store.read(key)
        if found is None:
            self.misses += 1
            found = encode_row(model, prompt, guided, negative)
            self.store.write(key, found)
        else:
            self.hits += 1
        self.at_hand[key] = found
        self.at_hand.move_to_end(key)
        while len(self.at_hand) > AT_HAND:
            self.at_hand.popitem(last=False)
        return found


def encode_row(model: TextToImage, prompt: str, guided: bool, negative: str | None = None) -> Tensors:
    """Return the embeddings of one prompt, of shape (1, …), under the names of the pipeline's arguments."""
    negatives = () if negative is None else (negative,)
    return {name: tensor for name, tensor in model.encode((prompt,), guided, negatives).items() if tensor is not None}


def join_rows(rows: list[Tensors], device: str) -> Tensors:
    """Return the embeddings of a batch; stored rows come from the CPU, those just encoded from the device."""
    return {name: torch.cat([row[name].to(device) for row in rows]) for name in rows[0]}
