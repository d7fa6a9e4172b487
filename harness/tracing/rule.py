"""Records of advice and helpers of rules: a rule returns advice on a traced cell, or None."""

from collections.abc import Callable

from harness.core.base import Frozen
from harness.tracing.traced_cell import DENOISER, Bound, TracedCell


class Try(Frozen):
    """A value of an axis, spelled as in a matrix, that may make the cell faster."""

    axis: str
    value: str

    def __str__(self) -> str:
        return f"{self.axis} {self.value}"


Tries = tuple[Try, ...]


class Advice(Frozen):
    """One sentence and the figure behind it.

    `concerns` is the share (0 to 1) of the whole call's time that the advice is about: the most it
    could save.
    """

    rule: str
    sentence: str
    figure: float
    unit: str
    concerns: float
    tries: Tries = ()


AdviceRule = Callable[[TracedCell, Bound], Advice | None]
"""Returns None where its cause does not slow the cell down. The function's name is the rule's."""


def list_possible(cell: TracedCell, axis: str, *values: str) -> Tries:
    """Return the values of an axis that are compatible with the cell's other settings."""
    return tuple(Try(axis=axis, value=value) for value in values if cell.fits(axis, value))


def suggest_larger_batch(cell: TracedCell) -> Tries:
    """Return batch 4 for a cell that generates one image per call."""
    return list_possible(cell, "batch", "4") if cell.outcome.batch == 1 else ()


def name_tries(tries: Tries) -> str:
    """Return a phrase such as `compiler inductor or openvino, or batch 4`."""
    values: dict[str, list[str]] = {}
    for found in tries:
        values.setdefault(found.axis, []).append(found.value)
    return ", or ".join(f"{axis} {' or '.join(own)}" for axis, own in values.items())


def advise_on_call(rule: str, sentence: str, share: float, tries: Tries = ()) -> Advice:
    """Return advice about a share of the whole call."""
    return Advice(
        rule=rule,
        sentence=sentence,
        figure=share,
        unit="share of the call",
        concerns=share,
        tries=tries,
    )


def advise_on_denoiser(
    cell: TracedCell, rule: str, sentence: str, share: float, tries: Tries = ()
) -> Advice:
    """Return advice about a share of the denoiser's time; the values to try end the sentence."""
    return Advice(
        rule=rule,
        sentence=f"{sentence}; try {name_tries(tries)}." if tries else f"{sentence}.",
        figure=share,
        unit="share of the denoiser's time",
        concerns=min(share, 1.0) * cell.share(DENOISER),
        tries=tries,
    )
