"""Prompts whose first predictions others may go on from, found by how alike the prompts are. Imports torch."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np
import torch

from harness.axes.caching._embeddings import encode_row, join_rows
from harness.axes.caching._identity import digest_facts, identify_denoising
from harness.axes.caching._in_front import InFront, per_image, standing
from harness.axes.caching._store import Tensors, TensorStore
from harness.core.axis import Setup
from harness.core.model import Arguments, Call, TextToImage

Key = tuple[str, int]
"""(prompt id, seed): an image."""


class Near(NamedTuple):
    """The donor most alike to a prompt, and the cosine of their embeddings."""

    donor: str
    similarity: float


class Donors:
    """A fixed set of prompts by id, and what the denoiser answered in the first `calls` calls of their images."""

    def __init__(self, model: TextToImage, setup: Setup, calls: int, texts: dict[str, str]) -> None:
        self.store, self.calls, self.batch, self.texts = TensorStore(setup.cache / "donors"), calls, setup.batch, texts
        self.facts = [identify_denoising(model), calls]
        self.computed = 0
        """Denoiser calls that it took to make what was not in the store."""
        self.draw: Callable[[Any, Call], Any] = model.draw
        self.vectors = np.stack([_vector(encode_row(model, text, False)) for text in texts.values()])

    def serve(self, prompts: Iterable[str]) -> bool:
        """Whether there is a donor for any of these prompts."""
        return len({_plain(text) for text in (*self.texts.values(), *prompts)}) > 1

    def nearest(self, prompt: str, row: Tensors) -> Near | None:
        """Return the donor that is most alike to a prompt of these embeddings and is another one; None without any."""
        others = [place for place, text in enumerate(self.texts.values()) if _plain(text) != _plain(prompt)]
        if not others:
            return None
        alike = self.vectors[others] @ _vector(row)
        best = int(np.argmax(alike))
        return Near(list(self.texts)[others[best]], float(alike[best]))

    def prepare(self, model: TextToImage, call: Call) -> None:
        """Make what the store does not have of all donors, for the seeds of a call, in the cell's batches."""
        keys = [(donor, seed) for seed in dict.fromkeys(seed for _, seed in call.keys) for donor in self.texts]
        for start in range(0, len(keys), self.batch):
            self.predictions(model, call, keys[start : start + self.batch])

    def predictions(self, model: TextToImage, call: Call, keys: list[Key]) -> list[torch.Tensor]:
        """Return the predictions of donors' images, each of shape (calls, branches, …), for calls like this one.

        What is not in the store is made and stored.
        """
        found = {key: self.store.read(self._name(call, key)) for key in keys}
        missing = [key for key, tensors in found.items() if tensors is None]
        known = {key: tensors for key, tensors in found.items() if tensors is not None}
        if missing:
            known |= self._record(model, call, missing)
        return [known[key]["predictions"] for key in keys]

    def _record(self, model: TextToImage, call: Call, keys: list[Key]) -> dict[Key, Tensors]:
        prompts = tuple(self.texts[donor] for donor, _ in keys)
        empty = ("",) * len(keys) if call.negatives else ()  # a negative prompt belongs to who asks, not to the donor
        rows = [encode_row(model, prompt, call.guidance > 1, "" if empty else None) for prompt in prompts]
        recording = DonorRecording(model.denoiser, join_rows(rows, model.device), self.calls)
        with standing(model, recording), suppress(Enough):
            self.draw(model, call.model_copy(update={"prompts": prompts, "keys": tuple(keys), "negatives": empty}))
        self.computed += self.calls
        seen = torch.stack([per_image(output, len(keys)) for output in recording.seen])
        made = {key: {"predictions": seen[:, :, row]} for row, key in enumerate(keys)}
        for key, tensors in made.items():
            self.store.write(self._name(call, key), tensors)
        return made

    def _name(self, call: Call, key: Key) -> str:
        settings = call.model_dump(exclude={"prompts", "keys", "negatives"})
        return digest_facts([self.facts, self.texts[key[0]], key, settings, bool(call.negatives)])


class Fed(InFront):
    """A denoiser's front that also brings the embeddings of the prompts, which were encoded to compare them."""

    def __init__(self, inner: Any, embeddings: Tensors) -> None:
        super().__init__(inner)
        self.embeddings = embeddings


def feed(model: TextToImage, call: Call, arguments: Arguments) -> Arguments:
    """Give a pipeline the embeddings that its denoiser's front brings: a hook of the model."""
    return model.embedded(arguments, model.denoiser.embeddings)


class Enough(Exception):
    """The first calls are seen: the rest of the image is not needed."""


class DonorRecording(Fed):
    """Remembers the first `calls` predictions, and ends the pass where the next is asked for."""

    def __init__(self, inner: Any, embeddings: Tensors, calls: int) -> None:
        super().__init__(inner, embeddings)
        self.calls = calls
        self.seen: list[Any] = []

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        if len(self.seen) == self.calls:
            raise Enough
        self.seen.append(self.inner(*args, **kwargs))
        return self.seen[-1]


def _plain(text: str) -> str:
    """A prompt without what does not make it another one: case and blanks."""
    return " ".join(text.casefold().split())


def _vector(row: Tensors) -> Any:
    """The direction of a prompt: its pooled embedding, or the mean over its tokens where there is none."""
    pooled = row.get("pooled_prompt_embeds")
    if pooled is None:
        tokens = row["prompt_embeds"]
        mask = row.get("prompt_attention_mask", torch.ones(tokens.shape[:2]))[..., None].to(tokens)
        pooled = (tokens * mask).sum(1) / mask.sum(1)
    return torch.nn.functional.normalize(pooled[0].float(), dim=0).cpu().numpy()
