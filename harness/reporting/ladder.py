"""What the metrics of a run would miss: the largest dose of each damage that would pass."""

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
from harness.reporting.images import ShownImage, choose_keys, index_images
from harness.reporting.parts import NamedValue
from harness.results import Run
from harness.results.format import format_value
from harness.stats.noticing import fails, finds, passes
from harness.store import image_path

_CROP_PX = 256
"""Damages are shown at full size: of a larger image the centre."""


class LadderRow(Frozen):
    """One family of damage: the largest passing dose, the smallest failing one, and its finder.

    `passing` and `failing` are empty if there is no such dose; only damages of every image have
    images.
    """

    family: str
    passing: str
    failing: str
    metric: str
    loss: str
    demanded: str
    noticed: bool
    images: tuple[ShownImage, ...]


class LadderView(Frozen):
    """All families, how many images they were scored on, and metrics that do not count."""

    rows: tuple[LadderRow, ...]
    images: int
    uncounted: tuple[NamedValue, ...]

    @property
    def summary(self) -> str:
        """The passing doses in one line."""
        doses = [f"{row.family} {row.passing}" for row in self.rows if row.passing]
        return " · ".join(doses) or "no dose that was tried"


def build_ladder(run: Run) -> LadderView | None:
    """Return the damage ladder of a run; None if it has none."""
    evaluation = run.evaluation
    rungs = [rung for rung in evaluation.ladder if rung.damage != IDENTICAL] if evaluation else []
    if evaluation is None or not rungs:
        return None
    rows = tuple(
        _row(run, family, [rung for rung in rungs if rung.damage == family]) for family in FAMILIES
    )
    uncounted = tuple(
        NamedValue(name=metric, value=f"a larger dose moved it less: {', '.join(families)}")
        for metric, families in evaluation.not_monotone.items()
    )
    return LadderView(rows=rows, images=max(rung.images for rung in rungs), uncounted=uncounted)


def _row(run: Run, family: str, rungs: list[Rung]) -> LadderRow:
    levels = sorted({rung.level for rung in rungs})
    at = {level: [rung for rung in rungs if rung.level == level] for level in levels}
    passing = None
    for level in levels:
        if not all(passes(rung, run.policy.rules_in_every_cell(rung.metric)) for rung in at[level]):
            break
        passing = level
    failing = next((level for level in levels if _finders(run, at[level])), None)
    finder = max(_finders(run, at[failing]), key=_estimate) if failing is not None else None
    demanded = run.policy.demanded.get(family)
    return LadderRow(
        family=family,
        passing="" if passing is None else at[passing][0].dose,
        failing="" if failing is None else at[failing][0].dose,
        metric=finder.metric if finder else "",
        loss=format_value(finder.loss, "share")
        if finder and not isinstance(finder.loss, Absent)
        else "",
        demanded="" if demanded is None else f"level {demanded}",
        noticed=demanded is None or (failing is not None and failing <= demanded),
        images=_images(run, family, passing, failing) if family in DAMAGES else (),
    )


def _finders(run: Run, rungs: list[Rung]) -> list[Rung]:
    """Return the rungs whose metric would surely fail such a cell."""
    not_monotone = run.evaluation.not_monotone if run.evaluation else {}
    trusted = [r for r in rungs if r.damage not in not_monotone.get(r.metric, ())]
    return [r for r in trusted if fails(r, run.policy.rules_in_every_cell(r.metric))]


def _estimate(rung: Rung) -> float:
    return -1.0 if isinstance(rung.loss, Absent) else rung.loss.estimate


def _images(
    run: Run, family: str, passing: int | None, failing: int | None
) -> tuple[ShownImage, ...]:
    """Return a baseline image undamaged, at the largest passing and the smallest failing dose."""
    images = index_images(run.baseline)
    key = next((key for key in choose_keys(run, 1) if key in images), None)
    if key is None:
        return ()
    try:
        pixels = _read(run, images[key])
    except (OSError, ValueError, SyntaxError):
        return ()
    shown = [_image(pixels, "undamaged")]
    for level, words in (
        (passing, "largest dose that would pass"),
        (failing, "smallest dose that surely fails"),
    ):
        if level is None:
            shown.append(ShownImage(src="", alt=f"{family}: none", problem="none"))
        else:
            damaged = apply_damage(pixels[None], f"{family}:{level}")[0]
            shown.append(_image(damaged, f"{family}, {words}"))
    return tuple(shown)


def _read(run: Run, image: Image) -> NDArray[np.uint8]:
    from PIL import Image as Reader

    with Reader.open(image_path(run.folder, run.plan.baseline_id, image)) as opened:
        return np.asarray(opened.convert("RGB"))


def _image(pixels: NDArray[np.uint8], alt: str) -> ShownImage:
    from PIL import Image as Writer

    height, width = pixels.shape[:2]
    top, left = (max(0, (length - _CROP_PX) // 2) for length in (height, width))
    buffer = BytesIO()
    Writer.fromarray(pixels[top : top + _CROP_PX, left : left + _CROP_PX]).save(buffer, "PNG")
    return ShownImage(
        src="data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode(), alt=alt
    )


def list_alarms(run: Run) -> tuple[NamedValue, ...]:
    """Return what invalidates a metric of this run: a loss in identical images, or blindness."""
    evaluation = run.evaluation
    if evaluation is None:
        return ()
    unsound = [
        f"{rung.metric} found a loss of {format_value(rung.loss, 'share')} in identical images:"
        " its numbers are not reproducible here, and it judges nothing."
        for rung in evaluation.ladder
        if rung.damage == IDENTICAL and not isinstance(rung.loss, Absent) and finds(rung)
    ]
    gating = {delta.metric for delta in evaluation.deltas if delta.gates}
    blind = [
        f"{metric}: {why}. Its pass does not count."
        for metric, why in evaluation.blind.items()
        if metric in gating
    ]
    alarms = [NamedValue(name="Do not trust", value=text) for text in unsound]
    return (*alarms, *(NamedValue(name="Blind", value=text) for text in blind))
