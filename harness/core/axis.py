"""Axes, the contract of their values, and cells: one setting per axis, in canonical order."""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, NamedTuple

from pydantic import BeforeValidator, ConfigDict

from harness.core.base import Frozen
from harness.core.recipe import NoRecipe, RecipeContext, RecipeLines

if TYPE_CHECKING:
    from harness.core.effect import Effect
    from harness.core.machine import Machine
    from harness.core.model import Call, Footprint, HubFile, ModelInfo, TextToImage
    from harness.core.outcome import Caution

Scalar = bool | int | float | str


def _join_words(given: object) -> str:
    return "-".join(str(given).replace(",", " ").replace("-", " ").split())


Words = Annotated[str, BeforeValidator(_join_words)]
"""Several values in one option, `256-512-1024`; commas and spaces are accepted."""


class Setting(Frozen):
    """One axis set to one value, with the options that differ from their defaults."""

    axis: str
    name: str
    options: tuple[tuple[str, Scalar], ...] = ()

    def __str__(self) -> str:
        shown = [
            key if value is True else f"{key}={_spelled(value)}" for key, value in self.options
        ]
        return "+".join([self.name, *shown])


def _spelled(value: Scalar) -> str:
    """Return a scalar as a matrix spells it: `fuse=false`."""
    return "false" if value is False else str(value)


class Unavailable(Frozen):
    """Why a value cannot run on a machine, and how to make it run."""

    reason: str
    hint: str = ""

    def __str__(self) -> str:
        return f"{self.reason} ({self.hint})" if self.hint else self.reason


def require_packages(machine: "Machine", *packages: str) -> Unavailable | None:
    """Return which of these packages is not installed, or None."""
    missing = next((package for package in packages if package not in machine.packages), None)
    return (
        Unavailable(reason=f"{missing} is not installed", hint=f"pip install {missing}")
        if missing
        else None
    )


def require_gpu(
    machine: "Machine", capability: tuple[int, int] = (0, 0), hint: str = ""
) -> Unavailable | None:
    """Return why the machine has no GPU of this compute capability, or None; `hint` is for machines
    without a GPU."""
    if not machine.gpus:
        return Unavailable(reason="needs an NVIDIA GPU", hint=hint)
    gpu = machine.gpus[0]
    if gpu.capability >= capability:
        return None
    needed, found = (".".join(map(str, pair)) for pair in (capability, gpu.capability))
    return Unavailable(reason=f"needs compute capability {needed}; {gpu.name} has {found}")


class Axis(Frozen):
    """One dimension of a matrix.

    `order` is its place in cell ids and tables; `apply_order` when its values are applied to a
    loaded model (LoRA before precision before compilation); `default` the value of a cell that does
    not name the axis (None: the model's own); `open_value` the file whose value reads any name,
    such as a number of steps.
    """

    name: str
    summary: str
    order: int
    apply_order: int = 0
    default: str | None = None
    open_value: str | None = None


class Context(NamedTuple):
    """The model, the machine, and the cell's values by axis, for checks in the plan."""

    model: "ModelInfo"
    machine: "Machine"
    values: Mapping[str, "AxisValue"]

    @property
    def steps(self) -> int:
        """Return the denoising steps that the cell asks for."""
        return int(self.values["steps"].call_options()["steps"])

    @property
    def guidance(self) -> float:
        """Return the guidance scale that the cell asks for, or the model's own."""
        value = self.values.get("guidance")
        return float(value.call_options()["guidance"]) if value else self.model.guidance

    def has_tag(self, tag: str) -> bool:
        """Return whether any value of the cell has this tag."""
        return any(tag in value.tags for value in self.values.values())


class Shape(NamedTuple):
    """The size of a timed call: pixels, images, and whether guidance takes a second pass."""

    width: int
    height: int
    guidance: float
    images: int


class Setup(NamedTuple):
    """The inputs of `AxisValue.apply`.

    `call` holds every prompt and key of the cell (for calibration) and the steps, guidance and size
    of its calls; `batch` is the number of images in a timed call; `cache` a folder that outlives
    the run, for slow builds; `shapes` the calls of all cells of the plan with this build key, so
    that one engine can serve them.
    """

    call: "Call"
    batch: int
    cache: Path
    shapes: tuple[Shape, ...] = ()

    def calibration_calls(self, prompts: int) -> "list[Call]":
        """Return calls of the cell's batch size for its first prompts; larger ones may not fit into
        memory."""
        count = min(prompts, len(self.call.prompts))
        return [
            self.call.of(range(first, min(first + self.batch, count)))
            for first in range(0, count, self.batch)
        ]


