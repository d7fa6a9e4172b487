"""The wish: what a matrix file says, typed."""

from typing import Annotated, Any, Literal

from pydantic import Field

from harness.core.axis import Scalar
from harness.core.base import Frozen

SCHEMA_VERSION = 1

Entry = Scalar | dict[str, Scalar]
"""One value of an axis: its name or number, or a table with `name` and options."""


class Model(Frozen):
    """Which model: `source` names a file of harness/models, `options` are that source's own keys."""

    source: str = "bundled"
    options: dict[str, Any] = {}


class Prompts(Frozen):
    """Which prompts: a bundled set's name or a text file, and how many from the start of it (0: all)."""

    set: str = "shapes"
    limit: Annotated[int, Field(ge=0)] = 0


class Measure(Frozen):
    """How cells are timed: whole-pipeline calls at the cell's batch size, after discarded warm-up calls."""

    warmup: Annotated[int, Field(ge=0, le=1000)] = 1
    repeats: Annotated[int, Field(ge=1, le=100_000)] = 5
    timeout_s: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 3600.0
    image_batch: Annotated[int, Field(ge=0, description="images generated per call for quality; 0: by size")] = 0
    trace: bool = False
    threads: Annotated[int, Field(ge=0, description="CPU threads of a cell; 0: all cores")] = 0


class Quality(Frozen):
    """Which metrics score the images, and the real images (or none) that distribution metrics refer to."""

    metrics: tuple[str, ...] = ("fid:bundled", "clip:bundled", "lpips:bundled", "psnr", "ssim")
    reference: str | None = None
    weights: dict[str, str] = {}
    resamples: Annotated[int, Field(ge=200)] = 2000
    rerun_prompts: Annotated[int, Field(ge=2, description="prompts of the baseline's rerun")] = 64


class Gate(Frozen):
    """The rule: calibrated loss below `margin`, wrongly passed in at most a share `alpha` of sweeps."""

    margin: Annotated[float, Field(gt=0, lt=1)] = 0.05
    alpha: Annotated[float, Field(gt=0, lt=0.5)] = 0.05
    correction: Literal["holm", "none"] = "holm"
    loss: Literal["calibrated", "literal"] = "calibrated"
    metrics: tuple[str, ...] = ()
    """Metrics that gate; empty: all measured ones but PSNR and SSIM, which gate only where they are named here."""


class Matrix(Frozen):
    """A whole matrix file: axes × model × prompts, and how to measure and judge."""

    schema_version: Literal[1] = 1
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    about: str = ""
    model: Model = Model()
    axes: dict[str, tuple[Entry, ...]]
    exclude: tuple[dict[str, Entry], ...] = ()
    include: tuple[dict[str, Entry], ...] = ()
    baseline: dict[str, Entry] = {}
    prompts: Prompts = Prompts()
    seeds: tuple[Annotated[int, Field(ge=0, lt=2**31)], ...] = (0,)
    measure: Measure = Measure()
    quality: Quality = Quality()
    gate: Gate = Gate()
