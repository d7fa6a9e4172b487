"""What reaches an engine of a batch that it allows: the pipeline's own tensors."""

import pytest
import torch

from harness.axes.compiler._engine import Profile, compute_in_parts


@pytest.mark.parametrize("rows", [1, 2, 4])
def test_a_batch_that_fits_is_not_copied(rows: int) -> None:
    """Copies and an index sent to the GPU in every step would be timed as the engine's."""
    tensors, seen = {"x": torch.randn(rows, 5), "scale": torch.tensor(3.0)}, []

    def compute(given: dict[str, torch.Tensor]) -> torch.Tensor:
        seen.append(given["x"])
        return given["x"]

    assert compute_in_parts(compute, tensors, (("x", 0),), Profile({}, 1, 4)) is tensors["x"]
    assert len(seen) == 1
    assert seen[0] is tensors["x"]
