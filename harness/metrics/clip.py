"""CLIP score: 100 · cosine of image and prompt, not clamped (Hessel et al. 2021 clamp it)."""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from harness.checkpoints.clip_tokens import UncountedError
from harness.core.model import CutTexts
from harness.core.quality import MetricKind, Question
from harness.metrics import _bundled, _open_clip
from harness.metrics._base import Description, Floats, TextScorer, to_array
from harness.metrics._weights import Weights
from harness.metrics.bundled import captions


class _Scorer(TextScorer):
    network: _open_clip.ClipNetwork

    def texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        found: NDArray[np.float32] = to_array(self.network.read(list(texts)))
        return found


class Clip(_bundled.ClipMetric):
    """`bundled`: the small dual encoder; `mlperf`: open_clip ViT-B-32 with OpenAI's weights."""

    question: ClassVar[Question] = "content"
    kind: ClassVar[MetricKind] = "alignment"
    profiles: ClassVar[tuple[str, ...]] = ("bundled", "mlperf")
    tower: ClassVar[_open_clip.Tower] = _open_clip.B32

    def find_cut(self, texts: Sequence[str]) -> CutTexts:
        try:
            if self.bundled:
                most, long = captions.LENGTH, captions.find_longer_texts(texts)
            else:
                most, long = _open_clip.LENGTH, _open_clip.find_longer_texts(texts)
        except UncountedError as error:
            return CutTexts(encoder=self.name, uncounted=str(error))
        return CutTexts(encoder=self.name, tokens=most, texts=tuple(long))

    def describe(self) -> Description:
        return self.describe_as("100 · cosine, not clamped", "higher", self.tower.resize)

    def load(self, weights: Weights) -> TextScorer:
        if self.bundled:
            return _Scorer(_bundled.load_clip_network())
        path = weights.find(self.tower.weights)
        return _Scorer(_open_clip.load_openai_network(path, self.tower))

    def to_score(self, distances: Floats) -> Floats:
        """Return 100 · cosine."""
        return 100 * distances
