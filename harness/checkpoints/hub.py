"""The Hugging Face Hub and its cache: what repositories hold, what of it is here, and downloads."""

import errno
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from harness.core.errors import MachineError, UsageError
from harness.core.model import HubFile, PublishedFile
from harness.core.units import format_bytes

COMMIT = re.compile(r"[0-9a-f]{40}")
_TIMEOUT_S = 15.0
_CANNOT_WRITE = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS)


class Repository(NamedTuple):
    """A model on the Hub: `owner/name`, and the branch, tag or commit that is wanted."""

    id: str
    revision: str

    @property
    def pinned(self) -> bool:
        """Whether the revision is a commit, which never changes."""
        return COMMIT.fullmatch(self.revision) is not None

    def __str__(self) -> str:
        return f"{self.id}@{self.revision}"


class UnreachableError(Exception):
    """The Hub gave no answer; the message says why in a few words."""


def find_snapshot(repository: Repository, file: str) -> Path | None:
    """Return the folder in the cache that holds a repository's `file` at this revision, or None; works offline."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(repository.id, file, revision=repository.revision)
    return Path(found).parent if isinstance(found, str) else None


def list_repository(repository: Repository, check_access: bool = False) -> dict[str, int]:
    """Return the files that the Hub says a repository holds, and the bytes of each.

    Of a gated one everybody may see the list; `check_access` asks whether its files may be read as well.

    Raises UsageError for an id or revision that is not there or may not be read, and UnreachableError.
    """
    from huggingface_hub import HfApi

    with _plain_errors(repository):
        info = HfApi().model_info(repository.id, revision=repository.revision, files_metadata=True, timeout=_TIMEOUT_S)
        if check_access and info.gated:
            HfApi().auth_check(repository.id)
    return {file.rfilename: file.size or 0 for file in info.siblings or ()}


def fetch_files(repository: Repository, files: Sequence[str], quiet: bool = False) -> Path:
    """Bring files into the cache, with huggingface_hub's own progress bars, and return the snapshot's folder.

    Raises UsageError for files that may not be read, UnreachableError, and MachineError where the cache cannot be
    written.
    """
    from huggingface_hub import snapshot_download

    bars = _silent_bars() if quiet else None
    with _plain_errors(repository):
        return Path(
            snapshot_download(repository.id, revision=repository.revision, allow_patterns=list(files), tqdm_class=bars)
        )


def check_free_space(size_bytes: int, named: str) -> None:
    """Raise MachineError where the disk of the cache has less room than a download of `size_bytes` needs."""
    place = next(folder for folder in (cache_folder(), *cache_folder().parents) if folder.is_dir())
    free = shutil.disk_usage(place).free
    if free < size_bytes:
        what = f"{format_bytes(size_bytes)} of {named} do not fit: {format_bytes(free)} are free"
        raise MachineError(what, str(place), "Make room, or set HF_HOME to a folder on another disk.")


def cache_folder() -> Path:
    """Return the folder that holds the cache, or will."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


@contextmanager
def _plain_errors(repository: Repository) -> Iterator[None]:
    from huggingface_hub import errors

    where = f"model {repository.id}"
    network: Any = (*errors.HfHubHTTPError.__bases__, OSError)  # what its HTTP library raises differs by version
    try:
        yield
    except errors.GatedRepoError as error:
        fix = f"Ask for access at {_page(repository)}, then set HF_TOKEN to a token of that account."
        raise UsageError("this model is gated: its files need an account that was given access", where, fix) from error
    except errors.RepositoryNotFoundError as error:
        fix = "Check the id, owner/name; for a private model set HF_TOKEN. For a folder here, begin with ./"
        raise UsageError("the Hugging Face Hub knows no such model, or shows it to others only", where, fix) from error
    except errors.RevisionNotFoundError as error:
        fix = f"See {_page(repository)}/commits/main"
        raise UsageError(f'it has no revision "{repository.revision}"', where, fix) from error
    except errors.HFValidationError as error:
        raise UsageError(f"no id of the Hugging Face Hub: {error}", where, "It is owner/name.") from error
    except errors.HfHubHTTPError as error:
        status = getattr(error.response, "status_code", "")
        if status in (401, 403):
            fix = "Set HF_TOKEN to a token that may read this model."
            raise UsageError(f"the Hugging Face Hub refuses ({status})", where, fix) from error
        raise UnreachableError(f"the Hugging Face Hub answers {status}") from error
    except network as error:
        if getattr(error, "errno", None) in _CANNOT_WRITE:
            fix = "Set HF_HOME to a folder with room that can be written."
            raise MachineError(f"the cache cannot be written: {error}", str(cache_folder()), fix) from error
        raise UnreachableError(_reason(error)) from error


