"""The worst pictures of a cell beside the baseline's, by each kind of metric that has values of single pictures."""

from harness.core.base import Frozen
from harness.core.quality import WorstImage
from harness.metrics import get_metric
from harness.reporting.loaded import LoadedRun
from harness.reporting.pictures import ImagePair, list_pairs
from harness.reporting.wording import number

_TITLES = {
    "correctness": "Wrong, where the baseline is right",
    "prompt-wise": "Most unlike the baseline's picture of the same prompt at another seed",
    "alignment": "Fit their prompt less than the baseline's picture",
    "paired": "Moved most from the baseline's picture",
}


class WorstGroup(Frozen):
    """The worst pairs by one metric, worst first; `note` is the metric's name."""

    title: str
    note: str
    pairs: tuple[ImagePair, ...]


def worst_groups(loaded: LoadedRun, cell_id: str, most: int = 10) -> tuple[WorstGroup, ...]:
    """Return up to `most` of a cell's worst pairs by each kind of metric, wrong pictures first."""
    grouped: dict[str, list[WorstImage]] = {}
    tail = loaded.tail(cell_id)
    for image in tail.worst if tail else ():
        grouped.setdefault(image.metric, []).append(image)
    kinds = list(_TITLES)
    ordered = sorted(grouped.items(), key=lambda item: kinds.index(get_metric(item[0]).kind))
    groups = (
        WorstGroup(title=_TITLES[get_metric(metric).kind], note=metric, pairs=_pairs(loaded, cell_id, images[:most]))
        for metric, images in ordered
    )
    return tuple(group for group in groups if group.pairs)


def _pairs(loaded: LoadedRun, cell_id: str, images: list[WorstImage]) -> tuple[ImagePair, ...]:
    notes = {(image.prompt_id, image.seed): f"{image.metric} {number(image.value)}" for image in images}
    return list_pairs(loaded, cell_id, list(notes), notes)
