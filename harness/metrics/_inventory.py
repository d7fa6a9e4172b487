"""Every weight file that metrics need: where it is, whether it was verified, what to do otherwise."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Literal, TypeVar

from harness.core.base import Frozen
from harness.core.errors import MachineError
from harness.metrics._base import Metric
from harness.metrics._download import Advance, download, download_from_hub
from harness.metrics._weight_file import WeightFile, advice, expanded
from harness.metrics._weights import Weights, cache_folder, sha256_of

File = TypeVar("File")
State = Literal["found", "shipped", "wrong", "missing"]


class WeightRow(Frozen):
    """One weight file with the metrics that need it.

    `found` was verified (`check` says how), `shipped` came with an installed package, `wrong` is there but is another
    file, `missing` lies at none of the places `looked` names. `advice` says what to do about the last two.
    """

    metrics: tuple[str, ...]
    key: str
    file: str
    state: State
    path: str = ""
    sha256: str = ""
    check: str = ""
    size_bytes: int | None = None
    looked: tuple[str, ...] = ()
    source: str = ""
    advice: str = ""


def inventory(metrics: Sequence[Metric], weights: Weights) -> tuple[WeightRow, ...]:
    """Return one row per file, files of packages first."""
    shipped = _grouped(metrics, lambda metric: metric.ships())
    needed = _grouped(metrics, lambda metric: metric.needs())
    rows = [_shipped(path, names) for path, names in shipped.items()]
    return tuple(rows + [_row(wanted, names, weights) for wanted, names in needed.items()])


def fetch(metrics: Sequence[Metric], weights: Weights, advance: Advance | None = None) -> tuple[Path, ...]:
    """Download what is missing and return the new files; MachineError if one cannot be had or is not the right one."""
    missing = [wanted for wanted in _grouped(metrics, lambda metric: metric.needs()) if weights.look(wanted) is None]
    return tuple(_fetch(wanted, weights.paths.get(wanted.key), advance or _quietly) for wanted in missing)


def _fetch(wanted: WeightFile, named: str | None, advance: Advance) -> Path:
    form = wanted.public
    if form.url:
        target = expanded(named) if named else cache_folder() / form.file
        download(form, target, advance)
        return target
    if form.only_in_hub and not named:
        return download_from_hub(form)
    raise MachineError(f"{wanted.title} cannot be downloaded", named or wanted.key, advice(wanted))


def _quietly(name: str, here: int, total: int) -> None:
    """Tell nobody."""


def _grouped(metrics: Iterable[Metric], files: Callable[[Metric], tuple[File, ...]]) -> dict[File, tuple[str, ...]]:
    """Return file → names of the metrics that use it."""
    users: dict[File, tuple[str, ...]] = {}
    for metric in metrics:
        for used in files(metric):
            users[used] = (*users.get(used, ()), metric.name)
    return users


def _shipped(path: Path, names: tuple[str, ...]) -> WeightRow:
    digest = sha256_of(path)
    size = path.stat().st_size
    return WeightRow(
        metrics=names, key="", file=path.name, state="shipped", path=str(path), sha256=digest, size_bytes=size
    )


def _row(wanted: WeightFile, names: tuple[str, ...], weights: Weights) -> WeightRow:
    row = WeightRow(
        metrics=names,
        key=wanted.key,
        file=wanted.public.file,
        state="missing",
        looked=weights.looked(wanted),
        source=wanted.public.source,
        advice=advice(wanted),
    )
    try:
        found = weights.look(wanted)
    except MachineError as error:
        return row.model_copy(update={"state": "wrong", "path": error.where, "advice": f"{error.what}. {error.fix}"})
    if found is None:
        return row.model_copy(update={"sha256": wanted.public.sha256})
    here = {"file": found.path.name, "path": str(found.path), "sha256": found.sha256, "size_bytes": found.size_bytes}
    return row.model_copy(update={**here, "state": "found", "check": found.check, "advice": ""})
