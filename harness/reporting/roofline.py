"""A denoiser's time against the least that its arithmetic could take on the device it ran on."""

from harness.core.outcome import Completed, Roofline
from harness.reporting.named import Named
from harness.reporting.timing import stage_medians
from harness.reporting.wording import number, seconds

_SCALES = ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"))


def roofline_figures(cell: Completed) -> tuple[Named, ...]:
    """Return how many times its floor the denoiser takes, and from what that follows; nothing where it is not known."""
    if not isinstance(cell.roofline, Roofline):
        return ()
    taken_s = stage_medians(cell).get("denoiser", 0.0)
    counted, rate = operations(cell.roofline.flops), operations(cell.roofline.flops_per_s)
    note = f"{counted} a call at {rate}/s, as {cell.roofline.dtype} products run here: {seconds(cell.roofline.seconds)}"
    return (
        Named(name="Denoiser", value=f"{number(taken_s / cell.roofline.seconds)}× its arithmetic floor", note=note),
    )


def roofline_columns(cell: Completed) -> dict[str, float | None]:
    """Return operations of one call, the rate of products and the floor in seconds, for a table."""
    roofline = cell.roofline if isinstance(cell.roofline, Roofline) else None
    return {
        "denoiser_flops": roofline.flops if roofline else None,
        "product_flops_per_s": roofline.flops_per_s if roofline else None,
        "denoiser_roofline_s": roofline.seconds if roofline else None,
    }


def operations(count: float) -> str:
    """Return a number of floating-point operations with three digits: `6.76 TFLOP`."""
    for size, letter in _SCALES:
        if count >= size:
            return f"{count / size:.3g} {letter}FLOP"
    return f"{count:.0f} FLOP"
