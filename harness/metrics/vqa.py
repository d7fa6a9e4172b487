"""VQAScore: the probability that a vision-language model confirms the prompt (Lin et al. 2024).

The question is the paper's. The model is not: the paper uses CLIP-FlanT5 with 11 billion
parameters, and here the small SmolVLM-500M answers, so that a laptop can score. The score is P(yes)
/ (P(yes) + P(no)) of the answer's first token, in all spellings that are one token; the paper uses
P(Yes) alone. Compare these scores with each other, never with published ones.

SmolVLM-500M-Instruct was chosen because it is small (2 GB in float32, fast enough without a GPU),
free (Apache 2.0) and of an architecture in transformers (Idefics3). Images are not split into
tiles: one view of 512×512 and 64 tokens.
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from harness.core.errors import MachineError
from harness.core.quality import MetricKind, Question
from harness.metrics._base import (
    CorrectnessScorer,
    Description,
    Floats,
    Metric,
    Network,
    Pixels,
    device,
    exact,
    in_batches,
    to_array,
)
from harness.metrics._hub_model import load_network
from harness.metrics._weights import WeightFile, Weights

_HUB = "HuggingFaceTB/SmolVLM-500M-Instruct"
CONFIG = WeightFile(key="smolvlm-config", file="config.json", hub=_HUB)
TOKENIZER = WeightFile(key="smolvlm-tokenizer", file="tokenizer.json", hub=_HUB)
WEIGHTS = WeightFile(key="smolvlm", file="model.safetensors", hub=_HUB)
EXTRACTOR = "SmolVLM-500M-Instruct, float32"
RESIZE = (
    "to 512 on the long side, then to 512×512, Lanczos with antialias on uint8 (transformers), no "
    "tiles"
)
VALUE_RANGE = "uint8 RGB to [-1, 1] as 2·x/255 − 1"
_IMAGES, _QUESTIONS = 4, 8  # at once
_TURN, _END = "<|im_start|>", "<end_of_utterance>"
_FAKE, _GLOBAL, _IMAGE = "<fake_token_around_image>", "<global-img>", "<image>"
_ANSWERS = {"yes": (" Yes", " yes", "Yes", "yes"), "no": (" No", " no", "No", "no")}


class AnsweringNetwork(Network):
    """Encodes images once; `yes` then answers any question about them."""

    def __init__(self, net: Any, prepare: Any, words: Any) -> None:
        self.net, self._prepare, self._words = net, prepare, words
        side = (
            net.config.vision_config.image_size
            // net.config.vision_config.patch_size
            // net.config.scale_factor
        )
        view = f"{_FAKE}{_GLOBAL}{_IMAGE * side**2}{_FAKE}"
        self._before, self._after = (
            self._ids(part, True) for part in (f"{_TURN}User:{view}", f"{_END}\nAssistant:")
        )
        self._yes, self._no = (
            [ids[0] for ids in self._spelt(answer) if len(ids) == 1] for answer in _ANSWERS
        )
        unknown = [
            token
            for token in (_TURN, _FAKE, _GLOBAL, _IMAGE, _END)
            if words.token_to_id(token) is None
        ]
        unknown += [answer for answer, ids in (("yes", self._yes), ("no", self._no)) if not ids]
        if unknown:
            raise ValueError(f"it has no token for {', '.join(unknown)}")
        if words.token_to_id(_IMAGE) != net.config.image_token_id:
            raise ValueError(f"{_IMAGE} has another number than the configuration says")

    def _spelt(self, answer: str) -> list[list[int]]:
        return [self._ids(spelling, False) for spelling in _ANSWERS[answer]]

    def _ids(self, text: str, special: bool) -> list[int]:
        """Return token ids; a special token's name is one token if `special`, else plain text."""
        self._words.encode_special_tokens = not special
        ids: list[int] = self._words.encode(text, add_special_tokens=False).ids
        return ids

    def extract(self, pixels: Pixels) -> Any:
        """Return the image tokens of each image, (n, 64, d)."""
        from PIL import Image

        def part(some: Pixels) -> Any:
            images = [[Image.fromarray(image)] for image in some]
            fed = self._prepare(images=images, return_tensors="pt")["pixel_values"][:, 0].to(
                device()
            )
            with exact():
                return self.net.model.connector(
                    self.net.model.vision_model(pixel_values=fed).last_hidden_state
                )

        return in_batches(part, pixels, _IMAGES)

    def token_ids(self, question: str) -> list[int]:
        """Return the token ids of a turn: image, question, and the beginning of the answer."""
        return [*self._before, *self._ids(question, False), *self._after]

    def yes(self, pixels: Any, questions: Sequence[str]) -> Any:
        """Return P(yes) / (P(yes) + P(no)) (n,) of the first answer token to each question."""
        import torch

        parts = range(0, len(questions), _QUESTIONS)
        with exact():
            answers = [
                self._answers(pixels[i : i + _QUESTIONS], questions[i : i + _QUESTIONS])
                for i in parts
            ]
            return torch.cat(answers)

    def _answers(self, pixels: Any, questions: Sequence[str]) -> Any:
        import torch

        rows = [torch.tensor(self.token_ids(question)) for question in questions]
        ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True).to(device())
        words = self.net.get_input_embeddings()(ids)
        words[ids == self.net.config.image_token_id] = pixels.flatten(0, 1)
        states = self.net.model.text_model(inputs_embeds=words, use_cache=False).last_hidden_state
        last = torch.tensor(
            [len(row) - 1 for row in rows], device=ids.device
        )  # what pads a row comes after, unseen
        logits = self.net.lm_head(states[torch.arange(len(rows), device=ids.device), last]).double()
        return torch.sigmoid(
            logits[:, self._yes].logsumexp(dim=1) - logits[:, self._no].logsumexp(dim=1)
        )


