"""Make metrics ready: definition, weights, reference; and the comparer that fits their kind."""

from collections.abc import Callable
from typing import NamedTuple

from harness.core.errors import MachineError
from harness.core.matrix import Quality
from harness.evaluation.alignment import AlignmentComparer, CorrectnessComparer
from harness.evaluation.change import Comparer, ComparisonContext
from harness.evaluation.distribution import DistributionComparer
from harness.evaluation.feature_store import Reader
from harness.evaluation.paired import PairedComparer, PromptWiseComparer
from harness.evaluation.reference import OTHER_SEEDS, ReferenceSet, why_not_readable
from harness.evaluation.selftest import load_tested
from harness.metrics import Metric, Weights


class PreparedMetric(NamedTuple):
    """A metric with all it needs found on this machine."""

    reader: Reader
    metric: Metric


def prepare_metric(
    metric: Metric, quality: Quality, reference: ReferenceSet | None, notes: tuple[str, ...]
) -> PreparedMetric:
    """Return a metric ready to read the pictures of a run, with `notes` on its scores there.

    Raises MachineError if its weights are missing, or if it cannot be scored against the reference
    set.
    """
    weights = Weights.of(quality.weights)
    definition = metric.define(weights)
    definition = definition.model_copy(update={"notes": (*definition.notes, *notes)})
    if definition.kind == "distribution":
        used = None if metric.needs_baseline else reference
        if why := why_not_readable(used, metric.statistic, metric.dimensions):
            raise MachineError(
                why, metric.name, "Name a folder of images in quality.reference, or another metric."
            )
        against = used.id if used else OTHER_SEEDS
        definition = definition.model_copy(update={"reference": against})
    return PreparedMetric(Reader(definition, lambda: load_tested(metric, weights)), metric)


def compare(
    context: ComparisonContext, ready: PreparedMetric, reference: ReferenceSet | None
) -> Comparer:
    """Return the comparer of a metric, by its kind."""
    reader, metric = ready

    def distribution() -> Comparer:
        real = (
            reference.read(reader, context.feature_store.cache)
            if reference and not metric.needs_baseline
            else None
        )
        return DistributionComparer(context, reader, metric, real)

    makers: dict[str, Callable[[], Comparer]] = {
        "alignment": lambda: AlignmentComparer(context, reader, metric.to_score),
        "paired": lambda: PairedComparer(context, reader, metric.to_score),
        "correctness": lambda: CorrectnessComparer(context, reader),
        "distribution": distribution,
        "prompt-wise": lambda: PromptWiseComparer(context, reader, metric.floor),
    }
    return makers[reader.definition.kind]()
