"""How much of its device's memory a cell needs, known before anything is loaded."""

from harness.core.base import Frozen


class Footprint(Frozen):
    """Bytes on the device that a cell runs on, by role: denoiser, vae, text_encoder, text_encoder_2 …

    A lower bound: what is counted is surely needed, so that no cell is left out that would run.
    """

    weights: dict[str, float]
    """What each part's weights hold there while images are made; 0 for a part that waits elsewhere."""
    activations: dict[str, float]
    """The most that one call of a part holds besides; only one part is called at a time."""
    loading: float = 0.0
    """The most that is held at an earlier moment, such as before weights are packed."""
    auto_bytes: int = 2
    """Of a number in the baseline's precision on this machine."""

    @property
    def weights_bytes(self) -> float:
        return sum(self.weights.values())

    @property
    def activations_bytes(self) -> float:
        return max(self.activations.values(), default=0.0)

    @property
    def needed(self) -> float:
        """The most bytes at any moment."""
        return max(self.loading, self.weights_bytes + self.activations_bytes)

    def scaled(self, factor: float) -> "Footprint":
        """Return it in numbers that are `factor` times as wide, as they are loaded."""
        weights = {role: count * factor for role, count in self.weights.items()}
        activations = {role: count * factor for role, count in self.activations.items()}
        changes = {"weights": weights, "activations": activations, "loading": sum(weights.values())}
        return self.model_copy(update=changes)
