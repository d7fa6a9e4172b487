"""OWLv2 (Minderer et al. 2023): an open-vocabulary detector that looks for the 80 objects of GenEval at once.

Its text tower reads the same tokens as CLIP's, so open_clip's tokenizer, which comes with that package, serves it.
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.metrics._base import Network, Pixels
from harness.metrics._devices import device, exact, to_array
from harness.metrics._geneval_prompts import OBJECTS, article
from harness.metrics._geneval_rules import FOUND, Box, distinct
from harness.metrics._hub_model import load_network
from harness.metrics._weight_file import WeightFile

_HUB = "google/owlv2-base-patch16-ensemble"
CONFIG = WeightFile(key="owlv2-config", file="config.json", hub=_HUB)
WEIGHTS = WeightFile(key="owlv2", file="model.safetensors", hub=_HUB)
EXTRACTOR = "OWLv2 base, patch 16, ensemble"
RESIZE = "padded to a square on the right and below, to 960×960, bilinear with antialias (transformers)"
VALUE_RANGE = "uint8 RGB to [0, 1], standardised with OpenAI's means and deviations"
_PICTURES = {"cpu": 1, "cuda": 4}  # at once


class Seen(NamedTuple):
    """A picture with the objects found in it; `sureness` (80,) is the score of each object's surest box, else 0."""

    picture: Pixels
    objects: dict[str, list[Box]]
    sureness: NDArray[np.float64]


class DetectorNetwork(Network):
    """Finds boxes of GenEval's objects: each box is of the one object it looks most like."""

    def __init__(self, net: Any, prepare: Any) -> None:
        self.net, self._prepare = net, prepare
        self.ids = _token_ids(net.config.text_config.max_position_embeddings)
        with exact():
            read = net.owlv2.text_model(input_ids=self.ids.to(device())).pooler_output
            self._queries = net.owlv2.text_projection(read)

    def look(self, pictures: Pixels) -> list[Seen]:
        step = _PICTURES[device()]
        parts = [pictures[start : start + step] for start in range(0, len(pictures), step)]
        return [seen for part in parts for seen in self._detect(part)]

    def _detect(self, pictures: Pixels) -> list[Seen]:
        from PIL import Image

        images = [Image.fromarray(picture) for picture in pictures]
        fed = self._prepare(images=images, return_tensors="pt")["pixel_values"].to(device())
        with exact():
            grid = self.net.image_embedder(fed)[0]
            patches = grid.flatten(1, 2)
            logits = self.net.class_head(patches, self._queries.expand(len(patches), -1, -1), None)[0]
            boxes = self.net.box_predictor(patches, grid)
            scores, labels = logits.sigmoid().max(dim=-1)
        rows = zip(pictures, to_array(scores), to_array(labels), to_array(boxes), strict=True)
        return [_seen(*row) for row in rows]


def _seen(picture: Pixels, scores: Any, labels: Any, boxes: Any) -> Seen:
    height, width = picture.shape[:2]
    corners = np.concatenate([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2], axis=1)
    corners = (corners * max(height, width)).clip(0, [width, height, width, height])
    found: dict[str, list[Box]] = {}
    for index in np.flatnonzero(scores > FOUND):
        box = Box(float(scores[index]), *(float(corner) for corner in corners[index]))
        if box.area:  # else it lies in the padding
            found.setdefault(OBJECTS[labels[index]], []).append(box)
    objects = {name: distinct(those) for name, those in found.items()}
    sureness = np.array([objects[name][0].score if name in objects else 0.0 for name in OBJECTS])
    return Seen(picture, objects, sureness)


def _token_ids(length: int) -> Any:
    """Return the token ids (80, length) of the questions, one for each object."""
    import open_clip

    tokenize = open_clip.get_tokenizer("ViT-B-32-quickgelu")
    return tokenize([f"a photo of {article(name)}" for name in OBJECTS], context_length=length)


@cache
def detector_network(config: Path, weights: Path) -> DetectorNetwork:
    """Return the one shared instance; raises MachineError for files that are not OWLv2's."""
    from transformers import Owlv2Config, Owlv2ForObjectDetection, Owlv2ImageProcessor

    net = load_network((Owlv2ForObjectDetection, Owlv2Config), config, weights, WEIGHTS)
    side = net.config.vision_config.image_size
    return DetectorNetwork(net, Owlv2ImageProcessor(size={"height": side, "width": side}))


def sureness(seen: Sequence[Seen]) -> NDArray[np.float64]:
    """Return the scores (n, 80) of the surest boxes."""
    return np.stack([one.sureness for one in seen])
