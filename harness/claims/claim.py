"""Published claims and the ledger files they are read from."""

import math
import re
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from harness.axes import get_axis, list_value_names, read_entry
from harness.core.axis import Scalar, value_word
from harness.core.base import Frozen
from harness.core.catalog import did_you_mean
from harness.core.errors import LedgerError, UsageError
from harness.core.parsing import read_record, read_text, read_toml
from harness.metrics import check_metric

Quantity = Literal[
    "speedup", "latency-s", "step-latency-s", "model-memory-gib", "denoiser-memory-ratio",
    "peak-memory-gib", "peak-memory-ratio", "encoder-calls", "score",
]  # fmt: skip
OF_A_PAIR: frozenset[Quantity] = frozenset(
    {"speedup", "denoiser-memory-ratio", "peak-memory-ratio"}
)
"""Quantities that compare a candidate with a baseline; the others describe the candidate."""

ABOUT: dict[Quantity, str] = {
    "speedup": "seconds per image of the baseline ÷ of the candidate",
    "latency-s": "seconds of one call of the whole pipeline, the median",
    "step-latency-s": "seconds of one denoiser call: the median of each timed call's median",
    "model-memory-gib": "GiB of all weights in memory; one measurement, without an interval",
    "denoiser-memory-ratio": "bytes of denoiser weights, candidate ÷ baseline; without an interval",
    "peak-memory-gib": "peak memory in GiB; one measurement, without an interval",
    "peak-memory-ratio": "peak memory, candidate ÷ baseline; without an interval",
    "encoder-calls": "text encoder calls in one call of the pipeline, as its cache counted them",
    "score": "a metric's score, such as fid:mlperf, with its interval",
}
TOLERANCE = 0.1

Figure = Annotated[float, Field(allow_inf_nan=False)]
Glob = Annotated[str, Field(min_length=1)]


class Source(Frozen):
    """Where a claim was published; a source without `url` is hearsay, and its title says so."""

    title: Annotated[str, Field(min_length=1)]
    url: Annotated[str, Field(pattern=r"^(https://\S+)?$")] = ""
    date: Annotated[
        str, Field(pattern=r"^(\d{4}(-\d\d){0,2})?$", description="2024-09-08, 2024-09 or 2024")
    ] = ""


class Statement(Frozen):
    """One claim of a ledger file; all claims of a file share its source.

    The figure is `value` ± `tolerance` (a share of it, 10 % if left out), or a range: at_least,
    at_most, or both. `gpu` and `model` are globs that ignore case (left out: any machine, any
    model; `["*"]`: any GPU). Settings are spelled as in a matrix, or as globs: `candidate` and
    `baseline` make the pair, which is otherwise alike; `settings` hold for both cells. Techniques
    that none of them names (caching, distillation, a compiler …) were not in use; `"*"` leaves an
    axis open.
    """

    id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]*$")]
    what: Annotated[str, Field(min_length=1)]
    quantity: Quantity
    value: Figure | None = None
    tolerance: Annotated[float, Field(ge=0, lt=1)] | None = None
    at_least: Figure | None = None
    at_most: Figure | None = None
    metric: str = ""
    images: Annotated[
        int, Field(ge=0, description="scores: images it was computed from; 0: any number")
    ] = 0
    gpu: tuple[Glob, ...] = ()
    model: tuple[Glob, ...] = ()
    settings: dict[str, Scalar] = {}
    candidate: dict[str, Scalar] = {}
    baseline: dict[str, Scalar] = {}
    note: str = ""

    @model_validator(mode="after")
    def _is_sound(self) -> "Statement":
        if problems := [*self._figure_problems(), *self._setting_problems()]:
            raise ValueError("; ".join(problems))
        return self

    def _figure_problems(self) -> list[str]:
        problems = []
        ends = [end for end in (self.at_least, self.at_most) if end is not None]
        if (self.value is None) == (not ends):
            problems.append("give the figure as value, or as a range: at_least, at_most or both")
        if self.tolerance is not None and self.value is None:
            problems.append("tolerance is of value; a range has its own ends")
        if len(ends) == 2 and ends[0] >= ends[1]:
            problems.append("at_least must be smaller than at_most")
        if bool(self.metric) != (self.quantity == "score"):
            problems.append("metric names the metric of a score; no other quantity takes it")
        if self.images and self.quantity != "score":
            problems.append("images belongs to a score")
        return problems

    def _setting_problems(self) -> list[str]:
        if self.quantity in OF_A_PAIR and not (self.candidate and self.baseline):
            return [
                f"{self.quantity} compares two cells: give their difference by candidate, baseline"
            ]
        if self.quantity not in OF_A_PAIR and self.baseline:
            return [f"{self.quantity} is of one cell: leave baseline out"]
        if twice := [axis for axis in self.settings if axis in {**self.candidate, **self.baseline}]:
            where = "in settings, which hold for both cells, and in candidate or baseline"
            return [f"{', '.join(twice)}: {where}"]
        return []

    @property
    def window(self) -> tuple[float, float]:
        """Return the ends of what was claimed; infinite where there is none."""
        if self.value is not None:
            tolerated = abs(self.value) * (TOLERANCE if self.tolerance is None else self.tolerance)
            return self.value - tolerated, self.value + tolerated
        low = -math.inf if self.at_least is None else self.at_least
        return low, math.inf if self.at_most is None else self.at_most


