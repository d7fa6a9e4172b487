"""Correct attributes: does a picture of the shapes world show everything its caption asks for?

A small classifier reads layout, background, and the shape, colour and size of each object off the picture. A picture
is correct if all of them are what the caption says: one wrong attribute makes a wrong picture, as in GenEval
(Ghosh et al. 2023). The classifier is right on all held-out pictures that the world itself draws.
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from harness.core.quality import Definition, MetricKind, Question
from harness.metrics import _attributes
from harness.metrics._base import CorrectnessScorer, Floats, Metric
from harness.metrics._devices import library, to_array
from harness.metrics._weights import Weights
from harness.shapes_world import parse


class _Scorer(CorrectnessScorer):
    def __init__(self) -> None:
        self.network = _attributes.attribute_network()

    def found(self, activations: Any, texts: Sequence[str]) -> Floats:
        asked = np.array([_asked(text) for text in texts])
        return np.asarray((to_array(activations.labels) == asked).all(axis=1), dtype=np.float64)

    def evidence(self, activations: Any, texts: Sequence[str]) -> dict[str, Any]:
        return {"attributes": to_array(activations.labels), "features": to_array(activations.features)}


@cache
def _asked(text: str) -> tuple[int, ...]:
    return parse(text).labels


class Attributes(Metric):
    """`bundled`: the attribute net of the shapes world."""

    question: ClassVar[Question] = "content"
    kind: ClassVar[MetricKind] = "correctness"
    profiles: ClassVar[tuple[str, ...]] = ("bundled",)

    def ships(self) -> tuple[Path, ...]:
        return (_attributes.weights_path(),)

    def refusal(self, text: str) -> str:
        try:
            parse(text)
        except ValueError as error:
            return str(error)
        return ""

    def define(self, weights: Weights) -> Definition:
        return Definition(
            metric=self.name,
            kind=self.kind,
            question=self.question,
            extractor=_attributes.EXTRACTOR,
            weights_sha256=_attributes.weights_sha256(),
            resize=_attributes.RESIZE,
            value_range=_attributes.VALUE_RANGE,
            reference="the prompt's text",
            library=library("torch"),
            better="higher",
            formula="1 if every attribute is what the caption says, else 0",
        )

    def load(self, weights: Weights) -> CorrectnessScorer:
        return _Scorer()
