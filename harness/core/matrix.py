"""The typed contents of a matrix file."""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from harness.core.axis import Scalar
from harness.core.base import Frozen
from harness.core.history import NightlyBudget
from harness.core.rule import Rule

SCHEMA_VERSION = 1
LONGEST_NAME = 100
"""A name is part of the run folder's name, with the time and the host name; file systems allow 255
bytes."""

Entry = Scalar | dict[str, Scalar]
"""One value of an axis: its name or number, or a table with `name` and options."""


def _read_share(value: Any) -> Any:
    """Read `"2%"` and `0.02` alike."""
    if not isinstance(value, str):
        return value
    try:
        return (
            float(value.strip().removesuffix("%")) / 100
            if value.strip().endswith("%")
            else float(value)
        )
    except ValueError:
        raise ValueError(f"a share such as '2%' or 0.02, got {value!r}") from None


_SHARE_SCHEMA = {"anyOf": [{"type": "number"}, {"type": "string", "pattern": r"^[0-9.]+ ?%$"}]}
Share = Annotated[
    float,
    BeforeValidator(_read_share),
    Field(gt=0, lt=1, allow_inf_nan=False),
    WithJsonSchema(_SHARE_SCHEMA),
]
Price = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Model(Frozen):
    """Which model: `source` names a file of harness/models, `options` are that source's own keys.

    A matrix spells it as a word or as a flat table; `harness.models.read_model` reads both.
    """

    source: str = "bundled"
    options: dict[str, Any] = {}


class Prompts(Frozen):
    """Which prompts: a bundled set's name or a file (.txt, .jsonl, .csv, .tsv), and how many of it
    (0: all)."""

    set: Annotated[
        str, Field(description="default: shapes for the bundled model, everyday for others")
    ] = "shapes"
    limit: Annotated[int, Field(ge=0)] = 0
    order: Annotated[
        Literal["file", "balanced"],
        Field(
            description="file: in file order; balanced: categories alternate, so that the first "
            "prompts cover all"
        ),
    ] = "file"
    negative: Annotated[str, Field(description="negative prompt, for prompts without one")] = ""
    latent: Annotated[
        str,
        Field(
            description="a .npy file of noise that every image starts from; empty: noise by "
            "prompt and seed"
        ),
    ] = ""


class Measure(Frozen):
    """How cells are timed: whole-pipeline calls at the cell's batch size, in blocks that alternate
    with the baseline's.

    Rounds are taken until the speedup's 95 % interval is `precision` wide to either side, within
    `min_s` and `max_s` seconds of timed calls, including the baseline's. `warmup` calls are
    discarded first; later calls that are still warming up are detected and left out.
    """

    warmup: Annotated[int, Field(ge=0, le=1000)] = 1
    precision: Annotated[
        Share, Field(description="half-width of the speedup's 95 % interval, such as '2%'")
    ] = 0.02
    min_s: Annotated[
        float,
        Field(
            ge=0,
            allow_inf_nan=False,
            description="least seconds of timed calls, including the baseline's",
        ),
    ] = 2
    max_s: Annotated[
        float,
        Field(
            gt=0,
            allow_inf_nan=False,
            description="most seconds of timed calls, including the baseline's",
        ),
    ] = 60
    timeout_s: Annotated[
        float,
        Field(
            gt=0,
            allow_inf_nan=False,
            description="most seconds of one step: preparation, a block, the images",
        ),
    ] = 3600.0
    image_batch: Annotated[
        int, Field(ge=0, description="images generated per call for quality; 0: by size")
    ] = 0
    trace: Annotated[
        bool, Field(description="trace one call of every cell, in a separate pass")
    ] = False
    threads: Annotated[int, Field(ge=0, description="CPU threads of a cell; 0: all cores")] = 0
    allow_foreign_processes: Annotated[
        bool, Field(description="measure even if other processes use the GPU")
    ] = False

    @model_validator(mode="after")
    def _in_order(self) -> "Measure":
        if self.min_s > self.max_s:
            raise ValueError(
                f"min_s = {self.min_s:g} is more than max_s = {self.max_s:g}: raise max_s or "
                "lower min_s"
            )
        return self


