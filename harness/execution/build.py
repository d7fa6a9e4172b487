"""Load a model and apply a cell's settings to it."""

from collections.abc import Sequence
from typing import NamedTuple

from harness.axes import collect_call_options, load_axes, resolve_setting
from harness.core.axis import AxisValue, Cell, Setting, Setup
from harness.core.effect import Effect
from harness.core.errors import UsageError
from harness.core.model import Call, TextToImage
from harness.core.outcome import Applied
from harness.core.plan import Prompt
from harness.execution.task import Task, make_call
from harness.measure.roofline import OperationCounter
from harness.models import resolve_model
from harness.prompts.latent import read_latent


class Recipe(NamedTuple):
    """A cell's values in the order of application, and their options for loading and calls."""

    settings: tuple[Setting, ...]
    values: tuple[AxisValue, ...]
    load_options: dict[str, object]
    call_options: dict[str, float]

    @property
    def lazy(self) -> bool:
        """Whether the first call does extra work, such as compilation."""
        return any(value.lazy for value in self.values)

    @property
    def one_thread(self) -> bool:
        """Whether one thread generates all images: compiled code and caches are not shared."""
        return any(value.lazy or value.stateful for value in self.values)

    @property
    def arithmetic(self) -> str:
        """The torch dtype in which the denoiser multiplies matrices."""
        own = next((value.arithmetic for value in self.values if value.arithmetic), "")
        return own or str(self.load_options.get("dtype", "float32"))

    @property
    def batch(self) -> int:
        """The number of images of a timed call."""
        return int(self.call_options["batch"])

    def call(self, prompts: Sequence[Prompt] = (), seeds: Sequence[int] = ()) -> Call:
        """Return the cell's call, with every combination of prompts and seeds."""
        options = {key: value for key, value in self.call_options.items() if key != "batch"}
        bare = Call.model_validate({"prompts": (), "keys": (), **options})
        return make_call(bare, [(prompt, seed) for prompt in prompts for seed in seeds])


def read_recipe(cell: Cell) -> Recipe:
    """Resolve the values of a cell."""
    ordered = sorted(load_axes(), key=lambda axis: (axis.apply_order, axis.order))
    settings = tuple(cell.setting(axis.name) for axis in ordered)
    values = tuple(resolve_setting(setting) for setting in settings)
    load_options: dict[str, object] = {}
    for value in values:
        load_options |= value.load_options()
    return Recipe(settings, values, load_options, collect_call_options(values))


def check_model(task: Task) -> None:
    """Raise UsageError if the model's files differ from the plan's, or do not fit together."""
    source = resolve_model(task.model)
    if source.describe().digest != task.model_digest:
        what = "the files of the model were changed after the plan was made"
        fix = "Begin a new run with --fresh: this one would mix two models."
        raise UsageError(what, "model", fix)
    source.verify()


def check_adapters(task: Task, recipe: Recipe) -> None:
    """Raise UsageError where a file that a value reads, such as a LoRA, is not that of the plan."""
    model = resolve_model(task.model).describe()
    for setting, value in zip(recipe.settings, recipe.values, strict=True):
        if value.fingerprint(model) != task.planned.files.get(setting.axis, ""):
            fix = "Begin a new run with --fresh: this one would mix two adapters."
            raise UsageError(
                f"the files of {setting} were changed after the plan was made", setting.axis, fix
            )


def load_model(task: Task, recipe: Recipe) -> TextToImage:
    """Load the task's model with the options of its settings, and set its initial noise."""
    model = resolve_model(task.model).load(task.device, dict(recipe.load_options))
    model.latent = read_latent(task.latent) if task.latent else None
    return model


class Built(NamedTuple):
    """A loaded model with values applied, and their effects to report after the timed calls."""

    model: TextToImage
    watched: tuple[tuple[Setting, Effect], ...]
    arithmetic: OperationCounter
    """Operation counter of the denoiser as loaded."""

    def batch(self, asked: int) -> int:
        """Return the number of images of a timed call, which a value may have searched for."""
        return next((effect.batch for _, effect in self.watched if effect.batch), asked)

    def start(self) -> None:
        """Start the counters of all effects before the timed calls."""
        for _, effect in self.watched:
            effect.start(self.model)

    def report(self, calls: int) -> tuple[Applied, ...]:
        """Return the effect of each setting in `calls` timed calls; NoEffect if one had none."""
        order = {axis.name: axis.order for axis in load_axes()}
        rows = sorted(self.watched, key=lambda pair: order[pair[0].axis])
        applied = []
        for setting, effect in rows:
            found = effect.report(self.model, calls).model_dump()
            applied.append(Applied(axis=setting.axis, value=str(setting), **found))
        return tuple(applied)


def apply_values(model: TextToImage, recipe: Recipe, setup: Setup) -> Built:
    """Apply every value to the loaded model, in order."""
    arithmetic = OperationCounter(model.denoiser)
    watched = []
    for setting, value in zip(recipe.settings, recipe.values, strict=True):
        effect = value.apply(model, setup)
        watched += [(setting, effect)] if effect is not None else []
    return Built(model, tuple(watched), arithmetic)
