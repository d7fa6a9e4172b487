"""Images that continue from the first steps of the most similar other prompt. Imports torch."""

import math
from collections.abc import Callable, Iterable
from contextlib import suppress
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import torch

from harness.axes.caching._proxy import (
    PredictionProxy,
    RecordingComplete,
    encode_row,
    join_rows,
    pair_prompts,
    replace_denoiser,
)
from harness.axes.caching._store import Tensors, TensorStore, identify_denoising
from harness.core.axis import Setup
from harness.core.model import Arguments, Call, TextToImage
from harness.core.outcome import Figures
from harness.core.trace import region
from harness.weights_digest import digest_facts

SHOWN = 12
"""Donors whose ids are reported."""

Key = tuple[str, int]
"""(prompt id, seed): an image."""


class Neighbour(NamedTuple):
    """The most similar donor of a prompt, and the cosine of their embeddings."""

    donor: str
    similarity: float


class Donors:
    """A fixed set of prompts by id, and the denoiser's outputs in their images' first calls."""

    def __init__(self, model: TextToImage, setup: Setup, calls: int, texts: dict[str, str]) -> None:
        self.store, self.calls = TensorStore(setup.cache / "donors"), calls
        self.batch, self.texts = setup.batch, texts
        self.facts = [identify_denoising(model), calls]
        self.computed = 0
        """Denoiser calls for donors that were not in the store."""
        self.draw: Callable[[Any, Call], Any] = model.draw
        rows = (encode_row(model, text, False) for text in texts.values())
        self.vectors = np.stack([_compute_direction(row) for row in rows])

    def serves_any(self, prompts: Iterable[str]) -> bool:
        """Return whether any of these prompts has a donor."""
        return len({_normalize(text) for text in (*self.texts.values(), *prompts)}) > 1

    def find_nearest(self, prompt: str, row: Tensors) -> Neighbour | None:
        """Return the most similar donor with another prompt, or None."""
        own, texts = _normalize(prompt), self.texts.values()
        others = [place for place, text in enumerate(texts) if _normalize(text) != own]
        if not others:
            return None
        similarity = self.vectors[others] @ _compute_direction(row)
        best = int(np.argmax(similarity))
        return Neighbour(list(self.texts)[others[best]], float(similarity[best]))

    def prepare(self, model: TextToImage, call: Call) -> None:
        """Compute what the store lacks for a call's seeds, in batches of the cell's size."""
        seeds = dict.fromkeys(seed for _, seed in call.keys)
        keys = [(donor, seed) for seed in seeds for donor in self.texts]
        for start in range(0, len(keys), self.batch):
            self.find_predictions(model, call, keys[start : start + self.batch])

    def find_predictions(
        self, model: TextToImage, call: Call, keys: list[Key]
    ) -> list[torch.Tensor]:
        """Return the predictions of donors' images, each of shape (calls, branches, …).

        Computes and stores missing ones, with the settings of `call`.
        """
        found = {key: self.store.read(self._make_name(call, key)) for key in keys}
        missing = [key for key, tensors in found.items() if tensors is None]
        known = {key: tensors for key, tensors in found.items() if tensors is not None}
        if missing:
            known |= self._record(model, call, missing)
        return [known[key]["predictions"] for key in keys]

    def _record(self, model: TextToImage, call: Call, keys: list[Key]) -> dict[Key, Tensors]:
        prompts = tuple(self.texts[donor] for donor, _ in keys)
        # A negative prompt belongs to the request, not to the donor.
        negatives = ("",) * len(keys) if call.negatives else ()
        negative = "" if negatives else None
        rows = [encode_row(model, prompt, call.guidance > 1, negative) for prompt in prompts]
        update = {"prompts": prompts, "keys": tuple(keys), "negatives": negatives}
        proxy = PredictionProxy(model.denoiser, self.calls, join_rows(rows, model.device))
        proxy.begin(keys, [])
        proxy.stops = True
        with replace_denoiser(model, proxy), suppress(RecordingComplete):
            self.draw(model, call.model_copy(update=update))
        self.computed += self.calls
        made = dict(proxy.list_recorded())
        for key, tensors in made.items():
            self.store.write(self._make_name(call, key), tensors)
        return made

    def _make_name(self, call: Call, key: Key) -> str:
        settings, text = (
            call.model_dump(exclude={"prompts", "keys", "negatives"}),
            self.texts[key[0]],
        )
        return digest_facts([self.facts, text, key, settings, bool(call.negatives)])


def pass_embeddings(model: TextToImage, call: Call, arguments: Arguments) -> Arguments:
    """Pass the proxy's embeddings to the pipeline: a hook of the model."""
    return model.embedded(arguments, model.denoiser.embeddings)


def _normalize(text: str) -> str:
    """Return a prompt without differences in case and white space."""
    return " ".join(text.casefold().split())