class AxisValue(Frozen):
    """One value of an axis: its fields are the options a matrix may set.

    Identity: `affects` says whether it changes the pipeline (`build`) or only the call;
    `trajectory` whether the denoising trajectory of the baseline is kept; `tolerance` how far
    images may lie from the same cell without it, as the relative distance ‖with − without‖ /
    ‖without‖ (None where the trajectory is changed).

    Combinations: `tags` are facts about the value and `conflicts` the tags of other values, or of
    the model, that it cannot be combined with; `defaults` are settings for axes that the matrix
    does not mention.

    Execution: `lazy` work happens at the first call (compilation) and is timed as a separate phase;
    a `stateful` value keeps state between denoiser calls, so one thread generates the images.
    """

    model_config = ConfigDict(use_attribute_docstrings=True)

    summary: ClassVar[str]
    needs: ClassVar[str] = ""
    """Requirements besides the package, in a few words: "a GPU", "pip install onnxruntime"."""
    affects: ClassVar[Literal["build", "call"]] = "build"
    trajectory: ClassVar[Literal["kept", "changed"]] = "kept"
    tolerance: ClassVar[float | None] = None
    repeatability: ClassVar[float] = 0.0
    """Allowed distance between two runs with the same seeds, relative like `tolerance`; most values
    are exact."""
    tags: ClassVar[frozenset[str]] = frozenset()
    conflicts: ClassVar[frozenset[str]] = frozenset()
    defaults: ClassVar[Mapping[str, str]] = {}
    lazy: ClassVar[bool] = False
    stateful: ClassVar[bool] = False
    resident: ClassVar[Literal["all", "part", "block", "layer"]] = "all"
    """The share of the weights on the device at a time: all, the largest part, a block, a layer."""
    arithmetic: ClassVar[str] = ""
    """Torch's name of the number format of matrix products; empty: the loaded format."""
    examples: ClassVar[tuple[str, ...]] = ()
    """Further spellings for the contract test, such as `inductor+fullgraph=false`."""
    may_idle: ClassVar[str] = ""
    """Why the plain value may have no effect on a sound model; one of its `examples` must then have
    one."""

    @classmethod
    def where(cls) -> str:
        """Return the axis and the name that the value's folder and file give it: `caching
        first-block`."""
        return " ".join(cls.__module__.split(".")[-2:]).replace("_", "-")

    @classmethod
    def parse(cls, name: str) -> "AxisValue":
        """Return the value of a free name such as `50` or `64x64`; ValueError if invalid."""
        raise ValueError(f"{name!r} is not a value")

    def label(self, name: str) -> str:
        """Return the name of this value in a cell id."""
        return name

    def unavailable(self, machine: "Machine") -> Unavailable | None:
        """Return why this value cannot run on `machine`, or None if it can."""
        return None

    def refuse(self, context: Context) -> str | None:
        """Return why this value cannot run in this cell with this model, or None if it can.

        For reasons that tags cannot express: a size that does not divide, a missing file, a LoRA of
        another model.
        """
        return None

    def cautions(self, context: Context) -> tuple["Caution", ...]:
        """Return warnings, with advice, for combinations that run but gain nothing; the plan shows
        them."""
        return ()

    def brings(self, model: "ModelInfo") -> Mapping[str, str]:
        """Return settings for axes that the matrix does not mention, if they depend on options or
        the model."""
        return self.defaults

    def fingerprint(self, model: "ModelInfo") -> str:
        """Return a hash of the files that the value reads, which identifies its results; empty if
        it reads none."""
        return ""

    def wants(self, model: "ModelInfo | None") -> tuple["HubFile", ...]:
        """Return the missing Hugging Face files that the value reads, without network access.

        The run fetches them before its first cell. Without a model: the files needed with any
        model.
        """
        return ()

    def footprint(self, without: "Footprint") -> "Footprint":
        """Return the memory that the cell needs with this value, given the memory `without` it.

        Called in the order in which values are applied, starting with four bytes per number.
        """
        return without

    def load_options(self) -> dict[str, Any]:
        """Return options of `ModelSource.load`: `dtype`, and `arguments` for from_pretrained.
        Called in the worker."""
        return {}

    def call_options(self) -> dict[str, Any]:
        """Return fields of `Call` that this value sets."""
        return {}

    def workload(self, steps: int) -> float:
        """Return the factor on the denoiser's work (`steps` calls at the final size), for the
        plan's estimate.

        Examples: 2 − 1/steps for heun, less than 1 for a cascade whose first stages are small.
        """
        return 1.0

    def unseen_memory(self) -> str:
        """Return why torch's allocator does not count all of this value's memory, or ''."""
        return ""

    def apply(self, model: "TextToImage", setup: Setup) -> "Effect | None":
        """Change the loaded model in place; return the effect, which reports after the timed calls.

        None only for values that change nothing, such as `eager` and `none`.
        """
        return None

    def recipe(self, context: RecipeContext) -> RecipeLines | NoRecipe:
        """Return the lines that do the same in a file without harness, or why there are none."""
        return NoRecipe(reason=f"{self.where()} has no recipe lines")


class Cell(Frozen):
    """One combination to measure. Cells with the same `build_key` share a built pipeline."""

    id: str
    settings: tuple[Setting, ...]
    build_key: str
    call_key: str

    def setting(self, axis: str) -> Setting:
        """Return the setting of one axis; KeyError if the cell has none."""
        for setting in self.settings:
            if setting.axis == axis:
                return setting
        raise KeyError(axis)

    @property
    def by_axis(self) -> dict[str, str]:
        """Return axis → value with its options, for tables."""
        return {setting.axis: str(setting) for setting in self.settings}

    def fits(self, where: Mapping[str, Scalar]) -> bool:
        """Return whether the cell matches globs on values and options, such as `{precision =
        "fp8*"}`."""
        return not self.misfits(where)

    def misfits(self, where: Mapping[str, Scalar]) -> tuple[str, ...]:
        """Return the axes whose values do not match."""
        found = self.by_axis
        return tuple(
            axis
            for axis, value in where.items()
            if not fnmatchcase(found.get(axis, ""), value_word(value))
        )


def value_word(value: Scalar) -> str:
    """Return a value as cells spell it: `5.0` is `5`."""
    return f"{value:g}" if isinstance(value, float) else str(value)
