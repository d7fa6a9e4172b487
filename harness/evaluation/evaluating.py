"""Evaluate a run: look at every picture once, compare every cell with the baseline, store scores and deltas."""

import time
from pathlib import Path

from harness.core.errors import MachineError
from harness.core.plan import Plan
from harness.core.quality import Control, Definition, Delta, Evaluation, Score
from harness.core.units import Absent
from harness.evaluation.cache import FeatureCache
from harness.evaluation.change import Comparer, Scene
from harness.evaluation.contrast import contrast_reader
from harness.evaluation.controls import PREFIX, blind_metrics, control_variants
from harness.evaluation.gates import why_not_gating
from harness.evaluation.lineup import Lineup, Variant, line_up
from harness.evaluation.looking import Advance, Sight
from harness.evaluation.pictures import picture_size, verify
from harness.evaluation.readying import Ready, compare, ready_metric
from harness.evaluation.tails import find_tail
from harness.metrics import get_metric
from harness.stats.confidence import lower_bound
from harness.store import features_cache_dir, read_outcomes, read_plan, write_evaluation, write_image_scores


def ignore(what: str, done: int, total: int) -> None:
    """Take no notice of progress."""


def evaluate(run: Path, *, advance: Advance = ignore) -> Evaluation:
    """Score every completed cell of a run against its baseline; store and return scores, deltas, controls and tails.

    `advance(what, done, total)` is told of progress. Metrics whose weights are not on this machine are listed in
    `missing`. Raises ResultsError if the baseline did not complete, a cell has not exactly the baseline's images, or
    an image file is damaged.
    """
    begin = time.perf_counter()
    plan = read_plan(run)
    lineup = line_up(run, plan, read_outcomes(run))
    extra = [variant for variant in (lineup.rerun, lineup.other_seed) if variant is not None]
    verify(picture for v in (lineup.baseline, *lineup.candidates, *extra) for picture in v.pictures)
    size = picture_size(lineup.baseline.pictures[0])
    metrics, missing = _ready_metrics(plan, size)
    controls = control_variants(lineup) if lineup.prompts > 1 else ()
    cache = FeatureCache(features_cache_dir())
    try:
        sight = Sight(lineup, size, cache)
        readers = [contrast_reader(), *(metric.reader for metric in metrics)]
        sight.look(readers, (lineup.baseline, *lineup.candidates, *extra, *controls), advance)
        scene = Scene(lineup, sight, plan.matrix.quality.resamples)
        comparers = {metric.reader.name: compare(scene, metric, plan.matrix.quality.reference) for metric in metrics}
        evaluation = _compare_all(plan, scene, comparers, controls, advance)
    finally:
        cache.close()
    evaluation = evaluation.model_copy(update={"missing": missing, "seconds": time.perf_counter() - begin})
    _store(run, lineup, comparers, evaluation)
    return evaluation


def _ready_metrics(plan: Plan, size: tuple[int, int]) -> tuple[list[Ready], dict[str, str]]:
    ready: list[Ready] = []
    missing: dict[str, str] = {}
    for name in plan.matrix.quality.metrics:
        metric = get_metric(name)
        if min(size) < metric.least_pixels:
            missing[metric.name] = f"pictures of {size[0]}×{size[1]} are too small: it needs {metric.least_pixels}"
            continue
        try:
            ready.append(ready_metric(metric, plan.matrix.quality))
        except MachineError as error:
            missing[metric.name] = f"{error.what}. {error.fix}"
    return ready, missing


def _compare_all(
    plan: Plan, scene: Scene, comparers: dict[str, Comparer], controls: tuple[Variant, ...], advance: Advance
) -> Evaluation:
    lineup = scene.lineup
    cells = (lineup.baseline, *lineup.candidates)
    scores: list[Score] = []
    deltas: list[Delta] = []
    for done, variant in enumerate(cells):
        advance("comparing", done, len(cells))
        for comparer in comparers.values():
            score, delta = _compare_one(plan, scene, comparer, variant)
            scores += [score] if score else []
            deltas += [delta] if variant is not lineup.baseline else []
    judged = tuple(control for comparer in comparers.values() for control in _controls(scene, comparer, controls))
    advance("comparing", len(cells), len(cells))
    definitions = {name: comparer.reader.definition for name, comparer in comparers.items()}
    return Evaluation(
        run_id=plan.run_id,
        scores=tuple(scores),
        deltas=tuple(deltas),
        controls=judged,
        tails=tuple(find_tail(variant, lineup, scene.sight, comparers) for variant in cells),
        blind=blind_metrics(judged, definitions),
        missing={},
        seconds=0.0,
    )


def _compare_one(plan: Plan, scene: Scene, comparer: Comparer, variant: Variant) -> tuple[Score | None, Delta]:
    lineup, definition = scene.lineup, comparer.reader.definition
    change = comparer.change(variant, lineup.prompts)
    n = len(variant.pictures)
    score = None
    if not isinstance(change.score, Absent):
        score = Score(
            cell_id=variant.name, definition=definition, value=change.score.interval, n=n, prompts=lineup.prompts
        )
    why_not = why_not_gating(plan, plan.find(variant.name).cell, get_metric(definition.metric))
    return score, Delta(
        cell_id=variant.name,
        metric=definition.metric,
        definition=definition,
        baseline=change.baseline,
        candidate=change.candidate,
        literal=change.literal if isinstance(change.literal, Absent) else change.literal.interval,
        literal_uncertainty=change.literal if isinstance(change.literal, Absent) else change.literal.distribution,
        loss=change.loss if isinstance(change.loss, Absent) else change.loss.interval,
        loss_uncertainty=change.loss if isinstance(change.loss, Absent) else change.loss.distribution,
        calibration=change.calibration,
        n=n,
        prompts=lineup.prompts,
        gates=not why_not,
        why_not=why_not,
    )


def _controls(scene: Scene, comparer: Comparer, controls: tuple[Variant, ...]) -> list[Control]:
    """Detected: the loss is above zero by its one-sided 95 % bound."""
    found = []
    for variant in controls:
        if comparer.reader.definition.kind not in variant.kinds:
            continue
        change = comparer.change(variant, len(variant.pictures) // scene.lineup.seeds)
        if isinstance(change.loss, Absent):
            continue
        seen = lower_bound(change.loss.distribution, 0.95) > 0
        name = variant.name.removeprefix(PREFIX)
        metric = comparer.reader.name
        found.append(Control(control=name, metric=metric, loss=change.loss.interval, detected=seen))
    return found


def _store(run: Path, lineup: Lineup, comparers: dict[str, Comparer], evaluation: Evaluation) -> None:
    for name, comparer in comparers.items():
        definition: Definition = comparer.reader.definition
        rows = (
            (variant.name, prompt, seed, value)
            for variant in (lineup.baseline, *lineup.candidates)
            for (prompt, seed), value in zip(lineup.keys, comparer.image_values(variant), strict=False)
        )
        write_image_scores(run, name, definition, rows)
    write_evaluation(run, evaluation)
