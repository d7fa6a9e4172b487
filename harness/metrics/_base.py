"""What a metric is: a description that is cheap to make, and a scorer with its network loaded."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from harness.core.base import Frozen
from harness.core.quality import Definition, MetricKind, Question
from harness.metrics._weights import WeightFile, Weights

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float64]


class Network(ABC):
    """A network that looks at pictures once for all metrics that read it."""

    @abstractmethod
    def extract(self, pictures: Pixels) -> Any:
        """Return the activations of uint8 pictures (n, height, width, 3), in whatever form its metrics read."""


class Scorer(ABC):
    """A metric ready to score: its network, and what it reads from the network's activations."""

    network: Network


class FeatureScorer(Scorer):
    """Reads one feature vector per picture: distribution and alignment metrics."""

    @abstractmethod
    def features(self, activations: Any) -> NDArray[np.float32]:
        """Return features (n, d)."""


class TextScorer(FeatureScorer):
    """An alignment metric: picture and text features are unit vectors of one space."""

    @abstractmethod
    def texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return unit features (m, d) of texts."""


class PairScorer(Scorer):
    """A paired metric: a distance of each picture to its partner, 0 for identical ones."""

    @abstractmethod
    def distances(self, first: Any, second: Any) -> Floats:
        """Return distances (n,) between the activations of pictures and of their partners."""


class CorrectnessScorer(Scorer):
    """Finds in each picture what its prompt asks for: correctness metrics."""

    @abstractmethod
    def found(self, activations: Any, texts: Sequence[str]) -> Floats:
        """Return the share (n,) from 0 to 1 of what each text asks for that its picture shows."""

    def token_ids(self) -> dict[str, Any]:
        """Return, for the self-test, token ids that a tokenizer of an installed package makes, by what they are of."""
        return {}

    def evidence(self, activations: Any, texts: Sequence[str]) -> dict[str, Any]:
        """Return, for the self-test, the numbers that `found` judges by, by what they are."""
        return {}


class Metric(Frozen, ABC):
    """The description of a metric under one profile; `load` makes the scorer."""

    kind: ClassVar[MetricKind]
    question: ClassVar[Question]
    profiles: ClassVar[tuple[str, ...]] = ()
    gates_by_default: ClassVar[bool] = True
    least_pixels: ClassVar[int] = 1
    """Shortest side of a picture it can score."""
    statistic: ClassVar[Literal["frechet", "mmd"]] = "frechet"
    """What a distribution metric makes of two sets of features."""
    kernel: ClassVar[Literal["cubic", "gaussian"]] = "cubic"
    """Of a maximum mean discrepancy: KID's polynomial or CMMD's Gaussian."""
    floor: ClassVar[float] = 0.0
    """The change of a feature that is just visible. Above 0, features count in units of √(variance within prompts of
    the baseline + floor²), and a loss of 100 % is one such unit in every feature."""
    needs_baseline: ClassVar[bool] = False
    """Always compares with the baseline at other seeds, also where the matrix names a reference set."""

    profile: str = ""

    @property
    def file(self) -> str:
        return type(self).__module__.rsplit(".", 1)[-1].replace("_", "-")

    @property
    def name(self) -> str:
        return f"{self.file}:{self.profile}" if self.profile else self.file

    def needs(self) -> tuple[WeightFile, ...]:
        """Return the weight files that must be found on this machine; those of packages are what it `ships`."""
        return ()

    def ships(self) -> tuple[Path, ...]:
        """Return the weight files it uses that came with an installed package."""
        return ()

    def needs_other_seed(self, reference: bool) -> bool:
        """Return whether its losses are calibrated by the baseline's other-seed run; `reference`: a set is named."""
        by_it = self.kind in ("paired", "prompt-wise")
        return by_it or (self.kind == "distribution" and (self.needs_baseline or not reference))

    def refusal(self, text: str) -> str:
        """Return why a correctness metric cannot check a prompt; an empty string if it can."""
        return ""

    @property
    def weightless(self) -> bool:
        """Whether it reads pixels without a network: cheap enough for every rung of the damage ladder."""
        return not (self.needs() or self.ships())

    @property
    def dimensions(self) -> int:
        """Length of the feature vector of a distribution metric."""
        return 0

    def cautions(self, images: int) -> tuple[str, ...]:
        """Return what a reader must know of a score over so many images."""
        return ()

    @abstractmethod
    def define(self, weights: Weights) -> Definition:
        """Return what exactly the number means; raises MachineError if weights are missing."""

    @abstractmethod
    def load(self, weights: Weights) -> Scorer:
        """Return the scorer; raises MachineError if weights are missing or are not the right file."""

    def to_score(self, distances: Floats) -> Floats:
        """Return the reported values of distances or similarities (n,): a paired metric may report another scale."""
        return distances
