"""Rules about the denoiser's time.

Arithmetic, attention, unfused operations, guidance, launches, pauses, weights.
"""

import re

from harness.core.units import Absent, format_bytes, format_percent, format_seconds
from harness.tracing.rule import (
    Advice,
    AdviceRule,
    advise_on_call,
    advise_on_denoiser,
    list_possible,
    suggest_larger_batch,
)
from harness.tracing.traced_cell import BOUND_SHARE, DENOISER, Bound, TracedCell

_EAGER = ("", "eager")
_FULL_PRECISION = ("", "auto", "fp16", "bf16", "fp32", "tf32")
_LEAST_IDLE = 0.15
"""Share of the denoiser's time that pauses must take before a rule speaks about them."""
_KERNELS = {
    "flash": r"flash_fwd|flash_?attn|flash_attention",
    "cudnn": "cudnn",
    "sage": "sage|qk_int8",
}
"""Values of the attention axis, with a pattern of the kernel names that each of them selects."""
_SHORTCUTS = {
    "precision": (
        "a smaller number format",
        _FULL_PRECISION,
        ("fp8-torchao", "int8-torchao", "int8-quanto"),
    ),
    "caching": ("caching", ("none", ""), ("deepcache", "first-block")),
    "distillation": ("a distilled model", ("none", ""), ()),
}
"""By axis: words, settings that leave it unused, values of which one must be compatible."""


def arithmetic(cell: TracedCell, bound: Bound) -> Advice | None:
    """Arithmetic takes most of the denoiser's time: faster kernels save at most the rest."""
    share = bound.compute_share
    if (
        isinstance(share, Absent)
        or share < BOUND_SHARE
        or isinstance(cell.outcome.roofline, Absent)
    ):
        return None
    rest = (
        f"at most {format_percent(1 - share, 0)} of its time" if share < 0.95 else "next to nothing"
    )
    less = ["fewer steps"] if cell.outcome.denoiser_calls > 1 else []
    for axis, (words, unused, values) in _SHORTCUTS.items():
        if cell.setting(axis) in unused and (not values or list_possible(cell, axis, *values)):
            less.append(words)
    ways = f" ({', '.join(less)})" if less else ""
    sentence = (
        f"The denoiser computes at {format_percent(share, 0)} of the rate at which this machine "
        f"multiplies large {cell.outcome.roofline.dtype} matrices: faster kernels can save {rest}, "
        f"less or cheaper arithmetic saves more{ways}."
    )
    return Advice(
        rule="arithmetic",
        sentence=sentence,
        figure=share,
        unit="share of the measured rate",
        concerns=share * cell.share(DENOISER),
    )


def attention(cell: TracedCell, bound: Bound) -> Advice | None:
    """Attention takes much of the denoiser's time.

    PyTorch selects a kernel by shape and dtype, not by timing.
    """
    share = cell.family_share("attention")
    if not cell.gpu or share < 0.25:
        return None
    names = [kernel.name for kernel in cell.facts.kernels if kernel.family == "attention"]
    unused = [
        value
        for value, mark in _KERNELS.items()
        if not any(re.search(mark, name, re.IGNORECASE) for name in names)
    ]
    tries = list_possible(cell, "attention", *cell.others("attention", unused))
    if not tries:
        return None
    sentence = f"{format_percent(share, 0)} of the denoiser's time is attention"
    return advise_on_denoiser(cell, "attention", sentence, share, tries)


def fusion(cell: TracedCell, bound: Bound) -> Advice | None:
    """Norms, element-wise operations and copies read and write whole tensors eagerly."""
    tries = (
        list_possible(cell, "compiler", "inductor") if cell.setting("compiler") in _EAGER else ()
    )
    if bound.traffic_share < 0.2 or not tries:
        return None
    sentence = (
        f"{format_percent(bound.traffic_share, 0)} of the denoiser's time is norms, element-wise "
        "operations and copies, which are limited by memory bandwidth and can be fused"
    )
    return advise_on_denoiser(cell, "fusion", sentence, bound.traffic_share, tries)


