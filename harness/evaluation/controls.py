"""Controls: the baseline's own images, deliberately damaged. A metric that cannot see any of it is blind here."""

import io
from collections.abc import Callable

import numpy as np

from harness.core.quality import Control, Definition, MetricKind
from harness.evaluation.lineup import Lineup, Variant
from harness.evaluation.pictures import Pixels

MOST_IMAGES = 256
"""Controls are scored on the first prompts, up to this many images, against the baseline's same images."""
JPEG_QUALITY = 10
BLUR_SHARE = 1 / 32
"""Standard deviation of the blur as a share of the picture's shorter side."""
PREFIX = "control:"
TELLING: dict[MetricKind, tuple[str, ...]] = {
    "alignment": ("wrong-prompt",),
    "paired": ("blur", "jpeg"),
    "distribution": ("blur", "jpeg"),
}
"""The controls that show a kind of metric can see: it is blind if it detects none of them. A black picture is too
easy to count, and no distribution metric can see that prompts were swapped."""


def control_variants(lineup: Lineup) -> tuple[Variant, ...]:
    """Return the damaged copies of the baseline's first images, prompt by prompt."""
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


DAMAGES: dict[str, Callable[[Pixels], Pixels]] = {"blur": _blur, "jpeg": _jpeg, "black": np.zeros_like}


def blind_metrics(controls: tuple[Control, ...], definitions: dict[str, Definition]) -> tuple[str, ...]:
    """Return the metrics that detected none of the controls their kind should see."""
    seen = {(control.metric, control.control) for control in controls if control.detected}
    return tuple(
        name
        for name, definition in definitions.items()
        if not any((name, control) in seen for control in TELLING[definition.kind])
    )
