"""The weight files of metrics: their state on this machine, and downloading the missing ones.

A file is downloaded next to its target, resumed if possible, verified by sha256, then renamed.
No installed package does all of it through a public function: torch.hub cannot resume, and the
Hugging Face Hub's client resumes for its own hosts only. Interrupted downloads leave
`NAME.partial`, from which the next attempt continues.
"""

import errno
import http.client
import os
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

from harness.checkpoints.digest import digest_file
from harness.checkpoints.hub import UnreachableError, fetch_files
from harness.core.base import Frozen
from harness.core.errors import MachineError, UsageError
from harness.core.parsing import expand_user
from harness.metrics._base import Metric
from harness.metrics._weights import (
    Form,
    WeightFile,
    Weights,
    find_cache_folder,
    suggest_source,
)

Advance = Callable[[str, int, int], None]
"""Receives the file's name, the bytes downloaded, and all of them (0: unknown)."""
_CHUNK = 2**20
_TIMEOUT_S = 30.0
_NOTHING_LEFT = 416


def download(form: Form, target: Path, advance: Advance) -> None:
    """Download a file to `target`, unless it is there already.

    Raises MachineError without network, with a full disk, if the transfer breaks, or if the file is
    not the expected one (it is removed).
    """
    partial = target.with_name(f"{target.name}.partial")
    folder = str(target.parent)
    try:
        _download_locked(form, target, partial, advance)
    except urllib.error.HTTPError as error:
        raise _failed(form, target, f"the server answers {error.code} {error.reason}") from error
    except (
        urllib.error.URLError,
        http.client.HTTPException,
        ConnectionError,
        TimeoutError,
    ) as error:
        kept = " The partial download is kept: the same command resumes it."
        reason = f"no connection ({getattr(error, 'reason', None) or error})."
        raise _failed(form, target, reason + kept * partial.exists()) from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            partial.unlink(missing_ok=True)
            fix = "Free disk space, or set TORCH_HOME to a folder on another disk."
            raise MachineError(
                f"the disk is full: {form.file} does not fit", folder, fix
            ) from error
        fix = "Set TORCH_HOME to a folder that can be written."
        raise MachineError(f"cannot write {form.file}: {error.strerror}", folder, fix) from error


def _download_locked(form: Form, target: Path, partial: Path, advance: Advance) -> None:
    """Download a file, one process at a time."""
    from filelock import FileLock

    lock = target.with_name(f"{target.name}.lock")
    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(lock):
        try:
            if not (target.is_file() and _right(target, form)):  # another process was faster
                _resume(form, partial, advance)
                _accept(form, partial, target)
        finally:
            lock.unlink(missing_ok=True)


def download_from_hub(form: Form) -> Path:
    """Download a file into the Hugging Face cache and return it; MachineError if that fails."""
    try:
        path = fetch_files(form.repository, [form.file]) / form.file
        if not path.is_file():  # without a network, huggingface_hub returns an older snapshot
            raise UnreachableError("the Hugging Face Hub no longer answers")
        return path
    except (UnreachableError, UsageError) as error:
        command = f"hf download {form.hub} {form.file}"
        fix = f"Or, on another machine: {command}, and bring its cache here (HF_HOME)."
        raise MachineError(f"cannot download {form.title}: {error}", form.source, fix) from error


def _resume(form: Form, partial: Path, advance: Advance) -> None:
    resumed = partial.exists() and partial.stat().st_size > 0
    _continue(form, partial, advance)
    if resumed and not _right(
        partial, form
    ):  # what was left behind belongs to another file: once more
        partial.unlink()
        _continue(form, partial, advance)


def _continue(form: Form, partial: Path, advance: Advance) -> None:
    """Continue `partial` until it is complete."""
    here = partial.stat().st_size if partial.exists() else 0
    request = urllib.request.Request(form.url, headers={"User-Agent": "diffusion-harness"})
    if here:
        request.add_header("Range", f"bytes={here}-")
    try:
        answer = urllib.request.urlopen(request, timeout=_TIMEOUT_S)
    except urllib.error.HTTPError as error:
        if error.code == _NOTHING_LEFT and here:
            return
        raise
    with answer:
        goes_on = answer.status == http.HTTPStatus.PARTIAL_CONTENT
        here = here if goes_on else 0
        _copy(answer, partial, (form.file, here), advance)


def _copy(answer: Any, partial: Path, begin: tuple[str, int], advance: Advance) -> None:
    name, here = begin
    left = int(answer.headers.get("Content-Length") or 0)
    total = here + left if left else 0
    if left > shutil.disk_usage(partial.parent).free:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with partial.open("ab" if here else "wb") as file:
        advance(name, here, total)
        while chunk := answer.read(_CHUNK):
            file.write(chunk)
            here += len(chunk)
            advance(name, here, total)
    if here < total:
        raise http.client.IncompleteRead(b"", total - here)


