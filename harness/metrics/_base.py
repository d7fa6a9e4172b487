"""Metrics, scorers and networks: the types that metrics implement, and how networks run.

A metric is a description that is cheap to create; `load` returns its scorer, which holds a network.
Networks always run in float32, so that a score means the same on every machine.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.core.base import Frozen
from harness.core.model import CutTexts
from harness.core.quality import Definition, MetricKind, Question
from harness.metrics._weights import WeightFile, Weights, hash_files

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float64]

_REFERENCES: dict[MetricKind, str] = {
    "paired": "the baseline's image of the same prompt and seed",
    "alignment": "the prompt's text",
    "correctness": "the prompt's text",
    "distribution": "",  # the evaluation knows it: a reference set, or the baseline at other seeds
    "prompt-wise": "the baseline's image of the same prompt at another seed",
}


class Network(ABC):
    """A network that processes images once for all metrics that read its activations."""

    @abstractmethod
    def extract(self, pixels: Pixels) -> Any:
        """Return the activations of uint8 images (n, height, width, 3)."""


class Scorer(ABC):
    """A loaded metric: its network, and how it reads the network's activations."""

    network: Network


class FeatureScorer(Scorer):
    """Reads one feature vector per image: distribution, alignment and prompt-wise metrics."""

    def __init__(self, network: Network) -> None:
        self.network = network

    def features(self, activations: Any) -> NDArray[np.float32]:
        """Return features (n, d): the activations themselves."""
        found: NDArray[np.float32] = to_array(activations)
        return found


class TextScorer(FeatureScorer):
    """An alignment metric: image and text features are unit vectors of one space."""

    @abstractmethod
    def texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return unit features (m, d) of texts."""


class PairScorer(Scorer):
    """A paired metric: the distance between two images, 0 for identical ones."""

    @abstractmethod
    def distances(self, first: Any, second: Any) -> Floats:
        """Return the distances (n,) between the activations of two sets of images, pair by pair."""


class CorrectnessScorer(Scorer):
    """Checks whether each image shows what its prompt asks for."""

    @abstractmethod
    def found(self, activations: Any, texts: Sequence[str]) -> Floats:
        """Return the share (n,), 0 to 1, of what each text asks for that its image shows."""

    def token_ids(self) -> dict[str, Any]:
        """Return, for the self-test, token ids of an installed package's tokenizer, by meaning."""
        return {}

    def evidence(self, activations: Any, texts: Sequence[str]) -> dict[str, Any]:
        """Return, for the self-test, the numbers on which `found` is based, by their meaning."""
        return {}


class Description(NamedTuple):
    """What a metric reads from an image, and what it computes (formula), in words.

    `libraries` are the installed packages on which the number depends.
    """

    extractor: str
    value_range: str
    libraries: tuple[str, ...]
    resize: str = "none"
    formula: str = ""
    better: Literal["higher", "lower"] = "lower"
    unit: str = ""
    notes: tuple[str, ...] = ()


