"""What a hub's model is made of, and how much of it is in the cache."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from harness.checkpoints.digest import digest_file
from harness.core.errors import MachineError, UsageError
from harness.core.model import Download
from harness.models._folder import INDEX, Folder
from harness.models._hub import Repository, UnreachableError, fetch_files, find_snapshot, list_repository
from harness.models._layout import Wanted, choose_files, lacking_files, wanted_of
from harness.models._offline import missing_files

_SHA256 = re.compile(r"[0-9a-f]{64}")


class Snapshot(NamedTuple):
    """A repository at one commit: the folder with its configurations and whatever else is here."""

    folder: Path
    download: Download
    unasked: str = ""
    """Why the Hub could not be asked where the branch is now; empty if it was asked, or need not be."""

    @property
    def commit(self) -> str:
        return self.folder.name


def look_up(repository: Repository, variant: str) -> Snapshot:
    """Return a repository's snapshot; the Hub is asked only if the revision is no commit, or files are lacking.

    Raises UsageError for what the Hub does not have, and MachineError, with the missing files, where it cannot be
    asked.
    """
    here = find_snapshot(repository)
    if here and repository.pinned and not lacking_files(here, wanted_of(Folder(here), variant), sure=True):
        return _whole(here, variant)
    try:
        return _ask(repository, variant)
    except UnreachableError as error:
        lacking = lacking_files(here, wanted_of(Folder(here), variant)) if here else []
        if here and not lacking:
            return _whole(here, variant)._replace(unasked=str(error))
        raise missing_files(repository, variant, lacking, str(error)) from error


def find_here(repository: Repository) -> Path:
    """Return the folder of a snapshot that is in the cache; MachineError where it is not."""
    here = find_snapshot(repository)
    if here is None:
        raise MachineError("it is no longer in the Hugging Face cache", f"model {repository}", "Run again to fetch it.")
    return here


def refuse_changed(files: Mapping[str, Path]) -> None:
    """Raise MachineError for a file of the cache that is not what the Hub published.

    Of large files the cache's own name is the sha256, which the digest of the model, its commit, stands for.
    """
    for name, path in files.items():
        blob = path.resolve()
        if _SHA256.fullmatch(blob.name) and digest_file(blob) != blob.name:
            what = (
                f"{name} was changed or damaged in the Hugging Face cache: its sha256 is not that of the published file"
            )
            raise MachineError(what, str(path), f"Remove {blob} and run again to fetch it.")


def _ask(repository: Repository, variant: str) -> Snapshot:
    listing = list_repository(repository)
    if INDEX not in listing:
        fix = 'A lone .safetensors file of it can be downloaded and named: model = "x.safetensors"'
        raise UsageError(f"it has no {INDEX}: it is not in diffusers' layout", f"model {repository.id}", fix)
    folder = fetch_files(repository, [INDEX], quiet=True)
    wanted = wanted_of(Folder(folder), variant)
    fetch_files(repository, wanted.configurations, quiet=True)
    return Snapshot(folder, _download(repository.id, folder, listing, wanted))


def _whole(folder: Path, variant: str) -> Snapshot:
    listing = {path.relative_to(folder).as_posix(): path.stat().st_size for path in folder.rglob("*") if path.is_file()}
    return Snapshot(folder, _download(folder.name, folder, listing, wanted_of(Folder(folder), variant)))


def _download(named: str, folder: Path, listing: Mapping[str, int], wanted: Wanted) -> Download:
    try:
        files = choose_files(listing, wanted)
    except UsageError as error:
        raise UsageError(error.what, f"model {named}", error.fix) from error
    missing = tuple(file for file in files if not (folder / file).is_file())
    return Download(
        files=len(files),
        size_bytes=sum(listing[file] for file in files),
        missing=missing,
        missing_bytes=sum(listing[file] for file in missing),
    )
