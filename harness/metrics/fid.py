"""FID: the Fréchet distance of Gaussians fitted to two feature sets (Heusel et al. 2017)."""

from typing import ClassVar

from harness.core.quality import Question
from harness.metrics._image_features import NATIVE, WHOLE, ImageFeatureMetric

MLPERF_IMAGES = 5000


class Fid(ImageFeatureMetric):
    """`bundled`: 128 features of the attribute net. Others.

    Inception-v3 2015-12-05, pool3, by resizing. `mlperf` as pytorch-fid (and MLPerf), `clean` as
    clean-fid, `tf1` as TensorFlow 1 and torch-fidelity, `torchmetrics` as torchmetrics since 1.8.
    Two read native pixels: `native192`, features of the first layers, for the gate; `patch`, pool3
    of the centre, for papers (Lin et al. 2024, SDXL-Lightning): it needs thousands of images and
    gates only where a rule names it.
    """

    profiles: ClassVar[tuple[str, ...]] = (*WHOLE, *NATIVE)
    formula: ClassVar[str] = "squared Fréchet distance, covariances over n − 1"

    @property
    def question(self) -> Question:  # type: ignore[override]
        return "fidelity" if self.profile in NATIVE else "variety"

    @property
    def needs_baseline(self) -> bool:  # type: ignore[override]
        return self.profile == "native192"

    @property
    def gates_by_default(self) -> bool:  # type: ignore[override]
        return self.profile != "patch"

    def cautions(self, images: int) -> tuple[str, ...]:
        found = []
        if images <= self.dimensions:
            found.append(
                f"{images:,} images cannot fill a covariance of {self.dimensions:,} features: "
                "compare equal N only"
            )
        if self.profile == "mlperf" and images != MLPERF_IMAGES:
            found.append(
                f"MLPerf's FID is of {MLPERF_IMAGES:,} images, this of {images:,}: not comparable"
            )
        return tuple(found)