class Metric(Frozen, ABC):
    """The description of a metric under one profile; `load` returns the scorer."""

    kind: ClassVar[MetricKind]
    question: ClassVar[Question]
    profiles: ClassVar[tuple[str, ...]] = ()
    gates_by_default: ClassVar[bool] = True
    least_pixels: ClassVar[int] = 1
    """Shortest side of an image that it can score."""
    statistic: ClassVar[Literal["frechet", "mmd"]] = "frechet"
    """Distance between two sets of features that a distribution metric computes."""
    kernel: ClassVar[Literal["cubic", "gaussian"]] = "cubic"
    """Kernel of a maximum mean discrepancy: KID's polynomial or CMMD's Gaussian."""
    floor: ClassVar[float] = 0.0
    """The just-visible change of a feature. If above 0, features are expressed in units of
    √(variance within prompts of the baseline + floor²), and 100 % loss is one unit in each."""
    needs_baseline: ClassVar[bool] = False
    """Whether it always compares with the baseline at other seeds, never with a reference set."""

    profile: str = ""

    @property
    def file(self) -> str:
        return type(self).__module__.rsplit(".", 1)[-1].replace("_", "-")

    @property
    def name(self) -> str:
        return f"{self.file}:{self.profile}" if self.profile else self.file

    def needs(self) -> tuple[WeightFile, ...]:
        """Return the weight files that it needs, besides those that packages contain."""
        return ()

    def ships(self) -> tuple[Path, ...]:
        """Return the weight files it uses that are part of an installed package."""
        return ()

    def needs_other_seed(self, reference: bool) -> bool:
        """Return whether the baseline's other-seed run calibrates its losses.

        `reference`: the matrix names a reference set.
        """
        by_it = self.kind in ("paired", "prompt-wise")
        return by_it or (self.kind == "distribution" and (self.needs_baseline or not reference))

    def refusal(self, text: str) -> str:
        """Return why a correctness metric cannot check a prompt; an empty string if it can."""
        return ""

    def find_cut(self, texts: Sequence[str]) -> CutTexts:
        """Return the prompts that the metric's text encoder truncates, counted without torch."""
        return CutTexts(encoder=self.name)

    @property
    def weightless(self) -> bool:
        """Whether it needs no network, and is cheap enough for every rung of the damage ladder."""
        return not (self.needs() or self.ships())

    @property
    def dimensions(self) -> int:
        """Length of the feature vector of a distribution metric."""
        return 0

    def cautions(self, images: int) -> tuple[str, ...]:
        """Return notes on how far a score over so many images can be trusted."""
        return ()

    @abstractmethod
    def describe(self) -> Description:
        """Return what it reads from an image and what it computes."""

    def define(self, weights: Weights) -> Definition:
        """Return the exact meaning of its number; raises MachineError if weights are missing."""
        described = self.describe()
        files = [*(weights.find(wanted) for wanted in self.needs()), *self.ships()]
        return Definition(
            metric=self.name,
            kind=self.kind,
            question=self.question,
            extractor=described.extractor,
            weights_sha256=hash_files(files),
            resize=described.resize,
            value_range=described.value_range,
            reference=_REFERENCES[self.kind],
            library=", ".join(f"{name} {version(name)}" for name in described.libraries),
            better=described.better,
            unit=described.unit,
            formula=described.formula,
            notes=described.notes,
        )

    @abstractmethod
    def load(self, weights: Weights) -> Scorer:
        """Return the scorer; MachineError if weights are missing or are not the expected file."""

    def to_score(self, distances: Floats) -> Floats:
        """Return the reported values (n,) of distances or similarities."""
        return distances


def explain_refusal(parse: Callable[[str], object], text: str) -> str:
    """Return the message of the ValueError that parsing a prompt raises, or an empty string."""
    try:
        parse(text)
    except ValueError as error:
        return str(error)
    return ""


def device() -> str:
    """Return `cuda` if a GPU is available, else `cpu`."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


@contextmanager
def exact() -> Iterator[None]:
    """Run without gradients and without TF32, which would change the third digit."""
    import torch

    with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        yield


def to_unit(pixels: Pixels) -> Any:
    """Return a float32 tensor (n, 3, height, width) in [0, 1] of uint8 images."""
    return to_levels(pixels).div_(255)


def to_levels(pixels: Pixels) -> Any:
    """Return a float32 tensor (n, 3, height, width) of levels 0 … 255 of uint8 images.

    Read-only images, as Pillow's, are copied.
    """
    import torch

    writable = np.require(pixels, requirements=["C", "W"])  # torch warns about read-only arrays
    return torch.from_numpy(writable).to(device()).permute(0, 3, 1, 2).float().contiguous()


def in_batches(extract: Callable[[Pixels], Any], pixels: Pixels, size: int) -> Any:
    """Return the results of `extract` for images, `size` of them at a time, as one tensor."""
    import torch

    return torch.cat(
        [extract(pixels[start : start + size]) for start in range(0, len(pixels), size)]
    )


def to_array(values: Any) -> Any:
    """Return a tensor as a numpy array on the CPU; arrays are returned as they are."""
    return values if isinstance(values, np.ndarray) else values.detach().cpu().numpy()
