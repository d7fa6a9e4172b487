"""Correct attributes: does an image of the shapes world show everything its caption asks for?

A small classifier predicts layout, background, and the shape, colour and size of each object. An
image is correct if all of them are what the caption says: one wrong attribute makes a wrong image,
as in GenEval (Ghosh et al. 2023). The classifier is right on all held-out images of the shapes
world.
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from harness.core.quality import MetricKind, Question
from harness.metrics import _bundled
from harness.metrics._base import (
    CorrectnessScorer,
    Description,
    Floats,
    Metric,
    explain_refusal,
    to_array,
)
from harness.metrics._weights import Weights
from harness.shapes_world import parse


class _Scorer(CorrectnessScorer):
    def __init__(self) -> None:
        self.network = _bundled.load_attribute_network()

    def found(self, activations: Any, texts: Sequence[str]) -> Floats:
        asked = np.array([_asked(text) for text in texts])
        return np.asarray((to_array(activations.labels) == asked).all(axis=1), dtype=np.float64)

    def evidence(self, activations: Any, texts: Sequence[str]) -> dict[str, Any]:
        return {
            "attributes": to_array(activations.labels),
            "features": to_array(activations.features),
        }


@cache
def _asked(text: str) -> tuple[int, ...]:
    return parse(text).labels


class Attributes(Metric):
    """`bundled`: the attribute net of the shapes world."""

    question: ClassVar[Question] = "content"
    kind: ClassVar[MetricKind] = "correctness"
    profiles: ClassVar[tuple[str, ...]] = ("bundled",)

    def ships(self) -> tuple[Path, ...]:
        return (_bundled.find_bundled_weights("attributes"),)

    def refusal(self, text: str) -> str:
        return explain_refusal(parse, text)

    def describe(self) -> Description:
        return Description(
            _bundled.ATTRIBUTES,
            _bundled.VALUE_RANGE,
            ("torch",),
            resize=_bundled.RESIZE,
            formula="1 if every attribute is what the caption says, else 0",
            better="higher",
        )

    def load(self, weights: Weights) -> CorrectnessScorer:
        return _Scorer()
