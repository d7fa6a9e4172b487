"""What CLIP score and CMMD share: unit embeddings of pictures from one dual encoder."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.metrics._base import FeatureScorer, Network
from harness.metrics._devices import to_array


class ImageEmbeddings(FeatureScorer):
    """Reads a dual encoder's picture embeddings as they are."""

    def __init__(self, network: Network) -> None:
        self.network = network

    def features(self, activations: Any) -> NDArray[np.float32]:
        found: NDArray[np.float32] = to_array(activations)
        return found
