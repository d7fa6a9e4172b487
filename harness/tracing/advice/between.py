"""Much of the call lies outside of every part of the pipeline."""

from harness.core.trace import BETWEEN
from harness.core.units import format_percent, format_seconds
from harness.tracing.bound import Bound
from harness.tracing.rule import Advice, Rule, name_tries, possible
from harness.tracing.scene import Scene

_LONG = 0.01
"""Of the call that a pause must reach to be named."""


class Between(Rule):
    """The scheduler's step, tokenizing, turning tensors into pictures: Python that no compiler of the denoiser sees."""

    def look(self, scene: Scene, bound: Bound) -> Advice | None:
        share = scene.share(BETWEEN)
        if share < 0.08:
            return None
        sentence = (
            f"{format_percent(share, 0)} of the call lies between the stages: the scheduler's steps, Python, copies"
        )
        gap = next((gap for gap in scene.facts.gaps if gap.stage == BETWEEN and gap.host), None)
        if gap and gap.seconds >= _LONG * scene.facts.wall_s:
            sentence += f" (the longest pause, {format_seconds(gap.seconds)}: {gap.host})"
        tries = possible(scene, "batch", "4") if scene.outcome.batch == 1 else ()
        if tries:
            sentence += f"; images of one call share it: try {name_tries(tries)}"
        return Advice(
            rule="between", sentence=f"{sentence}.", figure=share, unit="share of the call", concerns=share, tries=tries
        )
