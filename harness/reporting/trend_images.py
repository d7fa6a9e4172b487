"""The pair of images that moved most between the night before a change and its first night."""

from pathlib import Path

import numpy as np

from harness.core.base import Frozen
from harness.core.errors import ResultsError
from harness.core.history import LevelChange
from harness.history.quantities import LOSS
from harness.history.table import History
from harness.reporting.images import ImagePair, Key, index_images, show_image
from harness.results import CellResult, Run
from harness.results.format import format_number
from harness.store import image_path, read_image_scores
from harness.store.layout import RunFolder

_MOST_COMPARED = 200


class MovedImages(Frozen):
    """What happened to a cell's images: a sentence, and the pair that moved most."""

    sentence: str
    pair: ImagePair | None = None


def find_moved_images(
    history: History, change: LevelChange, results: Path | None
) -> MovedImages | None:
    """Return the pair of images that moved most; None if images of the nights are gone.

    By the change's own metric where it has a score for each image, else by the mean difference of
    the pixels.
    """
    nights = [night.run for night in history.nights_on(change.machine)]
    at = nights.index(change.since)
    if results is None or not change.cell or at == 0:
        return None
    try:
        before, after = (
            Run.load(results / run).cell(change.cell) for run in (nights[at - 1], change.since)
        )
    except (ResultsError, OSError, KeyError):
        return None
    mine, theirs = index_images(before), index_images(after)
    keys = [key for key in mine if key in theirs]
    changed = [key for key in keys if mine[key].sha256 != theirs[key].sha256]
    if not keys:
        return None
    if not changed:
        return MovedImages(sentence=f"All {len(keys)} images are the same as in the night before.")
    metric = change.quantity.removesuffix(LOSS) if change.quantity.endswith(LOSS) else ""
    key, note = _find_by_metric(before, after, metric, changed) or _find_by_pixels(
        before, after, changed
    )
    pair = ImagePair(
        prompt=after.run.prompt_texts.get(key[0], key[0]),
        seed=key[1],
        note=note,
        baseline=show_image(before, mine[key]),
        candidate=show_image(after, theirs[key]),
    )
    return MovedImages(
        sentence=f"{len(changed)} of {len(keys)} images differ from the night before.", pair=pair
    )


def _find_by_metric(
    before: CellResult, after: CellResult, metric: str, keys: list[Key]
) -> tuple[Key, str] | None:
    """Return the image whose score became worse by the most; None without scores of images."""
    if not metric or not all(
        RunFolder(cell.run.folder).scores(metric).exists() for cell in (before, after)
    ):
        return None
    definition, _ = read_image_scores(after.run.folder, metric)
    old, new = (
        {(prompt, seed): value
         for cell_id, prompt, seed, value in read_image_scores(cell.run.folder, metric)[1]
         if cell_id == cell.id}
        for cell in (before, after)
    )  # fmt: skip
    sign = 1.0 if definition.better == "lower" else -1.0
    known = [key for key in keys if key in old and key in new]
    if not known:
        return None
    key = max(known, key=lambda key: (sign * (new[key] - old[key]), key))
    return key, f"{metric} {format_number(old[key])} → {format_number(new[key])}"


def _find_by_pixels(before: CellResult, after: CellResult, keys: list[Key]) -> tuple[Key, str]:
    """Return the image with the largest mean difference of its pixels, of at most 200."""
    distances = {key: _measure_distance(before, after, key) for key in keys[:_MOST_COMPARED]}
    key = max(distances, key=lambda key: (distances[key], key))
    if distances[key] < 0:
        return key, "unreadable"
    return key, f"pixels differ by {distances[key]:.1f} of 255 on average"


def _measure_distance(before: CellResult, after: CellResult, key: Key) -> float:
    from PIL import Image as Reader

    pixels = []
    for cell in (before, after):
        try:
            with Reader.open(
                image_path(cell.run.folder, cell.id, index_images(cell)[key])
            ) as opened:
                pixels.append(np.asarray(opened.convert("RGB"), dtype=np.float64))
        except (OSError, ValueError, SyntaxError):
            return -1.0  # unreadable: shown only if all are
    mine, theirs = pixels
    return 255.0 if mine.shape != theirs.shape else float(np.abs(mine - theirs).mean())
