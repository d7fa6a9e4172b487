"""Controls: the baseline's own images, deliberately damaged. A metric that cannot see any of it is blind here.

One control is not damaged at all: the same pixels are looked at a second time. A metric that finds a loss in them is
broken (a network that is not deterministic, a cache of another machine's features), so it judges nothing.
"""

import io
from collections.abc import Callable

import numpy as np

from harness.core.quality import Control, Definition, Evaluation, MetricKind, Uncertainty
from harness.core.units import format_percent
from harness.evaluation.lineup import Lineup, Variant
from harness.evaluation.pictures import Pixels
from harness.stats.confidence import lower_bound

MOST_IMAGES = 256
"""Controls are scored on the first prompts, up to this many images, against the baseline's same images."""
JPEG_QUALITY = 10
BLUR_SHARE = 1 / 32
"""Standard deviation of the blur as a share of the picture's shorter side."""
PREFIX = "control:"
IDENTICAL = "identical"
LEAST_LOSS = 1e-4
"""A loss counts as detected from a hundredth of a percent on: less is the rounding of networks in float32."""
TELLING: dict[MetricKind, tuple[str, ...]] = {
    "alignment": ("wrong-prompt",),
    "paired": ("blur", "jpeg"),
    "distribution": ("blur", "jpeg"),
}
"""The controls that show a kind of metric can see: it is blind if it detects none of them. A black picture is too
easy to count, and no distribution metric can see that prompts were swapped."""


def control_variants(lineup: Lineup) -> tuple[Variant, ...]:
    """Return the copies of the baseline's first images, damaged and not, prompt by prompt."""
    prompts = max(2, min(lineup.prompts, MOST_IMAGES // lineup.seeds))
    pictures = lineup.baseline.pictures[: prompts * lineup.seeds]
    half = prompts // 2 * lineup.seeds
    damaged = [Variant(PREFIX + name, pictures, damage=name) for name in DAMAGES]
    sees_prompts: frozenset[MetricKind] = frozenset({"alignment", "paired"})  # the set of pictures stays the same
    return (*damaged, Variant(PREFIX + "wrong-prompt", pictures[half:] + pictures[:half], kinds=sees_prompts))


def _blur(pictures: Pixels) -> Pixels:
    from PIL import Image, ImageFilter

    soft = ImageFilter.GaussianBlur(min(pictures.shape[1:3]) * BLUR_SHARE)
    return np.stack([np.asarray(Image.fromarray(picture).filter(soft)) for picture in pictures])


def _jpeg(pictures: Pixels) -> Pixels:
    from PIL import Image

    out = []
    for picture in pictures:
        buffer = io.BytesIO()
        Image.fromarray(picture).save(buffer, "JPEG", quality=JPEG_QUALITY)
        out.append(np.asarray(Image.open(buffer)))
    return np.stack(out)


DAMAGES: dict[str, Callable[[Pixels], Pixels]] = {
    "blur": _blur,
    "jpeg": _jpeg,
    "black": np.zeros_like,
    IDENTICAL: np.copy,
}


def is_detected(loss: Uncertainty) -> bool:
    """Return whether a loss is surely above zero, by its one-sided 95 % bound."""
    return lower_bound(loss, 0.95) > LEAST_LOSS


def without_unsound(evaluation: Evaluation) -> Evaluation:
    """Return the evaluation with metrics that found a loss in identical pictures among the missing."""
    unsound = {
        control.metric: f"it found a loss of {format_percent(control.loss.estimate, 2)} in identical pictures, so its"
        " numbers are not reproducible here. Clear the feature cache and evaluate again"
        for control in evaluation.controls
        if control.control == IDENTICAL and control.detected
    }
    kept = tuple(delta for delta in evaluation.deltas if delta.metric not in unsound)
    return evaluation.model_copy(update={"deltas": kept, "missing": evaluation.missing | unsound})


def blind_metrics(controls: tuple[Control, ...], definitions: dict[str, Definition]) -> tuple[str, ...]:
    """Return the metrics that detected none of the controls their kind should see."""
    seen = {(control.metric, control.control) for control in controls if control.detected}
    return tuple(
        name
        for name, definition in definitions.items()
        if not any((name, control) in seen for control in TELLING[definition.kind])
    )
