"""PyTorch's scaled_dot_product_attention with a kernel of its choice, diffusers' default."""

from typing import ClassVar

from harness.core.axis import AxisValue


class Sdpa(AxisValue):
    summary: ClassVar[str] = "PyTorch picks the kernel"
