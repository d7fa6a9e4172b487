"""Fetch one file: beside its target, resumed where the server can, verified by sha256, then renamed.

No package that is installed anyway does all of it through a public function: torch.hub cannot resume, the Hugging Face
Hub's client resumes for its own hosts. Interrupted downloads leave `NAME.partial`, which the next try goes on from.
"""

import errno
import http.client
import os
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.core.errors import MachineError
from harness.metrics._weight_file import Form
from harness.metrics._weights import sha256_of

Advance = Callable[[str, int, int], None]
"""Told of the file's name, the bytes that are here, and all of them (0: unknown)."""
_CHUNK = 2**20
_TIMEOUT_S = 30.0
_NOTHING_LEFT = 416


def download(form: Form, target: Path, advance: Advance) -> None:
    """Fetch a file to `target`, unless it is there already.

    Raises MachineError without network, with a full disk, if the transfer breaks, or if the file is not the one
    (it is removed).
    """
    from filelock import FileLock

    partial, lock = (target.with_name(f"{target.name}.{end}") for end in ("partial", "lock"))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(lock):
            try:
                if not (target.is_file() and _right(target, form)):  # another process was faster
                    _resume(form, partial, advance)
                    _accept(form, partial, target)
            finally:
                lock.unlink(missing_ok=True)
    except urllib.error.HTTPError as error:
        raise _failed(form, target, f"the server answers {error.code} {error.reason}") from error
    except (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError) as error:
        kept = " What came is kept: the same command goes on from there." if partial.exists() else ""
        raise _failed(form, target, f"no connection ({getattr(error, 'reason', None) or error}).{kept}") from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            partial.unlink(missing_ok=True)
            fix = "Make room, or set TORCH_HOME to a folder on another disk."
            raise MachineError(f"the disk is full: {form.file} does not fit", str(target.parent), fix) from error
        fix = "Set TORCH_HOME to a folder that can be written."
        raise MachineError(f"cannot write {form.file}: {error.strerror}", str(target.parent), fix) from error


def download_from_hub(form: Form) -> Path:
    """Fetch a file into the Hugging Face cache, where it is looked for, and return it; MachineError if it cannot be."""
    from huggingface_hub import errors, hf_hub_download

    network: Any = (*errors.HfHubHTTPError.__bases__, OSError)  # what its HTTP library raises differs by version
    try:
        return Path(hf_hub_download(form.hub, form.file))
    except network as error:
        fix = f"Or, on another machine: hf download {form.hub} {form.file}, and bring its cache here (HF_HOME)."
        raise MachineError(f"cannot download {form.title}: {error}", form.source, fix) from error


def _resume(form: Form, partial: Path, advance: Advance) -> None:
    resumed = partial.exists() and partial.stat().st_size > 0
    _fetch(form, partial, advance)
    if resumed and not _right(partial, form):  # what was left behind belongs to another file: once more
        partial.unlink()
        _fetch(form, partial, advance)


def _fetch(form: Form, partial: Path, advance: Advance) -> None:
    """Go on with `partial` until it is whole."""
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
    found = sha256_of(partial)
    partial.unlink()
    what = f"what came is not {form.file}: its sha256 is {found}, expected {form.sha256}; it was removed"
    raise MachineError(what, form.url, "Try again, or another network: a proxy may have answered with a page.")


def _right(path: Path, form: Form) -> bool:
    return bool(form.sha256) and sha256_of(path).startswith(form.sha256)


def _failed(form: Form, target: Path, why: str) -> MachineError:
    fix = f"Or fetch {form.url} on another machine and put it into {target.parent}."
    return MachineError(f"cannot download {form.file}: {why}", form.url, fix)