class Prices(Frozen):
    """Prices of a machine hour and a kilowatt-hour, for the cost of an image.

    `per_hour` maps globs on the GPU's name (without a GPU: the processor's) to the price of one
    card per hour. Case is ignored, the first match counts, and globs without a match are allowed,
    so that one list serves many machines.
    """

    currency: str = "USD"
    per_hour: Annotated[
        dict[str, Price],
        Field(description="glob on the GPU's name, or the processor's → price of an hour"),
    ] = {}
    per_kwh: Annotated[
        Price | None,
        Field(
            description="electricity, added to the price per hour; leave it out where that "
            "includes electricity"
        ),
    ] = None


class Quality(Frozen):
    """The metrics, their weights, and the reference set of distribution metrics."""

    metrics: Annotated[
        tuple[str, ...],
        Field(description="default: the metrics that suit the model"),
    ] = (
        "attributes:bundled", "clip:bundled", "detail", "colour", "odd-images", "fid:bundled",
        "lpips:bundled", "psnr", "ssim",
    )  # fmt: skip
    images: Annotated[
        Literal["all", "auto"],
        Field(
            description="all: every prompt for every cell; auto: as many prompts as each verdict "
            "needs"
        ),
    ] = "all"
    max: Annotated[
        int, Field(ge=0, description="with images = auto: most prompts of a cell; 0: all")
    ] = 0
    reference: str | None = None
    weights: dict[str, str] = {}
    resamples: Annotated[int, Field(ge=200)] = 2000
    rerun_prompts: Annotated[int, Field(ge=2, description="prompts of the baseline's rerun")] = 64


def _check_rate(text: str) -> str:
    NightlyBudget.parse(text)
    return text


def _check_target(text: str) -> str:
    if "://" not in text and not VARIABLE.fullmatch(text):
        raise ValueError(
            "an Apprise URL such as 'slack://…', or the name of an environment variable that holds "
            "one, such as 'NIGHTLY_SLACK'"
        )
    return text


def _check_folder(text: str) -> str:
    if not text.strip():
        raise ValueError("empty; name a folder, or . for the current one")
    return text


VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*")
"""An environment variable's name where a URL may stand: URLs with tokens stay out of files."""
Rate = Annotated[str, AfterValidator(_check_rate)]
Folder = Annotated[str, AfterValidator(_check_folder)]
Target = Annotated[str, AfterValidator(_check_target)]


class NightlySettings(Frozen):
    """What `harness nightly` does with the matrix; nothing of it changes a measurement."""

    false_alarms: Annotated[
        Rate, Field(description="false alarms of the whole matrix: '1 a month', '2 a year'")
    ] = "1 a month"
    trace: Annotated[
        Literal["on change", "never", "always"],
        Field(description="on change: trace the cells that alarm and the baseline the same night"),
    ] = "on change"
    repeat: Annotated[
        bool, Field(description="measure suspected changes once again the same night")
    ] = True
    watch: Annotated[
        tuple[Folder, ...],
        Field(description="folders of git repositories whose commits are recorded every night"),
    ] = ()
    notify: Annotated[
        tuple[Target, ...],
        Field(
            description="Apprise URLs, or names of environment variables that hold one, for "
            "--notify"
        ),
    ] = ()

    @property
    def budget(self) -> NightlyBudget:
        return NightlyBudget.parse(self.false_alarms)


class Matrix(Frozen):
    """A matrix file: axes, model, prompts, and how to measure and judge."""

    schema_version: Literal[1] = 1
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=LONGEST_NAME)]
    about: str = ""
    model: Model = Model()
    axes: dict[str, tuple[Entry, ...]]
    exclude: tuple[dict[str, Entry], ...] = ()
    include: tuple[dict[str, Entry], ...] = ()
    baseline: dict[str, Entry] = {}
    prompts: Prompts = Prompts()
    seeds: tuple[Annotated[int, Field(ge=0, lt=2**31)], ...] = (0,)
    measure: Measure = Measure()
    prices: Prices = Prices()
    quality: Quality = Quality()
    nightly: NightlySettings = NightlySettings()
    policy: Annotated[
        str,
        Field(
            description="what may ship: a shipped policy (harness policies) or a .toml file in "
            "the same folder"
        ),
    ] = "five-percent"
    gate: tuple[Rule, ...] = ()
    """Rules of this matrix, after the policy's; of rules on the same quantity the last that fits a
    cell decides."""
