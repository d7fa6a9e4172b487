"""A model of the Hugging Face Hub, by its id and a pinned commit."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, NamedTuple

from pydantic import Field

from harness.checkpoints import hub
from harness.checkpoints.digest import digest_file
from harness.checkpoints.hub import Repository, UnreachableError
from harness.core.errors import MachineError, UsageError
from harness.core.model import CutTexts, Download, ModelInfo, ModelSource, TextToImage
from harness.core.recipe import FamilyLines, ModelLines, NoRecipe
from harness.models._configurations import find_configuration, read_configurations
from harness.models._facts import count_activations, describe_size
from harness.models._files import (
    WantedFiles,
    choose_files,
    list_missing_files,
    list_read_files,
    select_files,
)
from harness.models._folder import INDEX, Folder
from harness.models._recipe import write_folder_lines
from harness.models._tokenizers import find_cut
from harness.models._verify import verify_folder
from harness.models.families import find_family

_UNSHARDED = ("sd15", "sdxl-base", "sdxl-turbo")
"""Shipped configurations whose models have one weight file per component, and fp16."""
_SHA256 = re.compile(r"[0-9a-f]{64}")


class Hub(ModelSource):
    """Only the pipeline's files are downloaded, before the first cell; token: HF_TOKEN."""

    summary: ClassVar[str] = (
        "a model of the Hugging Face Hub in diffusers' layout, pinned to a commit"
    )

    id: Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$", description="owner/name")]
    revision: Annotated[str, Field(min_length=1, description="a commit; a branch moves")] = "main"
    variant: Annotated[
        str, Field(pattern=r"^\w*$", description="such as fp16, where the model has it")
    ] = ""

    def describe(self) -> ModelInfo:
        """Return the facts of the model.

        Asks the Hub if the revision is a branch or files are missing, and downloads a few kB of
        configurations. Raises UsageError if the Hub does not have the model, and MachineError if
        files are missing and the Hub does not answer.
        """
        snapshot = self._look_up()
        folder, commit = Folder(snapshot.folder), snapshot.commit
        known = {
            "title": f"{self.id}@{commit[:7]}",
            "digest": hashlib.sha256(f"{self.id}\0{commit}\0{self.variant}".encode()).hexdigest(),
            "folder": str(snapshot.folder),
            "pins": {"revision": commit},
            "notes": () if self._repository.pinned else (self._unpinned(snapshot),),
            "download": snapshot.download,
        }
        info = find_family(folder).describe(folder)
        size = describe_size(folder, info) or self._published_size(folder, info)
        return info.model_copy(update=known | size)

    def verify(self) -> tuple[str, ...]:
        snapshot = self._look_up()
        if snapshot.download.missing:
            return ()
        folder = Folder(snapshot.folder)
        wanted = select_files(folder, self.variant)
        _refuse_changed(list_read_files(folder, wanted))
        return verify_folder(folder, wanted)

    def list_files(self) -> dict[str, Path]:
        snapshot = self._look_up()
        folder = Folder(snapshot.folder)
        if snapshot.download.missing:
            return {}
        return list_read_files(folder, select_files(folder, self.variant))

    def find_cut(self, texts: Sequence[str]) -> tuple[CutTexts, ...]:
        snapshot = self._look_up()
        return () if snapshot.download.missing else find_cut(Folder(snapshot.folder), texts)

    def fetch(self) -> None:
        download = self._look_up().download
        if not download.missing:
            return
        hub.check_free_space(download.missing_bytes, self.id)
        try:
            hub.fetch_files(self._repository, download.missing)
        except UnreachableError as error:
            what = f"the download broke off: {error}"
            raise MachineError(what, f"model {self.id}", hub.RESUME) from error

    def load(self, device: str, options: dict[str, Any]) -> TextToImage:
        cached = hub.find_snapshot(self._repository, INDEX)
        if cached is None:
            what = "it is no longer in the Hugging Face cache"
            raise MachineError(what, f"model {self._repository}", "Run again to download it.")
        folder = Folder(cached)
        options = select_files(folder, self.variant).load_options(options)
        return find_family(folder).load(folder, device, options)

    def recipe(self) -> tuple[FamilyLines, ModelLines] | NoRecipe:
        snapshot = self._look_up()
        lines = write_folder_lines(Folder(snapshot.folder), self.id, self.variant)
        if isinstance(lines, NoRecipe):
            return lines
        family, model = lines
        pinned = {**model.arguments, "revision": repr(snapshot.commit)}
        return family, model.model_copy(update={"arguments": pinned})

    @property
    def _repository(self) -> Repository:
        return Repository(self.id, self.revision)

    def _look_up(self) -> "_Snapshot":
        return _look_up(self._repository, self.variant)

    def _published_size(self, folder: Folder, info: ModelInfo) -> dict[str, dict[str, int]]:
        """Return a shipped size: a model that does not fit is not downloaded."""
        known = [
            model.parameters for model in read_configurations().values() if model.id == self.id
        ]
        if not known:
            return {}
        return {"parameters": known[0], "activations": count_activations(folder, info)}

    def _unpinned(self, snapshot: "_Snapshot") -> str:
        asked = f"as last seen, since {snapshot.unasked}" if snapshot.unasked else "today"
        branch, commit = self.revision, snapshot.commit
        pin = f'pin it with revision = "{commit}"'
        return f'{self.id} is not pinned: "{branch}" is {commit[:7]} {asked}; {pin}'


