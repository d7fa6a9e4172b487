"""Draw images on from the first steps of the nearest other prompt's. Imports torch."""

import math
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import torch

from harness.axes.caching._donors import Donors, Fed, Near
from harness.axes.caching._embeddings import encode_row, join_rows
from harness.axes.caching._in_front import standing
from harness.axes.caching._store import Tensors
from harness.core.model import Call, TextToImage
from harness.core.trace import region

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