@cache
def load_answering_network(config: Path, tokenizer: Path, weights: Path) -> AnsweringNetwork:
    """Return the shared instance; raises MachineError for files that are not SmolVLM's."""
    from tokenizers import Tokenizer
    from transformers import (
        Idefics3Config,
        Idefics3ForConditionalGeneration,
        Idefics3ImageProcessor,
    )

    net = load_network((Idefics3ForConditionalGeneration, Idefics3Config), config, weights, WEIGHTS)
    side = {"longest_edge": net.config.vision_config.image_size}
    prepare = Idefics3ImageProcessor(do_image_splitting=False, size=side, max_image_size=side)
    try:
        return AnsweringNetwork(net, prepare, Tokenizer.from_file(str(tokenizer)))
    except Exception as error:  # the tokenizers library raises bare exceptions
        what = f"this is no tokenizer of SmolVLM: {error}"
        raise MachineError(what, str(tokenizer), f"Get it anew from {TOKENIZER.source}.") from error


QUESTION = 'Does this figure show "{}"? Please answer yes or no.'


class _Scorer(CorrectnessScorer):
    network: AnsweringNetwork

    def __init__(self, network: AnsweringNetwork) -> None:
        self.network = network

    def found(self, activations: Any, texts: Sequence[str]) -> Floats:
        shares = self.network.yes(activations, [QUESTION.format(text) for text in texts])
        return np.asarray(to_array(shares), dtype=np.float64)

    def evidence(self, activations: Any, texts: Sequence[str]) -> dict[str, Any]:
        ids = {
            f"token ids of text {i}": self.network.token_ids(QUESTION.format(text))
            for i, text in enumerate(texts)
        }
        return {"what stands for the image": to_array(activations), **ids}


class Vqa(Metric):
    """SmolVLM-500M-Instruct answers whether the image shows the prompt."""

    question: ClassVar[Question] = "content"
    kind: ClassVar[MetricKind] = "correctness"

    def needs(self) -> tuple[WeightFile, ...]:
        return (CONFIG, TOKENIZER, WEIGHTS)

    def refusal(self, text: str) -> str:
        return "" if text.strip() else "the prompt is empty"

    def describe(self) -> Description:
        return Description(
            EXTRACTOR,
            VALUE_RANGE,
            ("torch", "transformers", "tokenizers"),
            resize=RESIZE,
            formula=f"P(yes) / (P(yes) + P(no)) of the answer to: {QUESTION.format('…')}",
            better="higher",
            notes=(
                (
                    "SmolVLM-500M answers, not the paper's CLIP-FlanT5: do not compare with "
                    "published VQAScores."
                ),
            ),
        )

    def load(self, weights: Weights) -> CorrectnessScorer:
        config, tokenizer, checkpoint = (weights.find(wanted) for wanted in self.needs())
        return _Scorer(load_answering_network(config, tokenizer, checkpoint))
