"""Images that continue from the first steps of the most similar other prompt. Imports torch."""

import math
from collections.abc import Callable, Iterable
from contextlib import suppress
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import torch

from harness.axes.caching._proxy import InFront, encode_row, join_rows, per_image, standing
from harness.axes.caching._store import Tensors, TensorStore, digest_facts, identify_denoising
from harness.core.axis import Setup
from harness.core.model import Arguments, Call, TextToImage
from harness.core.region import region

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
        recording = Recording(model.denoiser, join_rows(rows, model.device), self.calls)
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


class Recording(Fed):
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


SHOWN = 12
"""Donors whose ids are told."""


class Survey(NamedTuple):
    """How alike prompts are to their nearest donors (cosines), and the donors of those near enough to one."""

    prompts: int
    lowest: float
    median: float
    led: tuple[str, ...]

    def __str__(self) -> str:
        near = f"{len(self.led)} of {self.prompts} prompts have a neighbour"
        return f"{near} (similarity {self.median:.2f} in the median, {self.lowest:.2f} at the least)"

    def figures(self) -> dict[str, float | int | str]:
        """Return what was found by name, the donors by their ids."""
        ids = list(dict.fromkeys(self.led))
        more = f" and {len(ids) - SHOWN} more" if len(ids) > SHOWN else ""
        return {
            "prompts_with_neighbour": len(self.led),
            "prompts": self.prompts,
            "similarity_min": self.lowest,
            "similarity_median": self.median,
            "donors": ", ".join(ids[:SHOWN]) + more,
        }


class Neighbours:
    """Gives each image the noise and the first predictions of its donor, so that it takes the donor's steps exactly.

    That holds for any solver, whatever it remembers or draws; then it goes on with its own prompt. A prompt whose
    nearest donor is less alike than `threshold` is drawn from its own noise.
    """

    def __init__(self, donors: Donors, threshold: float) -> None:
        self.donors, self.threshold = donors, threshold
        self.start()

    def start(self) -> None:
        """Begin to count."""
        self.replayed = self.computed = self.donors.computed = 0
        self.nearest = -1.0
        """The highest similarity of a prompt asked since."""

    @property
    def counts(self) -> tuple[int, int]:
        """Denoiser calls that were saved and that were made; a donor made in between saves nothing."""
        return self.replayed - self.donors.computed, self.computed + self.donors.computed

    def generate(self, model: TextToImage, call: Call) -> Any:
        """Draw the images of a call, those with a donor apart from those without: in place of the model's `draw`."""
        pairs = zip(call.prompts, call.negatives or [None] * len(call.prompts), strict=True)
        with region("neighbour look-up"):
            rows = [encode_row(model, prompt, call.guidance > 1, negative) for prompt, negative in pairs]
            leaders = [self._leader(prompt, row) for prompt, row in zip(call.prompts, rows, strict=True)]
        keys = [(near.donor if near else own, seed) for near, (own, seed) in zip(leaders, call.keys, strict=True)]
        pictures: dict[int, Any] = {}
        for led in (True, False):
            places = [place for place, near in enumerate(leaders) if bool(near) == led]
            if places:
                part = call.of(places).model_copy(update={"keys": tuple(keys[place] for place in places)})
                made = self._draw(model, part, [rows[place] for place in places], led)
                pictures |= zip(places, made, strict=True)
        return np.stack([pictures[place] for place in range(len(keys))])

    def advice(self) -> str:
        """Return what to change where nothing was saved."""
        if self.nearest >= self.threshold:
            return "The store forgets donors before they are needed: take fewer donors."
        lower = math.floor(self.nearest * 100) / 100
        return f"The timed prompts are {self.nearest:.2f} alike to a donor: set threshold={lower:g} or less."

    def survey(self, model: TextToImage, prompts: tuple[str, ...]) -> Survey:
        """Look up every prompt; not while anything is timed."""
        found = [self.donors.nearest(prompt, encode_row(model, prompt, False)) for prompt in prompts]
        near = [one for one in found if one]
        alike = [one.similarity for one in near]
        led = tuple(one.donor for one in near if one.similarity >= self.threshold)
        return Survey(len(prompts), min(alike), median(alike), led)

    def _leader(self, prompt: str, row: Tensors) -> Near | None:
        near = self.donors.nearest(prompt, row)
        self.nearest = max(self.nearest, near.similarity if near else -1.0)
        return near if near and near.similarity >= self.threshold else None

    def _draw(self, model: TextToImage, call: Call, rows: list[Tensors], led: bool) -> Any:
        known = self.donors.predictions(model, call, list(call.keys)) if led else []
        with standing(model, Led(model.denoiser, join_rows(rows, model.device), known)) as front:
            images = self.donors.draw(model, call)
        self.replayed += front.replayed
        self.computed += front.number - front.replayed
        return images


class Led(Fed):
    """Answers the first calls with what the donors' denoiser answered, and hands on the others."""

    def __init__(self, inner: Any, embeddings: Tensors, known: list[torch.Tensor]) -> None:
        super().__init__(inner, embeddings)
        self.known, self.number = known, 0

    @property
    def replayed(self) -> int:
        """Calls that were answered from the store."""
        return min(self.number, len(self.known[0])) if self.known else 0

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        self.number += 1
        if self.known and self.number <= len(self.known[0]):
            with region("step of the neighbour"):
                return self.answer([predictions[self.number - 1] for predictions in self.known])
        return self.inner(*args, **kwargs)
