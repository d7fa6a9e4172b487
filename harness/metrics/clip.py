"""CLIP score: 100 · cosine between a picture and its prompt, not clamped at zero (Hessel et al. 2021 clamp it)."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from harness.core.quality import Definition, MetricKind, Question
from harness.metrics import _bundled_clip, _open_clip
from harness.metrics._base import Floats, Metric, TextScorer
from harness.metrics._devices import library, to_array
from harness.metrics._embeddings import ImageEmbeddings
from harness.metrics._weights import WeightFile, Weights, hash_file


class _Scorer(ImageEmbeddings, TextScorer):
    network: _open_clip.ClipNetwork

    def texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        found: NDArray[np.float32] = to_array(self.network.read(list(texts)))
        return found


class Clip(Metric):
    """`bundled`: the small dual encoder of the shapes world; `mlperf`: open_clip ViT-B-32 with OpenAI's weights."""

    question: ClassVar[Question] = "content"
    kind: ClassVar[MetricKind] = "alignment"
    profiles: ClassVar[tuple[str, ...]] = ("bundled", "mlperf")

    def needs(self) -> tuple[WeightFile, ...]:
        return () if self.profile == "bundled" else (_open_clip.B32.weights,)

    def ships(self) -> tuple[Path, ...]:
        return (_bundled_clip.weights_path(),) if self.profile == "bundled" else ()

    def define(self, weights: Weights) -> Definition:
        bundled = self.profile == "bundled"
        path = _bundled_clip.weights_path() if bundled else weights.find(_open_clip.B32.weights)
        return Definition(
            metric=self.name,
            kind=self.kind,
            question=self.question,
            extractor=_bundled_clip.EXTRACTOR if bundled else _open_clip.B32.extractor,
            weights_sha256=hash_file(path),
            resize=_bundled_clip.RESIZE if bundled else _open_clip.B32.resize,
            value_range=_bundled_clip.VALUE_RANGE if bundled else _open_clip.VALUE_RANGE,
            reference="the prompt's text",
            library=library("torch", "open_clip_torch"),
            better="higher",
            formula="100 · cosine, not clamped",
        )

    def load(self, weights: Weights) -> TextScorer:
        if self.profile == "bundled":
            return _Scorer(_bundled_clip.bundled_network())
        return _Scorer(_open_clip.openai_network(weights.find(_open_clip.B32.weights), _open_clip.B32))

    def to_score(self, distances: Floats) -> Floats:
        """Return 100 · cosine."""
        return 100 * distances
