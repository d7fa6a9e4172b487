"""What an axis is, and the contract of its values."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from harness.core.base import Frozen

if TYPE_CHECKING:
    from harness.core.machine import Machine
    from harness.core.model import TextToImage

Scalar = bool | int | float | str


class Setting(Frozen):
    """One axis set to one value, with the options that differ from their defaults."""

    axis: str
    name: str
    options: tuple[tuple[str, Scalar], ...] = ()

    def __str__(self) -> str:
        shown = [key if value is True else f"{key}={value}" for key, value in self.options]
        return "+".join([self.name, *shown])


class Unavailable(Frozen):
    """Why a value cannot run on a machine, and what would make it run."""

    reason: str
    hint: str = ""

    def __str__(self) -> str:
        return f"{self.reason} ({self.hint})" if self.hint else self.reason


class Axis(Frozen):
    """One dimension of a matrix.

    `order` is its place in cell ids and tables; `apply_order` when its values are applied to a loaded model
    (LoRA before precision before compilation); `default` the value of a cell that does not name the axis
    (None: the model's own); `open_value` the file whose value reads any name, such as a number of steps.
    """

    name: str
    summary: str
    order: int
    apply_order: int = 0
    default: str | None = None
    open_value: str | None = None


class AxisValue(Frozen):
    """One value of an axis: its fields are the options a matrix may set.

    `affects` says whether it changes the pipeline (`build`) or only the call; `trajectory` whether the
    denoising trajectory of the baseline is kept; `tags` are facts about the value and `conflicts` the tags
    it cannot be combined with; `defaults` are settings it brings for axes the matrix leaves open.
    """

    summary: ClassVar[str]
    affects: ClassVar[Literal["build", "call"]] = "build"
    trajectory: ClassVar[Literal["kept", "changed"]] = "kept"
    tags: ClassVar[frozenset[str]] = frozenset()
    conflicts: ClassVar[frozenset[str]] = frozenset()
    defaults: ClassVar[Mapping[str, str]] = {}
    lazy: ClassVar[bool] = False  # work happens at the first call (compilation): timed as a phase of its own

    @classmethod
    def parse(cls, name: str) -> "AxisValue":
        """Return the value that a free name such as `50` or `64x64` stands for; ValueError if it is none."""
        raise ValueError(f"{name!r} is not a value")

    def label(self, name: str) -> str:
        """Return the word that stands for this value in a cell id."""
        return name

    def unavailable(self, machine: "Machine") -> Unavailable | None:
        """Return why this value cannot run on `machine`, or None if it can."""
        return None

    def load_options(self) -> dict[str, Any]:
        """Return keyword arguments for loading the model, such as its dtype's name."""
        return {}

    def call_options(self) -> dict[str, Any]:
        """Return fields of `Call` that this value sets."""
        return {}

    def apply(self, model: "TextToImage") -> tuple[str, ...]:
        """Change the loaded model in place and return notes of what was done."""
        return ()
