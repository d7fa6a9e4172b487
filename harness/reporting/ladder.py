"""What the metrics of a run would not notice: the largest dose of each damage that would pass, beside the pictures."""

import base64
from io import BytesIO

import numpy as np
from numpy.typing import NDArray

from harness.core.base import Frozen
from harness.core.outcome import Image
from harness.core.policy import FAMILIES
from harness.core.quality import Rung
from harness.core.units import Absent
from harness.damages import DAMAGES, IDENTICAL, apply_damage
from harness.reporting.loaded import LoadedRun
from harness.reporting.named import Named
from harness.reporting.pictures import Picture, images_by_key, shown_keys
from harness.reporting.wording import share_interval
from harness.stats.noticing import fails, finds, passes
from harness.store import image_path

_CROP_PX = 256
"""Damages are shown at full size: of a larger picture the centre."""


class LadderRow(Frozen):
    """One family of damage: the largest dose that would pass, the smallest that surely fails, and what finds it.

    `passing` and `failing` are doses in words, empty where there is none; pictures only where every picture is damaged.
    """

    family: str
    passing: str
    failing: str
    metric: str
    loss: str
    demanded: str
    noticed: bool
    pictures: tuple[Picture, ...]


class LadderView(Frozen):
    """All families, how many images they were scored on, and metrics that do not count as seeing."""

    rows: tuple[LadderRow, ...]
    images: int
    uncounted: tuple[Named, ...]

    @property
    def summary(self) -> str:
        """What would pass, in one line."""
        doses = [f"{row.family} {row.passing}" for row in self.rows if row.passing]
        return " · ".join(doses) or "nothing that was tried"


def build_ladder(loaded: LoadedRun) -> LadderView | None:
    """Return the ladder of an evaluated run, or None where it has none."""
    evaluation = loaded.evaluation
    rungs = [rung for rung in evaluation.ladder if rung.damage != IDENTICAL] if evaluation else []
    if evaluation is None or not rungs:
        return None
    rows = tuple(_row(loaded, family, [rung for rung in rungs if rung.damage == family]) for family in FAMILIES)
    uncounted = tuple(
        Named(name=metric, value=f"a larger dose moved it less: {', '.join(families)}")
        for metric, families in evaluation.not_monotone.items()
    )
    return LadderView(rows=rows, images=max(rung.images for rung in rungs), uncounted=uncounted)


def _row(loaded: LoadedRun, family: str, rungs: list[Rung]) -> LadderRow:
    levels = sorted({rung.level for rung in rungs})
    at = {level: [rung for rung in rungs if rung.level == level] for level in levels}
    passing = None
    for level in levels:
        if not all(passes(rung, loaded.policy.rules_in_every_cell(rung.metric)) for rung in at[level]):
            break
        passing = level
    failing = next((level for level in levels if _finders(loaded, at[level])), None)
    finder = max(_finders(loaded, at[failing]), key=_estimate) if failing is not None else None
    demanded = loaded.policy.demanded.get(family)
    return LadderRow(
        family=family,
        passing="" if passing is None else at[passing][0].dose,
        failing="" if failing is None else at[failing][0].dose,
        metric=finder.metric if finder else "",
        loss=share_interval(finder.loss) if finder and not isinstance(finder.loss, Absent) else "",
        demanded="" if demanded is None else f"level {demanded}",
        noticed=demanded is None or (failing is not None and failing <= demanded),
        pictures=_pictures(loaded, family, passing, failing) if family in DAMAGES else (),
    )


def _finders(loaded: LoadedRun, rungs: list[Rung]) -> list[Rung]:
    """Return the rungs whose metric would surely fail a cell that looks like this."""
    odd = loaded.evaluation.not_monotone if loaded.evaluation else {}
    trusted = [rung for rung in rungs if rung.damage not in odd.get(rung.metric, ())]
    return [rung for rung in trusted if fails(rung, loaded.policy.rules_in_every_cell(rung.metric))]


def _estimate(rung: Rung) -> float:
    return -1.0 if isinstance(rung.loss, Absent) else rung.loss.estimate


def _pictures(loaded: LoadedRun, family: str, passing: int | None, failing: int | None) -> tuple[Picture, ...]:
    """Return a picture of the baseline undamaged, with the largest passing dose, and with the smallest failing one."""
    images = images_by_key(loaded, loaded.plan.baseline_id)
    key = next((key for key in shown_keys(loaded, 1) if key in images), None)
    if key is None:
        return ()
    try:
        pixels = _read(loaded, images[key])
    except (OSError, ValueError, SyntaxError):
        return ()
    shown = [_picture(pixels, "undamaged")]
    for level, words in ((passing, "largest dose that would pass"), (failing, "smallest dose that surely fails")):
        if level is None:
            shown.append(Picture(src="", alt=f"{family}: none", problem="none"))
        else:
            damaged = apply_damage(pixels[None], f"{family}:{level}")[0]
            shown.append(_picture(damaged, f"{family}, {words}"))
    return tuple(shown)


def _read(loaded: LoadedRun, image: Image) -> NDArray[np.uint8]:
    from PIL import Image as Reader

    with Reader.open(image_path(loaded.run, loaded.plan.baseline_id, image)) as opened:
        return np.asarray(opened.convert("RGB"))


def _picture(pixels: NDArray[np.uint8], alt: str) -> Picture:
    from PIL import Image as Writer

    height, width = pixels.shape[:2]
    top, left = (max(0, (length - _CROP_PX) // 2) for length in (height, width))
    buffer = BytesIO()
    Writer.fromarray(pixels[top : top + _CROP_PX, left : left + _CROP_PX]).save(buffer, "PNG")
    return Picture(src="data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode(), alt=alt)


def list_alarms(loaded: LoadedRun) -> tuple[Named, ...]:
    """Return what makes a metric of this run untrustworthy: a loss in identical pictures, or blindness."""
    evaluation = loaded.evaluation
    if evaluation is None:
        return ()
    unsound = [
        f"{rung.metric} found a loss of {share_interval(rung.loss)} in identical pictures. Its numbers are not"
        " reproducible here, and it judges nothing."
        for rung in evaluation.ladder
        if rung.damage == IDENTICAL and not isinstance(rung.loss, Absent) and finds(rung)
    ]
    gating = {delta.metric for delta in evaluation.deltas if delta.gates}
    blind = [
        f"{metric}: {why}. Its pass does not count." for metric, why in evaluation.blind.items() if metric in gating
    ]
    alarms = [Named(name="Do not trust", value=text) for text in unsound]
    return (*alarms, *(Named(name="Blind", value=text) for text in blind))
