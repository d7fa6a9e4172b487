"""The Hugging Face Hub and its cache: list repositories, find cached files, download the rest.

All through huggingface_hub, which takes its address, cache, token and whether it may use the
network from HF_ENDPOINT, HF_HOME, HF_TOKEN and HF_HUB_OFFLINE. It resumes a file after a broken
connection, keeps complete files, and starts a file again that a killed process left unfinished.
"""

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

_COMMIT = re.compile(r"[0-9a-f]{40}")
_TIMEOUT_S = 15.0
_WRITE_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS)
DEFAULT_BRANCH = "main"
"""The revision under which the cache is searched for a single file."""
_WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".ckpt")
_SHOWN = 4
RESUME = "Run the same command again to resume: complete files are kept."


class Repository(NamedTuple):
    """A model on the Hub: `owner/name`, and a branch, tag or commit."""

    id: str
    revision: str

    @property
    def pinned(self) -> bool:
        """Whether the revision is a commit, which never changes."""
        return _COMMIT.fullmatch(self.revision) is not None

    def __str__(self) -> str:
        return f"{self.id}@{self.revision}"


class UnreachableError(Exception):
    """The Hub did not answer; the message is a short reason."""


def find_snapshot(repository: Repository, file: str) -> Path | None:
    """Return the cached snapshot folder that contains `file`, or None; uses no network."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(repository.id, file, revision=repository.revision)
    return Path(found).parent if isinstance(found, str) else None


def list_repository(repository: Repository, check_access: bool = False) -> dict[str, int]:
    """Return the files of a repository and their sizes in bytes.

    Anybody may list a gated repository; `check_access` also tests whether its files may be read.
    Raises UsageError for an unknown or forbidden id or revision, and UnreachableError.
    """
    from huggingface_hub import HfApi

    with _plain_errors(repository):
        info = HfApi().model_info(
            repository.id, revision=repository.revision, files_metadata=True, timeout=_TIMEOUT_S
        )
        if check_access and info.gated:
            HfApi().auth_check(repository.id)
    return {file.rfilename: file.size or 0 for file in info.siblings or ()}


def fetch_files(repository: Repository, files: Sequence[str], quiet: bool = False) -> Path:
    """Download files into the cache, with progress bars unless `quiet`; return the snapshot folder.

    Raises UsageError for forbidden files, UnreachableError, and MachineError if the cache cannot be
    written.
    """
    from huggingface_hub import snapshot_download

    options: dict[str, Any] = {"tqdm_class": _silent_bars()} if quiet else {}
    with _plain_errors(repository):
        return Path(
            snapshot_download(
                repository.id, revision=repository.revision, allow_patterns=list(files), **options
            )
        )


def check_free_space(size_bytes: int, named: str) -> None:
    """Raise MachineError if a download of `size_bytes` does not fit on the disk of the cache."""
    folders = (cache_folder(), *cache_folder().parents)
    place = next(folder for folder in folders if folder.is_dir())
    free = shutil.disk_usage(place).free
    if free < size_bytes:
        what = f"{format_bytes(size_bytes)} of {named} do not fit: {format_bytes(free)} are free"
        fix = "Free some space, or set HF_HOME to a folder on another disk."
        raise MachineError(what, str(place), fix)


def cache_folder() -> Path:
    """Return the folder of the cache, which may not exist yet."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def is_offline() -> bool:
    """Return whether HF_HUB_OFFLINE is set."""
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE)


def ask_hub(wanted: Iterable[HubFile]) -> dict[HubFile, PublishedFile | str]:
    """Return what the Hub has of each file, or the reason why it cannot be fetched.

    Each repository is listed once; after one unanswered request the Hub is not asked again.
    """
    answers: dict[HubFile, PublishedFile | str] = {}
    unreachable = ""
    for repo, files in groupby(sorted(set(wanted)), key=lambda file: file.repo):
        asked = tuple(files)
        try:
            answers |= {} if unreachable else _ask(repo, asked)
        except UnreachableError as error:
            unreachable = str(error)
        answers |= {file: _how_to_get(file, unreachable) for file in asked if unreachable}
    return answers


