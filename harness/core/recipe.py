"""What a model and each axis value add to a standalone file that builds a cell without harness."""

import ast
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from harness.core.base import Frozen

if TYPE_CHECKING:
    from harness.core.axis import AxisValue
    from harness.core.model import ModelInfo
    from harness.core.outcome import Figures


class NoRecipe(Frozen):
    """Why a cell cannot be written as a standalone file, and what to do instead."""

    reason: str
    hint: str = ""

    def __str__(self) -> str:
        return f"{self.reason} ({self.hint})" if self.hint else self.reason


class RecipeLines(Frozen):
    """The lines of one axis value, each in its place of the file.

    `build` runs on the loaded pipeline `pipe`, `call` are arguments of the pipeline as source text,
    and `generate` replaces the body of the file's function that makes the images. Functions that
    `build` appends to `HOOKS` change the arguments of every call, as `hook(pipe, None, arguments)`.
    """

    imports: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    """Distributions to install besides torch, diffusers, transformers and accelerate."""
    definitions: tuple[str, ...] = ()
    """Constants, functions and classes."""
    before: tuple[str, ...] = ()
    """Statements before the model is loaded."""
    dtype: str = ""
    """Torch's name of the number format that the model is loaded in."""
    place: str = ""
    """Where the model is loaded, if not on the device."""
    build: tuple[str, ...] = ()
    call: dict[str, str] = {}
    generate: tuple[str, ...] = ()
    batch: int = 0
    """Images of a timed call."""
    pads: bool = False
    """Whether every batch size costs a compilation, so that a server fills batches up."""


class ModelLines(Frozen):
    """How a file loads the model: a class of diffusers, its method, the place, and arguments."""

    method: str = "from_pretrained"
    place: str = ""
    copied: dict[str, str] = {}
    """Folders of the harness package that are copied next to the file: the model as `pipeline`,
    and adapters by the name of their distillation value."""
    arguments: dict[str, str] = {}


class FamilyLines(Frozen):
    """What a family adds: class names, the body of `draw_noise`, arguments of every call."""

    pipeline: str
    image_pipeline: str = ""
    denoiser: str
    noise: tuple[str, ...]
    load: dict[str, str] = {}
    call: dict[str, str] = {}
    encoders: tuple[str, ...] = ()
    encode: str
    """An expression that encodes the list `prompts`, given `guided` and `negative` arguments."""
    embedding_names: tuple[str, ...]
    embedded: dict[str, str] = {}
    """Arguments of a call with embeddings instead of prompts."""
    negatives: bool = True
    """Whether guidance takes a second pass, for which negative prompts are."""


class RecipeContext(NamedTuple):
    """The cell for which a value writes its lines."""

    model: "ModelInfo"
    family: FamilyLines
    device: str
    values: Mapping[str, "AxisValue"]
    call: Mapping[str, float]
    """Steps, guidance, width, height, batch."""
    loras: Mapping[str, str]
    """Folders of adapters that come with the model, as source text, by distillation value."""
    applied: Mapping[str, "Figures"] = {}
    """Axis → figures of what the measured cell's value did."""
    prompts: tuple[tuple[str, int, str], ...] = ()
    """The first prompts of the run: id, seed, text."""

    @property
    def steps(self) -> int:
        return int(self.call["steps"])

    @property
    def denoiser(self) -> str:
        """The denoiser's expression in the file."""
        return f"pipe.{self.family.denoiser}"


@cache
def read_source(module: str, *names: str) -> tuple[str, ...]:
    """Return the source of top-level functions, classes and constants of a module, in file order.

    The module is not imported. KeyError for an unknown name.
    """
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        raise KeyError(module)
    text = Path(spec.origin).read_text(encoding="utf-8")
    found = {name: node for node in ast.parse(text).body for name in _names(node)}
    missing = set(names) - set(found)
    if missing:
        raise KeyError(f"{module} defines no {', '.join(sorted(missing))}")
    nodes = sorted((found[name] for name in names), key=lambda node: node.lineno)
    return tuple(ast.get_source_segment(text, node) or "" for node in nodes)


def _names(node: ast.stmt) -> tuple[str, ...]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return (node.name,)
    targets: Sequence[ast.expr] = node.targets if isinstance(node, ast.Assign) else ()
    if isinstance(node, ast.AnnAssign):
        targets = (node.target,)
    return tuple(target.id for target in targets if isinstance(target, ast.Name))
