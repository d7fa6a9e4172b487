"""FID: the Fréchet distance between Gaussians fitted to two sets of image features (Heusel et al. 2017)."""

from typing import ClassVar

from harness.metrics._image_features import ImageFeatureMetric

MLPERF_IMAGES = 5000


class Fid(ImageFeatureMetric):
    """`bundled`: 128 features of the attribute net. The others: Inception-v3 2015-12-05, pool3, resized as one program.

    `mlperf` as pytorch-fid (and MLPerf), `clean` as clean-fid, `tf1` as TensorFlow 1 and torch-fidelity,
    `torchmetrics` as torchmetrics since 1.8.
    """

    formula: ClassVar[str] = "squared Fréchet distance, covariances over n − 1"

    def cautions(self, images: int) -> tuple[str, ...]:
        found = []
        if images <= self.dimensions:
            found.append(
                f"{images:,} images cannot fill a covariance of {self.dimensions:,} features: compare equal N only"
            )
        if self.profile == "mlperf" and images != MLPERF_IMAGES:
            found.append(f"MLPerf's FID is of {MLPERF_IMAGES:,} images, this of {images:,}: not comparable")
        return tuple(found)
