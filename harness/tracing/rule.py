"""What a rule of advice is: it looks at a traced cell and has one sentence to say, or none."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from harness.core.base import Frozen
from harness.tracing.bound import Bound
from harness.tracing.scene import Scene


class Try(Frozen):
    """An axis and a value, as a matrix spells them, that the cell does not have and that may help."""

    axis: str
    value: str

    def __str__(self) -> str:
        return f"{self.axis} {self.value}"


def possible(scene: Scene, axis: str, *values: str) -> tuple[Try, ...]:
    """Return those values of an axis that go together with the cell's other settings."""
    return tuple(Try(axis=axis, value=value) for value in values if scene.fits(axis, value))


class Advice(Frozen):
    """One sentence and the figure behind it.

    `concerns` is the share of the whole call's time that it is about (0 to 1), and so the most that could be saved.
    """

    rule: str
    sentence: str
    figure: float
    unit: str
    concerns: float
    tries: tuple[Try, ...] = ()


class Rule(ABC):
    """One thing that makes cells slow; its file's name is the rule's."""

    @abstractmethod
    def look(self, scene: Scene, bound: Bound) -> Advice | None:
        """Return what to say of this cell, or None where this is not what ails it."""


def name_tries(tries: Sequence[Try]) -> str:
    """Return `compiler inductor or openvino`, or `compiler inductor, or batch 4`, for a sentence."""
    values: dict[str, list[str]] = {}
    for found in tries:
        values.setdefault(found.axis, []).append(found.value)
    return ", or ".join(f"{axis} {' or '.join(own)}" for axis, own in values.items())