def fetch_published(files: Sequence[PublishedFile]) -> None:
    """Download files into the cache.

    Raises UsageError for forbidden files, and MachineError if they do not fit or a download breaks
    off.
    """
    by_repo = groupby(sorted(files, key=lambda file: file.repo), key=lambda file: file.repo)
    wanted = {repo: [file.file for file in of_repo] for repo, of_repo in by_repo}
    check_free_space(sum(file.size_bytes for file in files), ", ".join(wanted))
    for repo, names in wanted.items():
        why = "the Hugging Face Hub no longer answers"
        try:
            folder = fetch_files(Repository(repo, DEFAULT_BRANCH), names)
            # Without a network, huggingface_hub returns an older snapshot instead of an error.
            missing = [name for name in names if not (folder / name).is_file()]
        except UnreachableError as error:
            why, missing = str(error), names
        if missing:
            what = f"the download of {', '.join(missing)} broke off: {why}"
            raise MachineError(what, f"huggingface.co/{repo}", RESUME)


def _ask(repo: str, files: Sequence[HubFile]) -> dict[HubFile, PublishedFile | str]:
    try:
        listing = list_repository(Repository(repo, DEFAULT_BRANCH), check_access=True)
    except UsageError as error:
        return dict.fromkeys(files, f"huggingface.co/{repo}: {error.what}. {error.fix}")
    return {file: _published(file, listing) for file in files}


def _published(file: HubFile, listing: Mapping[str, int]) -> PublishedFile | str:
    found = next((name for name in file.names if name in listing), None)
    if found is not None:
        return PublishedFile(repo=file.repo, file=found, size_bytes=listing[found])
    others = [name for name in listing if name.endswith(_WEIGHTS)]
    more = ", …" if len(others) > _SHOWN else ""
    has = f"it has {', '.join(others[:_SHOWN])}{more}" if others else "it has no weights"
    names = " or ".join(file.names)
    return f"huggingface.co/{file.repo} has no {names}; {has}: set weights and weight_name"


def _how_to_get(file: HubFile, why: str) -> str:
    command = f"hf download {file.repo} {file.names[0]}"
    return (
        f"{file} is not in the Hugging Face cache, and {why}: get it with `{command}`, or name a"
        " file with weights"
    )


@contextmanager
def _plain_errors(repository: Repository) -> Iterator[None]:
    """Raise UsageError, MachineError or UnreachableError instead of huggingface_hub's errors."""
    from huggingface_hub import errors

    # What its HTTP library raises differs by version.
    network: Any = (*errors.HfHubHTTPError.__bases__, OSError)
    try:
        yield
    except errors.HFValidationError as error:
        what = f"not a valid id of the Hugging Face Hub: {error}"
        raise UsageError(what, f"model {repository.id}", "An id is owner/name.") from error
    except errors.HfHubHTTPError as error:
        what, fix = _explain_refusal(error, repository)
        if fix:
            raise UsageError(what, f"model {repository.id}", fix) from error
        raise UnreachableError(what) from error
    except network as error:
        if getattr(error, "errno", None) in _WRITE_ERRORS:
            what = f"the cache cannot be written: {error}"
            fix = "Set HF_HOME to a writable folder with enough free space."
            raise MachineError(what, str(cache_folder()), fix) from error
        first = error.__cause__ or error
        if isinstance(first, errors.OfflineModeIsEnabled):
            raise UnreachableError("HF_HUB_OFFLINE is set") from error
        reason = str(first).splitlines()[0]
        what = f"there is no connection to the Hugging Face Hub ({reason})"
        raise UnreachableError(what) from error


def _explain_refusal(error: Any, repository: Repository) -> tuple[str, str]:
    """Return what an HTTP error means and what to do; the latter is empty if the Hub has failed."""
    from huggingface_hub import constants, errors

    page = f"{constants.ENDPOINT}/{repository.id}"
    status = getattr(error.response, "status_code", "")
    if isinstance(error, errors.GatedRepoError):
        fix = f"Request access at {page}, then set HF_TOKEN to a token of that account."
        return "this model is gated: its files need an account with access", fix
    if isinstance(error, errors.RepositoryNotFoundError):
        fix = (
            "Check the id, owner/name; for a private model set HF_TOKEN."
            " A local folder must begin with ./"
        )
        return "the model does not exist on the Hugging Face Hub, or is private", fix
    if isinstance(error, errors.RevisionNotFoundError):
        return f'it has no revision "{repository.revision}"', f"See {page}/commits/main"
    if status in (401, 403):
        what = f"the Hugging Face Hub denies access ({status})"
        return what, "Set HF_TOKEN to a token that may read this model."
    return f"the Hugging Face Hub answers {status}", ""


def _silent_bars() -> type:
    from tqdm.auto import tqdm

    class Silent(tqdm):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **{**options, "disable": True})

    return Silent
