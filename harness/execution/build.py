"""Load a model and apply a cell's settings to it."""

from collections.abc import Sequence
from typing import NamedTuple

from harness.axes import all_axes, call_options, resolve_setting
from harness.core.axis import AxisValue, Cell, Setting, Setup
from harness.core.effect import Effect
from harness.core.errors import UsageError
from harness.core.model import Call, TextToImage
from harness.core.outcome import Applied
from harness.core.plan import Prompt
from harness.execution.task import Task, call_for
from harness.measure.roofline import OperationCounter
from harness.models import resolve_model
from harness.prompts.latent import read_latent


class Recipe(NamedTuple):
    """A cell's live values in the order in which they are applied, and what they say about load and call."""

    settings: tuple[Setting, ...]
    values: tuple[AxisValue, ...]
    load_options: dict[str, object]
    call_options: dict[str, float]

    @property
    def lazy(self) -> bool:
        """Whether some work happens only at the first call, such as compilation."""
        return any(value.lazy for value in self.values)

    @property
    def one_thread(self) -> bool:
        """Whether its images must be made by one thread: compiled code and memories are not shared between threads."""
        return any(value.lazy or value.stateful for value in self.values)

    @property
    def arithmetic(self) -> str:
        """Torch's name of the number format in which the denoiser's matrices are multiplied."""
        own = next((value.arithmetic for value in self.values if value.arithmetic), "")
        return own or str(self.load_options.get("dtype", "float32"))

    @property
    def batch(self) -> int:
        """How many images a timed call makes."""
        return int(self.call_options["batch"])

    def call(self, prompts: Sequence[Prompt] = (), seeds: Sequence[int] = ()) -> Call:
        """Return the cell's call, with every prompt and seed it is given."""
        options = {key: value for key, value in self.call_options.items() if key != "batch"}
        bare = Call.model_validate({"prompts": (), "keys": (), **options})
        return call_for(bare, [(prompt, seed) for prompt in prompts for seed in seeds])


def read_recipe(cell: Cell) -> Recipe:
    """Return the recipe of a cell."""
    ordered = sorted(all_axes(), key=lambda axis: (axis.apply_order, axis.order))
    settings = tuple(cell.setting(axis.name) for axis in ordered)
    values = tuple(resolve_setting(setting) for setting in settings)
    load_options: dict[str, object] = {}
    for value in values:
        load_options |= value.load_options()
    return Recipe(settings, values, load_options, call_options(values))


def check_model(task: Task) -> None:
    """Raise UsageError where the model's files are not those of the plan, or do not fit their configurations."""
    source = resolve_model(task.model)
    if source.describe().digest != task.model_digest:
        fix = "Begin a new run with --fresh: this one would mix two models."
        raise UsageError("the files of the model were changed after the plan was made", "model", fix)
    source.verify()


def load_model(task: Task, recipe: Recipe) -> TextToImage:
    """Load the task's model with the options its settings ask for, and give it the noise to start from."""
    model = resolve_model(task.model).load(task.device, dict(recipe.load_options))
    model.latent = read_latent(task.latent) if task.latent else None
    return model


class Built(NamedTuple):
    """A loaded model with the values applied, and the effects to ask about them after the timed calls."""

    model: TextToImage
    watched: tuple[tuple[Setting, Effect], ...]
    arithmetic: OperationCounter
    """Of the denoiser as it was loaded."""

    def batch(self, asked: int) -> int:
        """Return how many images a timed call makes: as many as asked for, unless a value found out itself."""
        return next((effect.batch for _, effect in self.watched if effect.batch), asked)

    def start(self) -> None:
        """Tell every effect that the timed calls begin."""
        for _, effect in self.watched:
            effect.start(self.model)

    def report(self, calls: int) -> tuple[Applied, ...]:
        """Return what each setting did in `calls` timed calls, in canonical order; NoEffect if one did nothing."""
        order = {axis.name: axis.order for axis in all_axes()}
        rows = sorted(self.watched, key=lambda pair: order[pair[0].axis])
        shown = [(setting, effect.report(self.model, calls)) for setting, effect in rows]
        return tuple(Applied(axis=setting.axis, value=str(setting), **found.model_dump()) for setting, found in shown)


def apply_values(model: TextToImage, recipe: Recipe, setup: Setup) -> Built:
    """Apply every value to the loaded model, in order."""
    arithmetic = OperationCounter(model.denoiser)
    values = zip(recipe.settings, recipe.values, strict=True)
    applied = [(setting, value.apply(model, setup)) for setting, value in values]
    return Built(model, tuple((setting, effect) for setting, effect in applied if effect is not None), arithmetic)
