"""The damage ladder: the baseline's images with damages of known size, scored like a cell.

It shows what the metrics of a run notice and, for each family of damage, the largest dose that they
would let pass. Metrics without weights climb each family up to the first dose that a rule fails. A
network climbs a family only where those have missed what the policy demands. Every metric scores
the strongest dose of a few families, and the same images undamaged: one that finds a loss in those
is not reproducible here, one that notices no damage at all is blind. Ladders are cached by a hash
of all they depend on.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from pydantic import TypeAdapter, ValidationError

from harness.core.base import Advance
from harness.core.errors import MachineError
from harness.core.plan import Plan
from harness.core.policy import FAMILIES, LADDER_IMAGES
from harness.core.quality import Evaluation, MetricKind, Rung
from harness.core.units import Absent, format_percent
from harness.damages import DAMAGES, IDENTICAL, LEVELS, SET_DAMAGES, SHARES, SOME, dose_words
from harness.evaluation.change import Comparer, ComparisonContext
from harness.evaluation.image_sets import (
    EVERY,
    ImageFile,
    ImageSets,
    Variant,
    pair_with_other_prompts,
)
from harness.metrics import get_metric
from harness.stats.confidence import rounded
from harness.stats.noticing import fails, finds
from harness.store import features_cache_dir
from harness.store.write import write_atomically

USUAL_LEVEL = 3
"""The level at which networks are used too, where the policy demands none."""
STRONGEST = LEVELS[-1]
SATURATED = 0.5
"""Above this loss a metric need not rise any further: more damaged images may look more alike."""
INFORMATIVE: dict[MetricKind, tuple[str, ...]] = {
    "alignment": ("wrong-prompt",),
    "correctness": ("wrong-prompt",),
    "paired": ("blur", "jpeg"),
    "distribution": ("blur", "jpeg", "contrast"),
    "prompt-wise": ("blur", "jpeg", "some-damaged"),
}
"""The families whose strongest dose a kind of metric should notice: it is blind if it notices none
of them."""


RESAMPLES = 1_000
"""Bootstrap resamples of a rung: enough for one-sided 95 % bounds, in a tenth of the time."""


class LadderStep(NamedTuple):
    """One dose of one family, and the images that have it."""

    family: str
    level: int
    dose: str
    variant: Variant


def climb(
    plan: Plan, context: ComparisonContext, comparers: Mapping[str, Comparer], advance: Advance
) -> tuple[Rung, ...]:
    """Return the rungs of all metrics, more of those that judge every cell by default or by a rule.

    A ladder of the same images, metrics and rules is read from the cache.
    """
    if context.image_sets.prompts < 2:
        return ()
    steps = _steps(context.image_sets, min(context.feature_store.size))
    key = _key(plan, context, comparers, steps)
    rungs = load_ladder(key)
    if rungs is None:
        quick = replace(context, resamples=min(context.resamples, RESAMPLES))
        quicker = {name: _with_context(c, quick) for name, c in comparers.items()}
        rungs = _climb(plan, quick, quicker, (steps, advance))
        store_ladder(key, rungs)
    return rungs


def _with_context(comparer: Comparer, context: ComparisonContext) -> Comparer:
    """Return a comparer that shares what this one has computed but draws other resamples."""
    other = copy(comparer)
    other.context = context
    return other


def _key(
    plan: Plan,
    context: ComparisonContext,
    comparers: Mapping[str, Comparer],
    steps: Sequence[LadderStep],
) -> str:
    """Return a hash of all that a ladder depends on."""
    image_sets = context.image_sets
    count = len(steps[0].variant.images)
    others = [
        variant.images[:count] if variant else ()
        for variant in (image_sets.other_seed, image_sets.rerun)
    ]
    parts = (
        [(image.sha256, image.damage) for step in steps for image in step.variant.images],
        [[image.sha256 for image in images] for images in others],
        [comparer.reader.definition.model_dump_json() for comparer in comparers.values()],
        [rule.model_dump_json() for rule in plan.policy.gate],
        (
            plan.policy.demanded,
            plan.interim_analyses,
            context.feature_store.size,
            image_sets.texts[: count // image_sets.seeds],
        ),
        (context.resamples, RESAMPLES),
    )
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _climb(
    plan: Plan,
    context: ComparisonContext,
    comparers: Mapping[str, Comparer],
    how: tuple[Sequence[LadderStep], Advance],
) -> tuple[Rung, ...]:
    steps, advance = how
    judging = [comparer for name, comparer in comparers.items() if _judges(plan, name)]
    climbing = [comparer for comparer in judging if get_metric(comparer.reader.name).weightless]
    rungs = _climb_by_level(plan, context, climbing, how)
    others = [comparer for comparer in comparers.values() if comparer not in climbing]
    strongest = [s for s in steps if s.level == STRONGEST or s.family == IDENTICAL]
    rungs += _score(context, others, [_is_informative(step) for step in strongest], advance)
    analyses = plan.interim_analyses
    if analyses and context.image_sets.prompts < min(LADDER_IMAGES, analyses[-1]):
        return tuple(rungs)  # with the next analysis's images networks may not be needed
    missed = _missed(plan, rungs)
    done = {(rung.damage, rung.level, rung.metric) for rung in rungs}
    for comparer in judging:
        left = [
            step
            for step in steps
            if step.level <= missed.get(step.family, -1)
            and _may_notice(comparer, step)
            and (step.family, step.level, comparer.reader.name) not in done
        ]
        rungs += _score(context, [comparer], left, advance) if left else []
    return tuple(rungs)


def _climb_by_level(
    plan: Plan,
    context: ComparisonContext,
    comparers: Sequence[Comparer],
    how: tuple[Sequence[LadderStep], Advance],
) -> list[Rung]:
    """Return the rungs of metrics without weights, from the smallest dose on.

    A family ends at the first dose that a rule surely fails: larger ones would add nothing. The
    strongest dose is scored in any case, since it shows a metric that is blind or not monotone.
    """
    steps, advance = how
    rungs: list[Rung] = []
    failed: set[str] = set()
    for level in LEVELS:
        wanted = [
            step
            for step in steps
            if step.level == level and (level == STRONGEST or step.family not in failed)
        ]
        rungs += _score(context, comparers, wanted, advance)
        failed |= {
            rung.damage
            for rung in rungs
            if rung.level == level and fails(rung, plan.policy.rules_in_every_cell(rung.metric))
        }
    return rungs


def _is_informative(step: LadderStep) -> LadderStep:
    """Return a step that only the kinds of metric read that should notice its family.

    All kinds read identical images.
    """
    kinds = frozenset(
        kind for kind, families in INFORMATIVE.items() if step.family in (IDENTICAL, *families)
    )
    return step._replace(variant=replace(step.variant, kinds=kinds))


def _may_notice(comparer: Comparer, step: LadderStep) -> bool:
    """Return whether a metric may notice a family; soft images still show their prompt."""
    return step.family in SET_DAMAGES or comparer.reader.kind not in ("alignment", "correctness")


def _judges(plan: Plan, name: str) -> bool:
    """Return whether a metric judges every cell; paired ones only if a rule names them."""
    metric = get_metric(name)
    named = any(
        rule.metric and rule.names(name) for rule in plan.policy.gate if rule.severity == "error"
    )
    return named or (metric.gates_by_default and metric.kind != "paired")


def _missed(plan: Plan, rungs: Sequence[Rung]) -> dict[str, int]:
    """Return the families whose demanded level no metric noticed so far, with that level."""
    demanded = plan.policy.demanded
    noticed = {
        rung.damage
        for rung in rungs
        if rung.level <= demanded.get(rung.damage, USUAL_LEVEL)
        and fails(rung, plan.policy.rules_in_every_cell(rung.metric))
    }
    return {
        family: demanded.get(family, USUAL_LEVEL) for family in FAMILIES if family not in noticed
    }


def _steps(image_sets: ImageSets, side: int) -> list[LadderStep]:
    """Return the baseline's first images undamaged, then damaged by every family and level."""
    prompts = max(2, min(image_sets.prompts, LADDER_IMAGES // image_sets.seeds))
    images = image_sets.baseline.images[: prompts * image_sets.seeds]
    steps = [LadderStep(IDENTICAL, 0, "none", _variant(IDENTICAL, _damaged(images, IDENTICAL)))]
    for family in DAMAGES:
        for level in LEVELS:
            damage = f"{family}:{level}"
            step = LadderStep(
                family,
                level,
                dose_words(family, level, side),
                _variant(damage, _damaged(images, damage)),
            )
            steps.append(step)
    others = pair_with_other_prompts(image_sets.texts[:prompts])
    for level, share in enumerate(SHARES):
        for family, replaced in _replacements(images, share, others, image_sets.seeds).items():
            mixed = [replaced.get(place, image) for place, image in enumerate(images)]
            dose = SET_DAMAGES[family].format(f"{100 * len(replaced) / len(images):.2g}")
            same_set = family == "wrong-prompt"
            kinds = EVERY - {"distribution"} if same_set else EVERY
            steps.append(
                LadderStep(family, level, dose, _variant(f"{family}:{level}", mixed, kinds))
            )
    return steps


def _replacements(
    images: Sequence[ImageFile], share: float, others: tuple[int, ...] | None, seeds: int
) -> dict[str, dict[int, ImageFile]]:
    """Return, by family, the replacements of a share of the images, evenly spread."""
    count = len(images)
    chosen = max(1, round(count * share))
    places = [int((index + 0.5) * count / chosen) for index in range(chosen)]
    found = {
        "collapse": dict.fromkeys(places, images[0]),
        "some-damaged": {place: _damaged(images, SOME)[place] for place in places},
    }
    if others is not None:
        found["wrong-prompt"] = {p: images[others[p // seeds] * seeds + p % seeds] for p in places}
    return found


def _variant(
    name: str, images: Sequence[ImageFile], kinds: frozenset[MetricKind] = EVERY
) -> Variant:
    return Variant(f"ladder:{name}", tuple(images), kinds)


def _damaged(images: Sequence[ImageFile], damage: str) -> list[ImageFile]:
    return [ImageFile(image.path, image.sha256, damage) for image in images]


def _score(
    context: ComparisonContext,
    comparers: Sequence[Comparer],
    steps: Sequence[LadderStep],
    advance: Advance,
) -> list[Rung]:
    """Return a rung for each metric and step that it reads."""
    context.feature_store.extract(
        [comparer.reader for comparer in comparers], tuple(step.variant for step in steps), advance
    )
    return [
        _rung(context, comparer, step)
        for comparer in comparers
        for step in steps
        if comparer.reader.kind in step.variant.kinds
    ]


def _rung(context: ComparisonContext, comparer: Comparer, step: LadderStep) -> Rung:
    prompts = context.image_sets.count_prompts(step.variant)
    if other := context.image_sets.other_seed:
        prompts = min(prompts, context.image_sets.count_prompts(other))
    change = comparer.change(step.variant, prompts)
    loss = change.loss
    # policies compare no other scores of cells with fixed limits
    score = change.score if comparer.reader.paired else _NO_SCORE
    return Rung(
        damage=step.family,
        level=step.level,
        dose=step.dose,
        metric=comparer.reader.name,
        images=prompts * context.image_sets.seeds,
        prompts=prompts,
        loss=loss if isinstance(loss, Absent) else loss.interval,
        loss_uncertainty=loss if isinstance(loss, Absent) else rounded(loss.distribution),
        score=score if isinstance(score, Absent) else score.interval,
        score_uncertainty=score if isinstance(score, Absent) else rounded(score.distribution),
    )


_NO_SCORE = Absent(absent="the ladder keeps scores of paired metrics only")


def drop_unsound(evaluation: Evaluation) -> Evaluation:
    """Return the evaluation without metrics that found a loss in identical images."""
    unsound = {
        rung.metric: (
            f"it found a loss of {format_percent(rung.loss.estimate, 2)} in identical images: its "
            "numbers are not reproducible here. Clear the feature cache and evaluate again"
        )
        for rung in evaluation.ladder
        if rung.damage == IDENTICAL and not isinstance(rung.loss, Absent) and finds(rung)
    }
    kept = tuple(delta for delta in evaluation.deltas if delta.metric not in unsound)
    return evaluation.model_copy(update={"deltas": kept, "missing": evaluation.missing | unsound})


def find_blind_metrics(ladder: Sequence[Rung]) -> dict[str, str]:
    """Return metric → why its pass does not count: it noticed no damage."""
    metrics = dict.fromkeys(rung.metric for rung in ladder)
    moved = {rung.metric for rung in ladder if rung.damage != IDENTICAL and finds(rung)}
    return {metric: "no damage could move it here" for metric in metrics if metric not in moved}


def find_non_monotone(ladder: Sequence[Rung]) -> dict[str, tuple[str, ...]]:
    """Return metric → the families in which a larger dose surely changed it less.

    There it does not count as noticing.
    """
    found: dict[str, tuple[str, ...]] = {}
    for metric in dict.fromkeys(rung.metric for rung in ladder):
        own = [rung for rung in ladder if rung.metric == metric]
        if families := tuple(
            f for f in FAMILIES if _falls(rung for rung in own if rung.damage == f)
        ):
            found[metric] = families
    return found


def _falls(rungs: Iterable[Rung]) -> bool:
    """Return whether the loss surely falls with the dose: two intervals do not overlap."""
    highest = -1.0
    for rung in sorted(rungs, key=lambda rung: rung.level):
        if isinstance(rung.loss, Absent):
            continue
        if rung.loss.high < min(highest, SATURATED):
            return True
        highest = max(highest, rung.loss.low)
    return False


_RUNGS = TypeAdapter(tuple[Rung, ...])


def load_ladder(key: str) -> tuple[Rung, ...] | None:
    """Return the cached rungs of a key, or None without readable ones."""
    try:
        return _RUNGS.validate_json(_file(key).read_bytes())
    except (OSError, ValidationError):
        return None


def store_ladder(key: str, rungs: tuple[Rung, ...]) -> None:
    """Cache rungs; silently not, if the disk is full or the folder read-only."""
    file = _file(key)
    with suppress(OSError, MachineError):
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(file, _RUNGS.dump_json(rungs))


def _file(key: str) -> Path:
    return features_cache_dir().with_name("ladders") / f"{key}.json"
