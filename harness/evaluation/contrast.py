"""The spread of a picture's pixels: black and constant pictures have none."""

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.core.quality import Definition
from harness.evaluation.looking import Reader

CONSTANT = 2.0
"""Standard deviation in grey levels (of 255) below which a picture counts as constant."""


class _Contrast:
    """Reads pixels, as a metric would."""

    def __init__(self) -> None:
        self.network = self

    def look(self, pictures: Any) -> Any:
        return pictures

    def features(self, pictures: Any) -> NDArray[np.float32]:
        """Return the standard deviation (n, 1) over pixels and channels-wise deviations, in grey levels."""
        flat = pictures.reshape(len(pictures), -1, pictures.shape[-1]).astype(np.float32)
        return np.asarray(flat.std(axis=1).max(axis=1, keepdims=True), dtype=np.float32)


@cache
def contrast_reader() -> Reader:
    """Return the reader of contrast, one for all evaluations."""
    definition = Definition(
        metric="contrast", kind="alignment", extractor="greatest standard deviation of a colour channel",
        weights_sha256="", resize="none", value_range="uint8 RGB", reference="", library="numpy", better="higher",
        question="fidelity",
    )  # fmt: skip
    return Reader(definition, _Contrast)
