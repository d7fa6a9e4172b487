"""GenEval: does an image show the objects, number, colours and positions that its prompt names?

Prompts and rules are GenEval's (Ghosh et al. 2023); an image with one thing wrong is wrong. The
detector differs: GenEval uses Mask2Former, whose package needs old versions of others; here OWLv2
detects the same objects. Its scores are lower, so the score from which objects are counted is
another one; it returns boxes but no masks, so a colour is read off the whole box; and CLIP ViT-B/32
classifies the colour, where GenEval uses ViT-L/14. Compare these scores with each other, never with
published GenEval scores.

OWLv2 (Minderer et al. 2023) is an open-vocabulary detector; it detects the 80 objects of GenEval at
once. Its text tower reads the same tokens as CLIP's, so open_clip's tokenizer serves it.
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.core.quality import MetricKind, Question
from harness.metrics import _open_clip
from harness.metrics._base import (
    CorrectnessScorer,
    Description,
    Floats,
    Metric,
    Network,
    Pixels,
    device,
    exact,
    explain_refusal,
    to_array,
)
from harness.metrics._geneval import (
    COLOURS,
    COUNTED,
    FOUND,
    OBJECTS,
    DetectedBox,
    add_article,
    parse,
    remove_duplicates,
    shows,
)
from harness.metrics._hub_model import load_network
from harness.metrics._weights import WeightFile, Weights

_HUB = "google/owlv2-base-patch16-ensemble"
CONFIG = WeightFile(key="owlv2-config", file="config.json", hub=_HUB)
WEIGHTS = WeightFile(key="owlv2", file="model.safetensors", hub=_HUB)
EXTRACTOR = "OWLv2 base, patch 16, ensemble"
RESIZE = (
    "padded to a square on the right and below, to 960×960, bilinear with antialias (transformers)"
)
VALUE_RANGE = "uint8 RGB to [0, 1], standardised with OpenAI's means and deviations"
_IMAGES = {"cpu": 1, "cuda": 4}  # at once


class DetectedImage(NamedTuple):
    """An image with the objects found in it.

    `sureness` (80,) is the highest score of each object, 0 if it was not found.
    """

    image: Pixels
    objects: dict[str, list[DetectedBox]]
    sureness: NDArray[np.float64]


class DetectorNetwork(Network):
    """Finds boxes of GenEval's objects: each box belongs to the object with the highest score."""

    def __init__(self, net: Any, prepare: Any) -> None:
        self.net, self._prepare = net, prepare
        self.ids = _token_ids(net.config.text_config.max_position_embeddings)
        with exact():
            read = net.owlv2.text_model(input_ids=self.ids.to(device())).pooler_output
            self._queries = net.owlv2.text_projection(read)

    def extract(self, pixels: Pixels) -> list[DetectedImage]:
        step = _IMAGES[device()]
        parts = [pixels[start : start + step] for start in range(0, len(pixels), step)]
        return [seen for part in parts for seen in self._detect(part)]

    def _detect(self, pixels: Pixels) -> list[DetectedImage]:
        from PIL import Image

        images = [Image.fromarray(image) for image in pixels]
        fed = self._prepare(images=images, return_tensors="pt")["pixel_values"].to(device())
        with exact():
            grid = self.net.image_embedder(fed)[0]
            patches = grid.flatten(1, 2)
            logits = self.net.class_head(patches, self._queries.expand(len(patches), -1, -1), None)[
                0
            ]
            boxes = self.net.box_predictor(patches, grid)
            scores, labels = logits.sigmoid().max(dim=-1)
        rows = zip(pixels, to_array(scores), to_array(labels), to_array(boxes), strict=True)
        return [_seen(*row) for row in rows]


def _seen(image: Pixels, scores: Any, labels: Any, boxes: Any) -> DetectedImage:
    height, width = image.shape[:2]
    corners = np.concatenate(
        [boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2], axis=1
    )
    corners = (corners * max(height, width)).clip(0, [width, height, width, height])
    found: dict[str, list[DetectedBox]] = {}
    for index in np.flatnonzero(scores > FOUND):
        box = DetectedBox(float(scores[index]), *(float(corner) for corner in corners[index]))
        if box.area:  # else it lies in the padding
            found.setdefault(OBJECTS[labels[index]], []).append(box)
    objects = {name: remove_duplicates(those) for name, those in found.items()}
    sureness = np.array([objects[name][0].score if name in objects else 0.0 for name in OBJECTS])
    return DetectedImage(image, objects, sureness)


