"""The floor of the denoiser's arithmetic: operations counted by hand and by torch, and what is watched."""

from typing import Any

import pytest

from harness.core.outcome import Roofline
from harness.core.units import Absent
from harness.measure.roofline import OperationCounter, count_flops, measure_product_rate


def test_operations_are_those_counted_by_hand() -> None:
    import torch

    linear, conv = torch.nn.Linear(16, 32), torch.nn.Conv2d(3, 8, 3, padding=1)
    images, rows = torch.randn(2, 3, 10, 12), torch.randn(2, 4, 16)
    heads = torch.empty(1, 2, 5, 8, device="meta")  # where denoisers are counted: no kernel hides the products
    # Two operations for each of 2 × 4 rows × 16 inputs × 32 outputs.
    assert count_flops(lambda: linear(rows)) == 2 * 2 * 4 * 16 * 32
    # Two for each of 2 images × 10 × 12 places × 8 outputs × 3 inputs × 3 × 3 places of the kernel.
    assert count_flops(lambda: conv(images)) == 2 * 2 * 10 * 12 * 8 * 3 * 9
    # Scores and sums of values: two products of 5 × 5 × 8 in each of 2 heads.
    attend = torch.nn.functional.scaled_dot_product_attention
    assert count_flops(lambda: attend(heads, heads, heads)) == 2 * 2 * (5 * 5 * 8) * 2


class Small:
    """A network that tells how it was made, as diffusers' do."""

    def __new__(cls, width: int) -> Any:
        import torch

        class Network(torch.nn.Module):
            def __init__(self, width: int) -> None:
                super().__init__()
                self.config, self.layer = width, torch.nn.Linear(width, width)

            @property
            def dtype(self) -> Any:
                return self.layer.weight.dtype

            @classmethod
            def from_config(cls, width: int) -> Any:
                return cls(width)

            def forward(self, rows: Any, *, scale: float, more: dict[str, Any]) -> Any:
                return self.layer(rows) * scale + more["shift"]

        return Network(width)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_calls_count_at_their_size_and_keep_no_data(dtype: str) -> None:
    import torch

    network = Small(8).to(getattr(torch, dtype))
    shift = {"shift": torch.zeros(8, dtype=network.dtype)}
    arithmetic = OperationCounter(network)
    for _ in range(2):  # the last block counts
        with arithmetic.watching(network):
            for rows in (3, 3, 5):
                network(torch.randn(rows, 8, dtype=network.dtype), scale=2.0, more=shift)
    roofline = arithmetic.roofline("cpu", dtype)
    assert isinstance(roofline, Roofline)
    assert roofline.flops == 2 * (3 + 3 + 5) * 8 * 8
    assert roofline.seconds == pytest.approx(roofline.flops / roofline.flops_per_s)
    network(torch.randn(7, 8, dtype=network.dtype), scale=2.0, more=shift)
    again = arithmetic.roofline("cpu", dtype)
    assert isinstance(again, Roofline)
    assert again.flops == roofline.flops  # not watched any more


def test_uncountable_work_is_absent_with_a_reason() -> None:
    import torch

    assert OperationCounter(object()).roofline("cpu", "float32") == Absent(
        absent="the denoiser has no configuration to count from"
    )
    unwatched = OperationCounter(Small(8)).roofline("cpu", "float32")
    assert unwatched == Absent(absent="no call was watched: measure.warmup is 0")
    network = Small(8)
    arithmetic = OperationCounter(network)
    with arithmetic.watching(network), pytest.raises(RuntimeError):
        network(torch.randn(3, 9), scale=2.0, more={"shift": torch.zeros(8)})
    wrong = arithmetic.roofline("cpu", "float32")
    assert isinstance(wrong, Absent)
    assert "could not be counted" in wrong.absent


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_device_has_a_rate(dtype: str) -> None:
    assert measure_product_rate("cpu", dtype) > 0


def test_flux_pass_equals_the_sum_of_its_layers() -> None:
    """Each token meets 12 matrices of width² in each of 57 blocks; attention is two products of all pairs."""
    from tests.benchmarks.arithmetic_floor import pass_flops

    width, tokens, blocks = 3072, 64 * 64 + 512, 19 + 38
    matrices, attention = 2 * 12 * width**2 * tokens * blocks, 2 * 2 * tokens**2 * width * blocks
    assert pass_flops("flux-dev") == pytest.approx(matrices + attention, rel=0.002)
