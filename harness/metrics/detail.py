"""Detail: are images as sharp and as clean as the baseline's, at their own resolution?

The Fréchet distance of 18 numbers of fine structure. It sees blur, lower resolution, noise,
compression, sharpening and banding, which FID and CLIP score were trained to ignore. It needs no
weights and about 5 ms for 512×512 pixels.
"""

from harness.metrics._fidelity import DETAIL_FEATURES, DetailMetric


class Detail(DetailMetric):
    """Gates every cell: it compares sets, so images may differ as long as they are as sharp."""

    @property
    def dimensions(self) -> int:
        return DETAIL_FEATURES
