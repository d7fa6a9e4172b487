"""A model of the Hugging Face Hub, by its id and a pinned commit."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, NamedTuple

from pydantic import Field

from harness.checkpoints.digest import digest_file
from harness.checkpoints.hub import (
    Repository,
    UnreachableError,
    cache_folder,
    check_free_space,
    fetch_files,
    find_snapshot,
    list_repository,
)
from harness.core.errors import MachineError, UsageError
from harness.core.model import CutTexts, Download, ModelInfo, ModelSource, TextToImage
from harness.models._configurations import configuration_folder, configurations
from harness.models._facts import activations, size_facts
from harness.models._files import WantedFiles, choose_files, list_missing_files, list_read_files, select_files
from harness.models._folder import INDEX, Folder
from harness.models._tokenizers import find_cut
from harness.models._verify import verify_folder
from harness.models.families import find_family

_IN_WHOLE_FILES = ("sd15", "sdxl-base", "sdxl-turbo")
"""Configurations that ship whose models are published with one file of weights per part, and as fp16."""


def _explain_missing(repository: Repository, variant: str, absent_files: Sequence[str], why: str) -> MachineError:
    """Return the error that names every file that is known to be missing, and the command that gets them.

    `absent_files` is empty where nothing is here, so that only famous models' files are known by name.
    """
    everything = not absent_files
    files = absent_files or _published_files(repository.id, variant)
    what = "none of its files are" if everything else f"{len(files)} of its files are not"
    what += f" in the Hugging Face cache ({cache_folder()}), and {why}"
    what += "".join(f"\n  {file}" for file in files)
    if everything and not repository.pinned:
        what += f"\nA folder was meant? None is called {repository.id} here."
    command = f"hf download {repository.id} {' '.join(files) or _patterns(variant)}"
    command += f" --revision {repository.revision}" if repository.revision != "main" else ""
    fix = (
        f"With a network: {command}\nOr copy the cache of a machine that has it here, or name its folder with HF_HOME."
    )
    return MachineError(what, f"model {repository}", fix)


def _published_files(repository_id: str, variant: str) -> list[str]:
    names = [name for name in _IN_WHOLE_FILES if configurations()[name].id == repository_id]
    if not names or variant not in ("", "fp16"):
        return []
    folder = Folder(configuration_folder(names[0]))
    return [INDEX, *list_missing_files(folder.path / "nothing", select_files(folder, variant))]


def _patterns(variant: str) -> str:
    weights = f"*/*.{variant}*safetensors" if variant else "*/*.safetensors"
    included = " ".join(f"--include '{pattern}'" for pattern in ("*.json", "*.txt", "*.model", weights))
    return included if variant else f"{included} --exclude '*.fp16*'"


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
    here = find_snapshot(repository, INDEX)
    if here and repository.pinned and not list_missing_files(here, select_files(Folder(here), variant), sure=True):
        return _whole(here, variant)
    try:
        return _ask(repository, variant)
    except UnreachableError as error:
        absent_files = list_missing_files(here, select_files(Folder(here), variant)) if here else []
        if here and not absent_files:
            return _whole(here, variant)._replace(unasked=str(error))
        raise _explain_missing(repository, variant, absent_files, str(error)) from error


def find_here(repository: Repository) -> Path:
    """Return the folder of a snapshot that is in the cache; MachineError where it is not."""
    here = find_snapshot(repository, INDEX)
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
    wanted = select_files(Folder(folder), variant)
    fetch_files(repository, wanted.configurations, quiet=True)
    return Snapshot(folder, _download(repository.id, folder, listing, wanted))


def _whole(folder: Path, variant: str) -> Snapshot:
    listing = {path.relative_to(folder).as_posix(): path.stat().st_size for path in folder.rglob("*") if path.is_file()}
    return Snapshot(folder, _download(folder.name, folder, listing, select_files(Folder(folder), variant)))


def _download(named: str, folder: Path, listing: Mapping[str, int], wanted: WantedFiles) -> Download:
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


class Hub(ModelSource):
    """Only what the pipeline uses is fetched, once, before the first cell; a token comes from HF_TOKEN alone."""

    summary: ClassVar[str] = "a model of the Hugging Face Hub in diffusers' layout, pinned to a commit"

    id: Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$", description="owner/name")]
    revision: Annotated[str, Field(min_length=1, description="a commit; a branch moves")] = "main"
    variant: Annotated[str, Field(pattern=r"^\w*$", description="such as fp16, where the model has it")] = ""

    def describe(self) -> ModelInfo:
        """Return the facts of the model; asks the Hub where the revision is no commit or files are lacking.

        A few kB of configurations are fetched where they are not in the cache. Raises UsageError for what the Hub
        does not have, and MachineError where it cannot be asked and files are lacking.
        """
        snapshot = look_up(self._repository, self.variant)
        folder = Folder(snapshot.folder)
        known = {
            "title": f"{self.id}@{snapshot.commit[:7]}",
            "digest": hashlib.sha256(f"{self.id}\0{snapshot.commit}\0{self.variant}".encode()).hexdigest(),
            "folder": str(snapshot.folder),
            "pins": {"revision": snapshot.commit},
            "notes": () if self._repository.pinned else (self._unpinned(snapshot),),
            "download": snapshot.download,
        }
        info = find_family(folder).describe(folder)
        return info.model_copy(update=known | (size_facts(folder, info) or self._published_size(folder, info)))

    def verify(self) -> tuple[str, ...]:
        snapshot = look_up(self._repository, self.variant)
        if snapshot.download.missing:
            return ()
        folder = Folder(snapshot.folder)
        wanted = select_files(folder, self.variant)
        refuse_changed(list_read_files(folder, wanted))
        return verify_folder(folder, wanted)

    def find_cut(self, texts: Sequence[str]) -> tuple[CutTexts, ...]:
        snapshot = look_up(self._repository, self.variant)
        return () if snapshot.download.missing else find_cut(Folder(snapshot.folder), texts)

    def fetch(self) -> None:
        download = look_up(self._repository, self.variant).download
        if not download.missing:
            return
        check_free_space(download.missing_bytes, self.id)
        try:
            fetch_files(self._repository, download.missing)
        except UnreachableError as error:
            fix = "The same command goes on from here: files that are whole are kept."
            raise MachineError(f"the download broke off: {error}", f"model {self.id}", fix) from error

    def load(self, device: str, options: dict[str, Any]) -> TextToImage:
        folder = Folder(find_here(self._repository))
        return find_family(folder).load(folder, device, select_files(folder, self.variant).load_options(options))

    @property
    def _repository(self) -> Repository:
        return Repository(self.id, self.revision)

    def _published_size(self, folder: Folder, info: ModelInfo) -> dict[str, dict[str, int]]:
        """What is known of a famous model's size before its weights are here: what does not fit need not be fetched."""
        known = [model.parameters for model in configurations().values() if model.id == self.id]
        return {"parameters": known[0], "activations": activations(folder, info)} if known else {}

    def _unpinned(self, snapshot: Snapshot) -> str:
        asked = f"as last seen, since {snapshot.unasked}" if snapshot.unasked else "today"
        commit = snapshot.commit
        return f'{self.id} is not pinned: "{self.revision}" is {commit[:7]} {asked}; pin it with revision = "{commit}"'
