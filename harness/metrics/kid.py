"""KID: the unbiased squared maximum mean discrepancy of image features (Bińkowski et al. 2018).

Kernel ((x·y)/d + 1)³ over all images at once; programs that average over random subsets estimate
the same number with more noise. Reported with its loss; gates only where a rule names it, since FID
judges the same features.
"""

from typing import ClassVar, Literal

from harness.metrics._image_features import ImageFeatureMetric


class Kid(ImageFeatureMetric):
    """The same extractors as FID, profile by profile: features are extracted once for both."""

    gates_by_default: ClassVar[bool] = False
    statistic: ClassVar[Literal["frechet", "mmd"]] = "mmd"
    formula: ClassVar[str] = "unbiased MMD², kernel ((x·y)/d + 1)³, all images"