def _compute_direction(row: Tensors) -> Any:
    """Return the unit vector of a prompt's pooled embedding, or of the mean over its tokens."""
    pooled = row.get("pooled_prompt_embeds")
    if pooled is None:
        tokens = row["prompt_embeds"]
        every = torch.ones(tokens.shape[:2])
        mask = row.get("prompt_attention_mask", every)[..., None].to(tokens)
        pooled = (tokens * mask).sum(1) / mask.sum(1)
    return torch.nn.functional.normalize(pooled[0].float(), dim=0).cpu().numpy()


class Survey(NamedTuple):
    """Similarities of prompts to their nearest donors, and the donors above the threshold."""

    prompts: int
    lowest: float
    median: float
    donors: tuple[str, ...]

    def __str__(self) -> str:
        near = f"{len(self.donors)} of {self.prompts} prompts have a neighbour"
        return f"{near} (similarity: median {self.median:.2f}, minimum {self.lowest:.2f})"

    def figures(self) -> Figures:
        """Return the figures of an effect, with the ids of donors."""
        ids = list(dict.fromkeys(self.donors))
        more = f" and {len(ids) - SHOWN} more" if len(ids) > SHOWN else ""
        return {
            "prompts_with_neighbour": len(self.donors),
            "prompts": self.prompts,
            "similarity_min": self.lowest,
            "similarity_median": self.median,
            "donors": ", ".join(ids[:SHOWN]) + more,
        }


class Neighbours:
    """Gives each image its donor's noise and first predictions, so that it takes the same steps.

    This holds for any solver, with history or noise; then the image continues with its own prompt.
    A prompt with all donors below `threshold` starts from its own noise.
    """

    def __init__(self, donors: Donors, threshold: float) -> None:
        self.donors, self.threshold = donors, threshold
        self.start()

    def start(self) -> None:
        """Reset the counts."""
        self.replayed = self.computed = self.donors.computed = 0
        self.nearest = -1.0
        """The highest similarity of a prompt since then."""

    @property
    def counts(self) -> tuple[int, int]:
        """Return the denoiser calls saved and computed; calls for new donors save nothing."""
        return self.replayed - self.donors.computed, self.computed + self.donors.computed

    def generate(self, model: TextToImage, call: Call) -> Any:
        """Draw a call's images, in place of the model's `draw`; those with donors separately."""
        with region("neighbour look-up"):
            rows = [encode_row(model, p, call.guidance > 1, n) for p, n in pair_prompts(call)]
            pairs = zip(call.prompts, rows, strict=True)
            found = [self._find_donor(prompt, row) for prompt, row in pairs]
        images: dict[int, Any] = {}
        for with_donor in (True, False):
            places = [place for place, near in enumerate(found) if bool(near) == with_donor]
            if places:
                keys = tuple(_replace_id(call.keys[place], found[place]) for place in places)
                part = call.of(places).model_copy(update={"keys": keys})
                made = self._draw(model, part, [rows[place] for place in places], with_donor)
                images |= zip(places, made, strict=True)
        return np.stack([images[place] for place in range(len(call.keys))])

    def advise(self) -> str:
        """Return what to change if nothing was saved."""
        if self.nearest >= self.threshold:
            return "The store removed donors before their use: use fewer donors."
        lower = math.floor(self.nearest * 100) / 100
        nearest = f"The highest similarity to a donor was {self.nearest:.2f}"
        return f"{nearest}: set threshold={lower:g} or less."

    def survey(self, model: TextToImage, prompts: tuple[str, ...]) -> Survey:
        """Return the similarities of all prompts; not while calls are timed."""
        find = self.donors.find_nearest
        found = [find(prompt, encode_row(model, prompt, False)) for prompt in prompts]
        near = [neighbour for neighbour in found if neighbour]
        values = [neighbour.similarity for neighbour in near]
        donors = tuple(n.donor for n in near if n.similarity >= self.threshold)
        return Survey(len(prompts), min(values), median(values), donors)

    def _find_donor(self, prompt: str, row: Tensors) -> Neighbour | None:
        near = self.donors.find_nearest(prompt, row)
        self.nearest = max(self.nearest, near.similarity if near else -1.0)
        return near if near and near.similarity >= self.threshold else None

    def _draw(self, model: TextToImage, call: Call, rows: list[Tensors], with_donor: bool) -> Any:
        find = self.donors.find_predictions
        known = find(model, call, list(call.keys)) if with_donor else []
        calls = len(known[0]) if known else 0
        proxy = PredictionProxy(model.denoiser, calls, join_rows(rows, model.device))
        proxy.begin((), known)
        with replace_denoiser(model, proxy):
            images = self.donors.draw(model, call)
        self.replayed += proxy.replayed
        self.computed += proxy.computed
        return images


def _replace_id(key: Key, near: Neighbour | None) -> Key:
    """Return the key whose noise an image starts from: its donor's, or its own."""
    return (near.donor, key[1]) if near else key
