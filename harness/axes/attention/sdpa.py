"""PyTorch's scaled_dot_product_attention, which picks a kernel by itself: what diffusers does unasked."""

from typing import ClassVar

from harness.core.axis import AxisValue


class Sdpa(AxisValue):
    summary: ClassVar[str] = "PyTorch picks the kernel"