def _token_ids(length: int) -> Any:
    """Return the token ids (80, length) of the queries, one for each object."""
    import open_clip

    tokenize = open_clip.get_tokenizer("ViT-B-32-quickgelu")
    return tokenize([f"a photo of {add_article(name)}" for name in OBJECTS], context_length=length)


@cache
def load_detector_network(config: Path, weights: Path) -> DetectorNetwork:
    """Return the shared instance; raises MachineError for files that are not OWLv2's."""
    from transformers import Owlv2Config, Owlv2ForObjectDetection, Owlv2ImageProcessor

    net = load_network((Owlv2ForObjectDetection, Owlv2Config), config, weights, WEIGHTS)
    side = net.config.vision_config.image_size
    return DetectorNetwork(net, Owlv2ImageProcessor(size={"height": side, "width": side}))


def sureness(seen: Sequence[DetectedImage]) -> NDArray[np.float64]:
    """Return the scores (n, 80) of the best boxes."""
    return np.stack([one.sureness for one in seen])


_TEMPLATES = (
    "a photo of a {colour} {name}",
    "a photo of a {colour}-colored {name}",
    "a photo of a {colour} object",
)


class _Scorer(CorrectnessScorer):
    network: DetectorNetwork

    def __init__(self, network: DetectorNetwork, clip: _open_clip.ClipNetwork) -> None:
        self.network, self._clip = network, clip
        self._colours = cache(self._read_colours)

    def found(self, activations: Any, texts: Sequence[str]) -> Floats:
        pairs = zip(activations, texts, strict=True)
        return np.array([self._shows(seen, text) for seen, text in pairs], dtype=np.float64)

    def _shows(self, seen: DetectedImage, text: str) -> bool:
        def find_colour(name: str, box: DetectedBox) -> str:
            likeness = (
                to_array(self._clip.extract(_crop(seen.image, box)[None])) @ self._colours(name).T
            )
            return COLOURS[int(likeness.argmax())]

        return shows(parse(text), seen.objects, find_colour)

    def _read_colours(self, name: str) -> NDArray[np.float32]:
        """Return unit embeddings (10, d) of an object in each colour, means of all templates."""
        texts = [
            template.format(colour=colour, name=name)
            for colour in COLOURS
            for template in _TEMPLATES
        ]
        read = (
            to_array(self._clip.read(texts)).reshape(len(COLOURS), len(_TEMPLATES), -1).mean(axis=1)
        )
        unit: NDArray[np.float32] = read / np.linalg.norm(read, axis=1, keepdims=True)
        return unit

    def token_ids(self) -> dict[str, Any]:
        return {"token ids of the objects": self.network.ids}

    def evidence(self, activations: Any, texts: Sequence[str]) -> dict[str, Any]:
        return {"surest box of each object": sureness(activations)}


def _crop(image: Pixels, box: DetectedBox) -> Pixels:
    """Return the pixels of a box, at least one."""
    left, top = int(box.left), int(box.top)
    right, bottom = max(round(box.right), left + 1), max(round(box.bottom), top + 1)
    return image[top:bottom, left:right]


class Geneval(Metric):
    """OWLv2 base finds objects, CLIP ViT-B/32 classifies their colours."""

    question: ClassVar[Question] = "content"
    kind: ClassVar[MetricKind] = "correctness"

    def needs(self) -> tuple[WeightFile, ...]:
        return (CONFIG, WEIGHTS, _open_clip.B32.weights)

    def refusal(self, text: str) -> str:
        return explain_refusal(parse, text)

    def describe(self) -> Description:
        return Description(
            f"{EXTRACTOR}; colours: {_open_clip.B32.extractor}",
            VALUE_RANGE,
            ("torch", "transformers", "open_clip_torch"),
            resize=f"{RESIZE}; colours: box {_open_clip.B32.resize}",
            formula=(
                f"1 if GenEval's rules hold for boxes above {FOUND} (counting: {COUNTED}), else 0"
            ),
            better="higher",
            notes=(
                (
                    "The detector is OWLv2, not GenEval's Mask2Former: do not compare with "
                    "published GenEval scores."
                ),
            ),
        )

    def load(self, weights: Weights) -> CorrectnessScorer:
        config, owlv2, clip = (weights.find(wanted) for wanted in self.needs())
        return _Scorer(
            load_detector_network(config, owlv2),
            _open_clip.load_openai_network(clip, _open_clip.B32),
        )