def _reason(error: BaseException) -> str:
    from huggingface_hub.errors import OfflineModeIsEnabled

    first = error.__cause__ or error
    if isinstance(first, OfflineModeIsEnabled):
        return "HF_HUB_OFFLINE is set"
    return f"there is no connection to the Hugging Face Hub ({str(first).splitlines()[0]})"


def _page(repository: Repository) -> str:
    from huggingface_hub import constants

    return f"{constants.ENDPOINT}/{repository.id}"


def _silent_bars() -> type:
    from tqdm.auto import tqdm

    class Silent(tqdm):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **{**options, "disable": True})

    return Silent


_BRANCH = "main"
"""Where the cache is looked into for a lone file."""
_WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".ckpt")
_SHOWN = 4


def ask_hub(wanted: Iterable[HubFile]) -> dict[HubFile, PublishedFile | str]:
    """Return what the Hub has of each file, or in words why it cannot be had.

    A repository is asked about once; where the Hub gives no answer, it is not asked about the others.
    """
    answers: dict[HubFile, PublishedFile | str] = {}
    silent = ""
    for repo, files in groupby(sorted(set(wanted)), key=lambda file: file.repo):
        asked = tuple(files)
        try:
            answers |= {} if silent else _ask(repo, asked)
        except UnreachableError as error:
            silent = str(error)
        answers |= {file: _how_to_get(file, silent) for file in asked if silent}
    return answers


def fetch_published(files: Sequence[PublishedFile]) -> None:
    """Bring files into the cache.

    Raises UsageError for files that may not be read, and MachineError where they do not fit or the download breaks off.
    """
    by_repo = groupby(sorted(files, key=lambda file: file.repo), key=lambda file: file.repo)
    wanted = {repo: tuple(of_repo) for repo, of_repo in by_repo}
    check_free_space(sum(file.size_bytes for file in files), ", ".join(wanted))
    for repo, of_repo in wanted.items():
        names = [file.file for file in of_repo]
        why = "the Hugging Face Hub no longer answers"
        try:
            folder = fetch_files(Repository(repo, _BRANCH), names)
            absent_files = [name for name in names if not (folder / name).is_file()]
        except UnreachableError as error:
            why, absent_files = str(error), names
        if absent_files:  # huggingface_hub is content with an older snapshot where it finds no network
            fix = "The same command goes on from here: files that are whole are kept."
            raise MachineError(
                f"the download of {', '.join(absent_files)} broke off: {why}", f"huggingface.co/{repo}", fix
            )


def is_offline() -> bool:
    """Return whether HF_HUB_OFFLINE is set."""
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE)


def _ask(repo: str, files: Sequence[HubFile]) -> dict[HubFile, PublishedFile | str]:
    try:
        listing = list_repository(Repository(repo, _BRANCH), check_access=True)
    except UsageError as error:
        return dict.fromkeys(files, f"huggingface.co/{repo}: {error.what}. {error.fix}")
    return {file: _published(file, listing) for file in files}


def _published(file: HubFile, listing: Mapping[str, int]) -> PublishedFile | str:
    found = next((name for name in file.names if name in listing), None)
    if found is not None:
        return PublishedFile(repo=file.repo, file=found, size_bytes=listing[found])
    others = [name for name in listing if name.endswith(_WEIGHTS)]
    more = ", …" if len(others) > _SHOWN else ""
    has = f"it has {', '.join(others[:_SHOWN])}{more}" if others else "it holds no weights"
    return f"huggingface.co/{file.repo} has no {' or '.join(file.names)}; {has}: name one with weights and weight_name"


def _how_to_get(file: HubFile, why: str) -> str:
    command = f"hf download {file.repo} {file.names[0]}"
    return f"{file} is not in the Hugging Face cache, and {why}: get it with `{command}`, or name a file with weights"