class Claim(Statement):
    """A claim with its source."""

    source: Source


class LedgerFile(Frozen):
    """A file of claims from one source."""

    source: Source
    claim: tuple[Statement, ...]


_SHIPPED = files("harness.claims") / "ledger"


def shipped_claims() -> tuple[Claim, ...]:
    """Return the claims that ship with the package, by file name, then in the file's order."""
    pages = sorted(
        (entry.name, entry.read_text(encoding="utf-8"))
        for entry in _SHIPPED.iterdir()
        if entry.name.endswith(".toml")
    )
    return tuple(claim for name, text in pages for claim in parse_ledger(text, name))


def load_ledger(path: Path, known: Iterable[Claim] = ()) -> tuple[Claim, ...]:
    """Return the claims of a file; UsageError if unreadable, LedgerError with all its mistakes.

    An id of one of the `known` claims is a mistake.
    """
    fix = "Name a file of claims; docs/claims.md shows one."
    text = read_text(path, "claim ledger", fix, LedgerError)
    return parse_ledger(text, str(path), known)


def parse_ledger(
    text: str, where: str = "ledger", known: Iterable[Claim] = ()
) -> tuple[Claim, ...]:
    """Return the claims of TOML text; LedgerError with all its mistakes, by `where` and key."""
    document, problems = read_toml(text)
    if problems:
        raise LedgerError(problems, where)
    found, problems = read_record(LedgerFile, document)
    if found is not None:
        problems += _vocabulary(found.claim, {claim.id for claim in known})
    if found is None or problems:
        raise LedgerError(problems, where)
    return tuple(Claim(**stated.model_dump(), source=found.source) for stated in found.claim)


def _vocabulary(statements: tuple[Statement, ...], taken: set[str]) -> list[str]:
    """Return the mistakes that types do not show: repeated ids, unknown axes, values, metrics."""
    problems = [] if statements else ["claim: empty; a ledger needs at least one [[claim]]"]
    for number, stated in enumerate(statements):
        key = f"claim.{number}"
        if stated.id in taken:
            problems.append(f'{key}.id: the id "{stated.id}" is taken')
        taken.add(stated.id)
        for place in ("settings", "candidate", "baseline"):
            for axis, value in getattr(stated, place).items():
                problems += _setting_problems(f"{key}.{place}.{axis}", axis, value)
        if stated.metric:
            try:
                check_metric(stated.metric)
            except UsageError as error:
                problems.append(f"{key}.metric: {error.what}")
    return problems


def _setting_problems(key: str, axis: str, value: Scalar) -> list[str]:
    word = value_word(value)
    try:
        if not any(sign in word for sign in "*?["):
            spelled = str(read_entry(axis, value))
            return [] if spelled == word else [f'{key}: cells spell this "{spelled}", not "{word}"']
        free, names = get_axis(axis).open_value, list_value_names(axis)
    except UsageError as error:
        return [f"{key}: {error.what}"]
    if free or any(name.startswith(re.split(r"[*?[+]", word)[0]) for name in names):
        return []
    return [f'{key}: no {axis} is like "{word}". {did_you_mean(word, names)}']
