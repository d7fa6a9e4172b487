"""Make metrics ready: definition, weights, reference; and the comparer that fits their kind."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from harness.core.matrix import Quality
from harness.evaluation.alignment import AlignmentComparer
from harness.evaluation.change import Comparer, Scene
from harness.evaluation.distribution import DistributionComparer
from harness.evaluation.looking import Reader
from harness.evaluation.paired import PairedComparer
from harness.evaluation.reference import reference_features
from harness.metrics import Metric, Weights
from harness.stats.bootstrap import Floats


class Ready(NamedTuple):
    """A metric with all it needs found on this machine."""

    reader: Reader
    to_score: Callable[[Floats], Floats]


def ready_metric(metric: Metric, quality: Quality) -> Ready:
    """Return a metric ready to read pictures; raises MachineError if its weights are missing."""
    weights = Weights.of(quality.weights)
    definition = metric.define(weights)
    if definition.kind == "distribution":
        reference = quality.reference or "the baseline at other seeds, same prompts"
        definition = definition.model_copy(update={"reference": reference})
    return Ready(Reader(definition, lambda: metric.load(weights)), metric.to_score)


def compare(scene: Scene, ready: Ready, reference: str | None) -> Comparer:
    """Return the comparer of a metric, by its kind."""
    makers: dict[str, Callable[[], Comparer]] = {
        "alignment": lambda: AlignmentComparer(scene, ready.reader, ready.to_score),
        "paired": lambda: PairedComparer(scene, ready.reader, ready.to_score),
        "distribution": lambda: DistributionComparer(scene, ready.reader, _real(scene, ready, reference)),
    }
    return makers[ready.reader.definition.kind]()


def _real(scene: Scene, ready: Ready, reference: str | None) -> Floats | None:
    if reference is None:
        return None
    return np.asarray(reference_features(reference, ready.reader, scene.sight.cache), dtype=np.float64)
