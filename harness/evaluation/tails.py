"""What a mean hides: the worst decile, broken images, and the five that moved most."""

import math

import numpy as np

from harness.core.quality import Definition, Tail, WorstImage
from harness.evaluation.alignment import AlignmentComparer
from harness.evaluation.change import Comparer
from harness.evaluation.contrast import CONSTANT, contrast_reader
from harness.evaluation.lineup import Lineup, Variant
from harness.evaluation.looking import Sight
from harness.evaluation.paired import PairedComparer
from harness.stats.bootstrap import Floats
from harness.stats.clopper_pearson import share_upper

WORST = 5


def find_tail(variant: Variant, lineup: Lineup, sight: Sight, comparers: dict[str, Comparer]) -> Tail:
    """Return the tail of one cell. Broken: black or constant, or fitting its prompt worse than chance."""
    broken = sight.rows(contrast_reader(), variant)[:, 0] < CONSTANT
    decile: dict[str, float] = {}
    for name, comparer in comparers.items():
        if isinstance(comparer, AlignmentComparer):
            chance = comparer.clear_chance()
            if chance is not None:
                broken |= comparer.scores(variant) < chance
        values = np.asarray(comparer.image_values(variant))
        if values.size:
            decile[name] = _worst_decile(values, comparer.reader.definition)
    count, n = int(broken.sum()), len(variant.pictures)
    return Tail(
        cell_id=variant.name,
        broken=count,
        n=n,
        broken_share_high=_share_high(count, n, lineup.seeds),
        worst_decile=decile,
        worst=_worst_images(variant, lineup, comparers),
    )


def _share_high(count: int, n: int, seeds: int) -> float:
    """Return the upper bound on the share of broken images; prompts are the unit.

    The seeds of a prompt may break together, so the count stands for as many prompts as it would fill, of all prompts.
    """
    return share_upper(math.ceil(count / seeds), n // seeds)


def _worst_decile(values: Floats, definition: Definition) -> float:
    """Return the mean of the worst tenth of values (at least one)."""
    ordered = np.sort(values if definition.better == "higher" else -values)
    worst = float(ordered[: max(1, len(ordered) // 10)].mean())
    return worst if definition.better == "higher" else 0.0 - worst


def _worst_images(variant: Variant, lineup: Lineup, comparers: dict[str, Comparer]) -> tuple[WorstImage, ...]:
    paired = [comparer for comparer in comparers.values() if isinstance(comparer, PairedComparer)]
    if not paired or variant is lineup.baseline:
        return ()
    first = min(paired, key=lambda comparer: not comparer.reader.name.startswith("lpips"))
    apart = first.distances(variant)
    order = np.argsort(-apart, kind="stable")[:WORST]
    values = first.image_values(variant)
    return tuple(
        WorstImage(prompt_id=lineup.keys[i][0], seed=lineup.keys[i][1], metric=first.reader.name, value=values[i])
        for i in order
        if apart[i] > 0
    )