def guidance(cell: TracedCell, bound: Bound) -> Advice | None:
    """Guidance doubles the denoiser's batch.

    Where the GPU is idle anyway, that costs next to nothing.
    """
    if (
        cell.denoiser is None
        or not cell.model.guided(_scale(cell))
        or (cell.gpu and bound.idle_share >= _LEAST_IDLE)
    ):
        return None
    share = (1 - bound.idle_share) * cell.share(DENOISER) / 2
    sentence = (
        f"Guidance {cell.setting('guidance')} computes every image twice, about "
        f"{format_percent(share, 0)} of the call: a guidance-distilled model with guidance 1 saves "
        "it."
    )
    return advise_on_call("guidance", sentence, share)


def _scale(cell: TracedCell) -> float:
    try:
        return float(cell.setting("guidance"))
    except ValueError:
        return 1.0


def launches(cell: TracedCell, bound: Bound) -> Advice | None:
    """The GPU waits for the host to launch many short kernels one by one.

    A CUDA graph launches them all at once.
    """
    stage = cell.denoiser
    if stage is None or not cell.launching or bound.idle_share < _LEAST_IDLE:
        return None
    each = format_seconds(stage.busy_s / max(stage.kernels, 1))
    sentence = (
        f"{format_percent(bound.idle_share, 0)} of the denoiser's time is gaps between kernels: "
        f"the host launches {stage.launches / stage.calls:,.0f} of them a call, of {each} each"
    )
    graphs = (
        ("inductor+mode=reduce-overhead",)
        if cell.setting("compiler") in (*_EAGER, "inductor")
        else ()
    )
    tries = (*list_possible(cell, "compiler", *graphs), *suggest_larger_batch(cell))
    return advise_on_denoiser(cell, "launches", sentence, bound.idle_share, tries)


def pauses(cell: TracedCell, bound: Bound) -> Advice | None:
    """The device waits for Python.

    On a CPU between operators, on a GPU where launching does not explain the pauses.
    """
    stage = cell.denoiser
    if stage is None or cell.opaque or cell.launching or bound.idle_share < _LEAST_IDLE:
        return None
    percent = format_percent(bound.idle_share, 0)
    if cell.gpu:
        gaps = (gap for gap in cell.facts.gaps if gap.stage == DENOISER)
        longest = max(gaps, key=lambda gap: gap.seconds, default=None)
        where = (
            f", the longest {format_seconds(longest.seconds)} ({longest.host})"
            if longest and longest.host
            else ""
        )
        sentence = f"{percent} of the denoiser's time the GPU waits for the host{where}"
    else:
        each = stage.kernels / stage.calls
        sentence = (
            f"{percent} of the denoiser's time is Python between {each:,.0f} operators a call"
        )
    values = ("inductor",) if cell.gpu else ("inductor", "onnxruntime", "openvino")
    tries = list_possible(cell, "compiler", *values) if cell.setting("compiler") in _EAGER else ()
    return advise_on_denoiser(cell, "pauses", sentence, bound.idle_share, tries)


def weights(cell: TracedCell, bound: Bound) -> Advice | None:
    """A large model that generates one small image at a time is limited by reading weights."""
    share = bound.weights_share
    if isinstance(share, Absent) or share < 0.35:
        return None
    smaller = ("int8-torchao",) if cell.setting("precision") in _FULL_PRECISION else ()
    tries = (*list_possible(cell, "precision", *smaller), *suggest_larger_batch(cell))
    size = format_bytes(cell.denoiser_bytes or 0)
    sentence = (
        f"Reading the denoiser's weights ({size} a call) takes {format_percent(share, 0)} of its "
        "time"
    )
    return advise_on_denoiser(cell, "weights", sentence, share, tries)


RULES: tuple[AdviceRule, ...] = (arithmetic, attention, fusion, guidance, launches, pauses, weights)
