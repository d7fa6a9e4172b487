"""How a GPU multiplies FP32 numbers: torch lets convolutions use TF32 unless told otherwise."""

from typing import Literal

from harness.core.errors import NoEffect


def multiply_in(precision: Literal["ieee", "tf32"]) -> float:
    """Set matrix products and convolutions on the GPU; return the relative error of a product against FP64.

    Raises NoEffect where the product does not show what was set: TF32 keeps 10 bits of mantissa, 5e-4 an element.
    """
    import torch

    torch.backends.cuda.matmul.fp32_precision = precision
    torch.backends.cudnn.conv.fp32_precision = precision  # type: ignore[attr-defined]
    generator = torch.Generator().manual_seed(0)
    left, right = (torch.randn(256, 256, generator=generator, dtype=torch.float64) for _ in range(2))
    exact, product = left @ right, (left.float().cuda() @ right.float().cuda()).cpu().double()
    error = float((product - exact).norm() / exact.norm())
    if (error > 1e-5) != (precision == "tf32"):
        raise NoEffect(f"products are not made in {precision}: they are off by {error:.0e}", "precision")
    return error