class _Snapshot(NamedTuple):
    """A repository at one commit: the cached folder, and what is still to download."""

    folder: Path
    download: Download
    unasked: str = ""
    """Why the branch could not be resolved now; empty if it was, or the revision is a commit."""

    @property
    def commit(self) -> str:
        return self.folder.name


def _look_up(repository: Repository, variant: str) -> _Snapshot:
    """Return a repository's snapshot; asks the Hub only for a branch, or if files are missing."""
    cached = hub.find_snapshot(repository, INDEX)
    if cached and repository.pinned:
        wanted = select_files(Folder(cached), variant)
        if not list_missing_files(cached, wanted, sure=True):
            return _read_cached(cached, wanted)
    try:
        return _ask(repository, variant)
    except UnreachableError as error:
        if cached is None:
            raise _explain_missing(repository, variant, [], str(error)) from error
        wanted = select_files(Folder(cached), variant)
        missing = list_missing_files(cached, wanted)
        if missing:
            raise _explain_missing(repository, variant, missing, str(error)) from error
        return _read_cached(cached, wanted)._replace(unasked=str(error))


def _ask(repository: Repository, variant: str) -> _Snapshot:
    listing = hub.list_repository(repository)
    if INDEX not in listing:
        what = f"it has no {INDEX}: it is not in diffusers' layout"
        fix = 'Download a single .safetensors file of it and name that: model = "x.safetensors"'
        raise UsageError(what, f"model {repository.id}", fix)
    folder = hub.fetch_files(repository, [INDEX], quiet=True)
    wanted = select_files(Folder(folder), variant)
    hub.fetch_files(repository, wanted.configurations, quiet=True)
    return _Snapshot(folder, _download(repository.id, folder, listing, wanted))


def _read_cached(folder: Path, wanted: WantedFiles) -> _Snapshot:
    files = (path for path in folder.rglob("*") if path.is_file())
    listing = {path.relative_to(folder).as_posix(): path.stat().st_size for path in files}
    return _Snapshot(folder, _download(folder.name, folder, listing, wanted))


def _download(
    named: str, folder: Path, listing: Mapping[str, int], wanted: WantedFiles
) -> Download:
    try:
        files = choose_files(listing, wanted)
    except UsageError as error:
        raise UsageError(error.what, f"model {named}", error.fix) from error
    missing = tuple(file for file in files if not (folder / file).is_file())
    size_bytes, missing_bytes = (sum(listing[file] for file in some) for some in (files, missing))
    return Download(
        files=len(files), size_bytes=size_bytes, missing=missing, missing_bytes=missing_bytes
    )


def _refuse_changed(files: Mapping[str, Path]) -> None:
    """Raise MachineError for a cached file that differs from the published one.

    The cache names large files by their sha256.
    """
    for name, path in files.items():
        blob = path.resolve()
        if _SHA256.fullmatch(blob.name) and digest_file(blob) != blob.name:
            what = f"{name} was changed or damaged in the Hugging Face cache: its sha256 differs"
            raise MachineError(what, str(path), f"Remove {blob} and run again to download it.")


def _explain_missing(
    repository: Repository, variant: str, missing: Sequence[str], why: str
) -> MachineError:
    """Return the error that lists the missing files and the command that downloads them.

    `missing` is empty if nothing is cached: then files of shipped configurations are listed.
    """
    files = missing or _list_published(repository.id, variant)
    what = f"{len(files)} of its files are not" if missing else "none of its files are"
    what += f" in the Hugging Face cache ({hub.cache_folder()}), and {why}"
    what += "".join(f"\n  {file}" for file in files)
    if not missing and not repository.pinned:
        what += f"\nIf you mean a folder: there is none named {repository.id} here."
    command = f"hf download {repository.id} {' '.join(files) or _patterns(variant)}"
    command += f" --revision {repository.revision}" if repository.revision != "main" else ""
    copy = "Or copy the cache of a machine that has it, or set HF_HOME to a folder that has it."
    return MachineError(what, f"model {repository}", f"With a network: {command}\n{copy}")


def _list_published(repository_id: str, variant: str) -> list[str]:
    names = [name for name in _UNSHARDED if read_configurations()[name].id == repository_id]
    if not names or variant not in ("", "fp16"):
        return []
    folder = Folder(find_configuration(names[0]))
    return [INDEX, *list_missing_files(folder.path / "nothing", select_files(folder, variant))]


def _patterns(variant: str) -> str:
    weights = f"*/*.{variant}*safetensors" if variant else "*/*.safetensors"
    patterns = ("*.json", "*.txt", "*.model", weights)
    included = " ".join(f"--include '{pattern}'" for pattern in patterns)
    return included if variant else f"{included} --exclude '*.fp16*'"
