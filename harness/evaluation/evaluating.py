"""Evaluate a run: extract features, compare every cell with the baseline, store the results."""

import time
from pathlib import Path

from harness.core.base import Advance, ignore
from harness.core.plan import Plan
from harness.core.quality import Definition, Delta, Evaluation, Score
from harness.core.units import Absent
from harness.evaluation.change import Comparer, ComparisonContext
from harness.evaluation.feature_store import FeatureCache, FeatureStore
from harness.evaluation.image_sets import ImageSets, Variant, load_image_sets
from harness.evaluation.ladder import climb, drop_unsound, find_blind_metrics, find_non_monotone
from harness.evaluation.prepared_metric import make_comparer, prepare_metrics
from harness.evaluation.reading import read_size, verify
from harness.evaluation.reference import open_reference
from harness.evaluation.tails import find_tail, get_contrast_reader
from harness.evaluation.trajectory import BY_NAME_ONLY, explain_not_gating
from harness.metrics import get_metric
from harness.store import (
    features_cache_dir,
    read_outcomes,
    read_plan,
    write_evaluation,
    write_image_scores,
)


def evaluate(run: Path, *, advance: Advance = ignore) -> Evaluation:
    """Score every completed cell of a run against its baseline.

    Stores and returns scores, deltas, controls and tails. `advance(what, done, total)` receives the
    progress. Metrics whose weights are not on this machine are listed in `missing`. Raises
    UsageError for a reference set that cannot be read, ResultsError if the baseline did not
    complete, a cell's images do not match the baseline's, or an image file is damaged.
    """
    begin = time.perf_counter()
    plan = read_plan(run)
    if not plan.model.quality_applies:
        evaluation = _nothing_to_score(plan)
        write_evaluation(run, evaluation)
        return evaluation
    reference = open_reference(plan.matrix.quality.reference)
    image_sets = load_image_sets(run, plan, read_outcomes(run))
    verify(image for variant in image_sets.variants for image in variant.images)
    size = read_size(image_sets.baseline.images[0])
    metrics, missing = prepare_metrics(plan, image_sets, size, reference)
    cache = FeatureCache(features_cache_dir())
    try:
        feature_store = FeatureStore(image_sets, size, cache)
        readers = [get_contrast_reader(), *(metric.reader for metric in metrics)]
        feature_store.extract(readers, image_sets.variants, advance)
        context = ComparisonContext(image_sets, feature_store, plan.matrix.quality.resamples)
        comparers = {
            metric.reader.name: make_comparer(context, metric, reference) for metric in metrics
        }
        evaluation = _compare_all(plan, context, comparers, advance)
    finally:
        cache.close()
    seconds = time.perf_counter() - begin
    evaluation = evaluation.model_copy(update={"missing": missing, "seconds": seconds})
    evaluation = drop_unsound(evaluation)
    _store(run, image_sets, comparers, evaluation)
    return evaluation


def _nothing_to_score(plan: Plan) -> Evaluation:
    """Return the evaluation of a model whose images are not meant to be scored."""
    why = f"not applicable: {plan.model.title}"
    missing = dict.fromkeys(plan.matrix.quality.metrics, why)
    return Evaluation(
        run_id=plan.run_id,
        scores=(),
        deltas=(),
        ladder=(),
        tails=(),
        blind={},
        missing=missing,
        seconds=0.0,
    )


def _compare_all(
    plan: Plan, context: ComparisonContext, comparers: dict[str, Comparer], advance: Advance
) -> Evaluation:
    image_sets = context.image_sets
    cells = (image_sets.baseline, *image_sets.candidates)
    scores: list[Score] = []
    deltas: list[Delta] = []
    for done, variant in enumerate(cells):
        advance("comparing", done, len(cells))
        for comparer in comparers.values():
            score, delta = _compare_one(plan, context, comparer, variant)
            scores += [score] if score else []
            deltas += [delta] if variant is not image_sets.baseline else []
    advance("comparing", len(cells), len(cells))
    ladder = climb(plan, context, comparers, advance)
    return Evaluation(
        run_id=plan.run_id,
        scores=tuple(scores),
        deltas=tuple(deltas),
        ladder=ladder,
        tails=tuple(
            find_tail(variant, image_sets, context.feature_store, comparers) for variant in cells
        ),
        blind=find_blind_metrics(ladder),
        not_monotone=find_non_monotone(ladder),
        missing={},
        seconds=0.0,
    )


def _compare_one(
    plan: Plan, context: ComparisonContext, comparer: Comparer, variant: Variant
) -> tuple[Score | None, Delta]:
    definition = comparer.reader.definition
    prompts = _prompts_compared(plan, context.image_sets, comparer, variant)
    n = prompts * context.image_sets.seeds
    change = comparer.change(variant, prompts)
    score = None
    if not isinstance(change.score, Absent):
        score = Score(
            cell_id=variant.name,
            definition=definition,
            value=change.score.interval,
            uncertainty=change.score.distribution,
            n=n,
            prompts=prompts,
        )
    why_not = explain_not_gating(plan, plan.find(variant.name).cell, get_metric(definition.metric))
    return score, Delta(
        cell_id=variant.name,
        metric=definition.metric,
        definition=definition,
        baseline=change.baseline,
        candidate=change.candidate,
        literal=change.literal if isinstance(change.literal, Absent) else change.literal.interval,
        literal_uncertainty=change.literal
        if isinstance(change.literal, Absent)
        else change.literal.distribution,
        loss=change.loss if isinstance(change.loss, Absent) else change.loss.interval,
        loss_uncertainty=change.loss
        if isinstance(change.loss, Absent)
        else change.loss.distribution,
        calibration=change.calibration,
        resolved_from=change.resolved_from,
        n=n,
        prompts=prompts,
        gates=not why_not,
        why_not=why_not,
        if_named=why_not == BY_NAME_ONLY,
    )


def _prompts_compared(
    plan: Plan, image_sets: ImageSets, comparer: Comparer, variant: Variant
) -> int:
    """Return over how many prompts a metric compares a variant.

    Comparisons with the other seed are limited to its images: in an adaptive run it has more images
    only where a verdict requires them.
    """
    prompts = image_sets.count_prompts(variant)
    metric = get_metric(comparer.reader.name)
    if image_sets.other_seed is None or not metric.needs_other_seed(
        plan.matrix.quality.reference is not None
    ):
        return prompts
    return min(prompts, image_sets.count_prompts(image_sets.other_seed))


def _store(
    run: Path, image_sets: ImageSets, comparers: dict[str, Comparer], evaluation: Evaluation
) -> None:
    for name, comparer in comparers.items():
        definition: Definition = comparer.reader.definition
        rows = (
            (variant.name, prompt, seed, value)
            for variant in (image_sets.baseline, *image_sets.candidates)
            for (prompt, seed), value in zip(
                image_sets.keys, comparer.image_values(variant), strict=False
            )
        )
        write_image_scores(run, name, definition, rows)
    write_evaluation(run, evaluation)
