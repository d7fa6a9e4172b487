"""Attention is much of the denoiser, and another kernel may be faster."""

import re

from harness.core.units import format_percent
from harness.tracing.bound import Bound
from harness.tracing.rule import Advice, Rule, name_tries, possible
from harness.tracing.scene import DENOISER, Scene

_KERNELS = {"flash": r"flash_fwd|flash_?attn|flash_attention", "cudnn": "cudnn", "sage": "sage|qk_int8"}
"""Values of the axis, and how the kernels that they choose are called in a trace."""


class Attention(Rule):
    """PyTorch chooses a kernel by shape and format, not by trial."""

    def look(self, scene: Scene, bound: Bound) -> Advice | None:
        share = scene.family_share("attention")
        if not scene.gpu or share < 0.25:
            return None
        names = [kernel.name for kernel in scene.facts.kernels if kernel.family == "attention"]
        unseen = (
            value for value, mark in _KERNELS.items() if not any(re.search(mark, name, re.IGNORECASE) for name in names)
        )
        tries = possible(scene, "attention", *scene.others("attention", unseen))
        if not tries:
            return None
        sentence = f"{format_percent(share, 0)} of the denoiser's time is attention: try {name_tries(tries)}."
        return Advice(
            rule="attention",
            sentence=sentence,
            figure=share,
            unit="share of the denoiser's time",
            concerns=share * scene.share(DENOISER),
            tries=tries,
        )
