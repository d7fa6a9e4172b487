"""What a cell needs of its device's memory, and how a plan uses it."""

from harness.core.footprint import Footprint


def test_the_most_at_any_moment_is_needed() -> None:
    whole = Footprint(weights={"denoiser": 100, "vae": 10}, activations={"denoiser": 5, "vae": 40})
    assert whole.needed == 150
    half = whole.scaled(0.5)
    assert (half.needed, half.loading) == (75, 55)
    packed = half.model_copy(update={"weights": {"denoiser": 10, "vae": 5}})
    assert packed.needed == 55  # what was loaded before it was packed
