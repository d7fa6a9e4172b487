"""VQAScore: how sure a vision-language model is that a picture shows its prompt (Lin et al. 2024).

The question is the paper's. The model is not: the paper takes CLIP-FlanT5 of 11 billion parameters, and here the small
SmolVLM-500M answers, so that a laptop can score. The share is P(yes) / (P(yes) + P(no)) of the answer's first token, in
all spellings that are one token; the paper takes P(Yes) alone. Compare these scores with each other, never with
published ones.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from harness.core.quality import Definition, MetricKind, Question
from harness.metrics import _smolvlm
from harness.metrics._base import CorrectnessScorer, Floats, Metric
from harness.metrics._devices import library, to_array
from harness.metrics._hub_model import sha256_of_all
from harness.metrics._weights import WeightFile, Weights

QUESTION = 'Does this figure show "{}"? Please answer yes or no.'


class _Scorer(CorrectnessScorer):
    network: _smolvlm.AnsweringNetwork

    def __init__(self, network: _smolvlm.AnsweringNetwork) -> None:
        self.network = network

    def found(self, activations: Any, texts: Sequence[str]) -> Floats:
        shares = self.network.yes(activations, [QUESTION.format(text) for text in texts])
        return np.asarray(to_array(shares), dtype=np.float64)

    def evidence(self, activations: Any, texts: Sequence[str]) -> dict[str, Any]:
        ids = {f"token ids of text {i}": self.network.token_ids(QUESTION.format(text)) for i, text in enumerate(texts)}
        return {"what stands for the picture": to_array(activations), **ids}


class Vqa(Metric):
    """SmolVLM-500M-Instruct answers whether the picture shows the prompt."""

    question: ClassVar[Question] = "content"
    kind: ClassVar[MetricKind] = "correctness"

    def needs(self) -> tuple[WeightFile, ...]:
        return (_smolvlm.CONFIG, _smolvlm.TOKENIZER, _smolvlm.WEIGHTS)

    def refusal(self, text: str) -> str:
        return "" if text.strip() else "the prompt is empty"

    def define(self, weights: Weights) -> Definition:
        return Definition(
            metric=self.name,
            kind=self.kind,
            question=self.question,
            extractor=_smolvlm.EXTRACTOR,
            weights_sha256=sha256_of_all([weights.find(wanted) for wanted in self.needs()]),
            resize=_smolvlm.RESIZE,
            value_range=_smolvlm.VALUE_RANGE,
            reference="the prompt's text",
            library=library("torch", "transformers", "tokenizers"),
            better="higher",
            formula=f"P(yes) / (P(yes) + P(no)) of the answer to: {QUESTION.format('…')}",
            notes=("SmolVLM-500M answers, not the paper's CLIP-FlanT5: do not compare with published VQAScores.",),
        )

    def load(self, weights: Weights) -> CorrectnessScorer:
        config, tokenizer, checkpoint = (weights.find(wanted) for wanted in self.needs())
        return _Scorer(_smolvlm.answering_network(config, tokenizer, checkpoint))
