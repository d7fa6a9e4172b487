"""GenEval: does a picture show the objects, number, colours and positions that its prompt names (Ghosh et al. 2023)?

Prompts and rules are GenEval's; a picture with one thing wrong is wrong. The detector is not: GenEval takes
Mask2Former, whose package needs old versions of others, and here OWLv2 looks for the same objects. Its scores are
lower, so the score from which objects are counted is another one; it gives boxes but no masks, so a colour is read off
the whole box; and CLIP ViT-B/32 names the colour, where GenEval takes ViT-L/14. Compare these scores with each other,
never with published GenEval scores.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from harness.core.quality import Definition, MetricKind, Question
from harness.metrics import _open_clip, _owlv2
from harness.metrics._base import CorrectnessScorer, Floats, Metric, Pixels
from harness.metrics._devices import library, to_array
from harness.metrics._geneval_prompts import COLOURS, parse
from harness.metrics._geneval_rules import COUNTED, FOUND, Box, shows
from harness.metrics._hub_model import sha256_of_all
from harness.metrics._weights import WeightFile, Weights

_TEMPLATES = ("a photo of a {colour} {name}", "a photo of a {colour}-colored {name}", "a photo of a {colour} object")


class _Scorer(CorrectnessScorer):
    network: _owlv2.DetectorNetwork

    def __init__(self, network: _owlv2.DetectorNetwork, clip: _open_clip.ClipNetwork) -> None:
        self.network, self._clip = network, clip
        self._colours = cache(self._read_colours)

    def found(self, activations: Any, texts: Sequence[str]) -> Floats:
        pairs = zip(activations, texts, strict=True)
        return np.array([self._shows(seen, text) for seen, text in pairs], dtype=np.float64)

    def _shows(self, seen: _owlv2.Seen, text: str) -> bool:
        def colour_of(name: str, box: Box) -> str:
            likeness = to_array(self._clip.look(_crop(seen.picture, box)[None])) @ self._colours(name).T
            return COLOURS[int(likeness.argmax())]

        return shows(parse(text), seen.objects, colour_of)

    def _read_colours(self, name: str) -> NDArray[np.float32]:
        """Return unit embeddings (10, d) of an object in each colour, each the mean of all templates."""
        texts = [template.format(colour=colour, name=name) for colour in COLOURS for template in _TEMPLATES]
        read = to_array(self._clip.read(texts)).reshape(len(COLOURS), len(_TEMPLATES), -1).mean(axis=1)
        unit: NDArray[np.float32] = read / np.linalg.norm(read, axis=1, keepdims=True)
        return unit

    def token_ids(self) -> dict[str, Any]:
        return {"token ids of the objects": self.network.ids}

    def evidence(self, activations: Any, texts: Sequence[str]) -> dict[str, Any]:
        return {"surest box of each object": _owlv2.sureness(activations)}


def _crop(picture: Pixels, box: Box) -> Pixels:
    """Return what is in a box, at least one pixel."""
    left, top = int(box.left), int(box.top)
    right, bottom = max(round(box.right), left + 1), max(round(box.bottom), top + 1)
    return picture[top:bottom, left:right]


class Geneval(Metric):
    """OWLv2 base finds objects, CLIP ViT-B/32 names their colours."""

    question: ClassVar[Question] = "content"
    kind: ClassVar[MetricKind] = "correctness"

    def needs(self) -> tuple[WeightFile, ...]:
        return (_owlv2.CONFIG, _owlv2.WEIGHTS, _open_clip.B32.weights)

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
            extractor=f"{_owlv2.EXTRACTOR}; colours: {_open_clip.B32.extractor}",
            weights_sha256=sha256_of_all([weights.find(wanted) for wanted in self.needs()]),
            resize=f"{_owlv2.RESIZE}; colours: box {_open_clip.B32.resize}",
            value_range=_owlv2.VALUE_RANGE,
            reference="the prompt's text",
            library=library("torch", "transformers", "open_clip_torch"),
            better="higher",
            formula=f"1 if GenEval's rules hold for boxes above {FOUND} (counting: {COUNTED}), else 0",
            notes=("The detector is OWLv2, not GenEval's Mask2Former: do not compare with published GenEval scores.",),
        )

    def load(self, weights: Weights) -> CorrectnessScorer:
        config, owlv2, clip = (weights.find(wanted) for wanted in self.needs())
        return _Scorer(_owlv2.detector_network(config, owlv2), _open_clip.openai_network(clip, _open_clip.B32))