def _accept(form: Form, partial: Path, target: Path) -> None:
    if _right(partial, form):
        partial.replace(target)
        return
    found = digest_file(partial)
    partial.unlink()
    what = (
        f"the download is not {form.file}: its sha256 is {found}, expected {form.sha256}; it was "
        "removed"
    )
    raise MachineError(
        what, form.url, "Try again, or another network: a proxy may have answered with a page."
    )


def _right(path: Path, form: Form) -> bool:
    return bool(form.sha256) and digest_file(path).startswith(form.sha256)


def _failed(form: Form, target: Path, why: str) -> MachineError:
    fix = f"Or fetch {form.url} on another machine and put it into {target.parent}."
    return MachineError(f"cannot download {form.file}: {why}", form.url, fix)


File = TypeVar("File")
State = Literal["found", "shipped", "wrong", "missing"]


class WeightRow(Frozen):
    """One weight file with the metrics that need it.

    `found` was verified (`check` says how), `shipped` is part of an installed package, `wrong`
    exists but is another file, `missing` is in none of the places in `searched`. `advice` says what
    to do about the last two.
    """

    metrics: tuple[str, ...]
    key: str
    file: str
    state: State
    path: str = ""
    sha256: str = ""
    check: str = ""
    size_bytes: int | None = None
    searched: tuple[str, ...] = ()
    source: str = ""
    advice: str = ""


def list_weight_files(metrics: Sequence[Metric], weights: Weights) -> tuple[WeightRow, ...]:
    """Return one row per file, files of packages first."""
    shipped = _grouped(metrics, lambda metric: metric.ships())
    needed = _grouped(metrics, lambda metric: metric.needs())
    rows = [_shipped(path, names) for path, names in shipped.items()]
    return tuple(rows + [_row(wanted, names, weights) for wanted, names in needed.items()])


def fetch(
    metrics: Sequence[Metric], weights: Weights, advance: Advance | None = None
) -> tuple[Path, ...]:
    """Download missing files and return them.

    Raises MachineError if a file cannot be downloaded or is not the expected one.
    """
    missing = [
        wanted
        for wanted in _grouped(metrics, lambda metric: metric.needs())
        if weights.locate(wanted) is None
    ]
    return tuple(
        _fetch(wanted, weights.paths.get(wanted.key), advance or _quietly) for wanted in missing
    )


def _fetch(wanted: WeightFile, named: str | None, advance: Advance) -> Path:
    form = wanted.public
    if form.url:
        target = expand_user(named) if named else find_cache_folder() / form.file
        download(form, target, advance)
        return target
    if form.only_in_hub and not named:
        return download_from_hub(form)
    raise MachineError(
        f"{wanted.title} cannot be downloaded", named or wanted.key, suggest_source(wanted)
    )


def _quietly(name: str, here: int, total: int) -> None:
    """Discard progress."""


def _grouped(
    metrics: Iterable[Metric], files: Callable[[Metric], tuple[File, ...]]
) -> dict[File, tuple[str, ...]]:
    """Return file → names of the metrics that use it."""
    users: dict[File, tuple[str, ...]] = {}
    for metric in metrics:
        for used in files(metric):
            users[used] = (*users.get(used, ()), metric.name)
    return users


def _shipped(path: Path, names: tuple[str, ...]) -> WeightRow:
    digest = digest_file(path)
    size = path.stat().st_size
    return WeightRow(
        metrics=names,
        key="",
        file=path.name,
        state="shipped",
        path=str(path),
        sha256=digest,
        size_bytes=size,
    )


def _row(wanted: WeightFile, names: tuple[str, ...], weights: Weights) -> WeightRow:
    row = WeightRow(
        metrics=names,
        key=wanted.key,
        file=wanted.public.file,
        state="missing",
        searched=weights.searched(wanted),
        source=wanted.public.source,
        advice=suggest_source(wanted),
    )
    try:
        found = weights.locate(wanted)
    except MachineError as error:
        return row.model_copy(
            update={"state": "wrong", "path": error.where, "advice": f"{error.what}. {error.fix}"}
        )
    if found is None:
        return row.model_copy(update={"sha256": wanted.public.sha256})
    here = {
        "file": found.path.name,
        "path": str(found.path),
        "sha256": found.sha256,
        "size_bytes": found.size_bytes,
    }
    return row.model_copy(update={**here, "state": "found", "check": found.check, "advice": ""})
