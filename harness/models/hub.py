"""A model of the Hugging Face Hub, by its id and a pinned commit."""

import hashlib
from typing import Annotated, Any, ClassVar

from pydantic import Field

from harness.core.errors import MachineError
from harness.core.model import ModelInfo, ModelSource, TextToImage
from harness.models._configurations import configurations
from harness.models._folder import Folder
from harness.models._hub import Repository, UnreachableError, check_room, fetch_files
from harness.models._size import activations, size_facts
from harness.models._snapshot import Snapshot, find_here, look_up
from harness.models.families import find_family


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

    def fetch(self) -> None:
        download = look_up(self._repository, self.variant).download
        if not download.missing:
            return
        check_room(download.missing_bytes, self.id)
        try:
            fetch_files(self._repository, download.missing)
        except UnreachableError as error:
            fix = "The same command goes on from here: files that are whole are kept."
            raise MachineError(f"the download broke off: {error}", f"model {self.id}", fix) from error

    def load(self, device: str, options: dict[str, Any]) -> TextToImage:
        folder = Folder(find_here(self._repository))
        variant = {"variant": self.variant} if self.variant else {}
        arguments = {**variant, **options.get("arguments", {})}
        return find_family(folder).load(folder, device, {**options, "arguments": arguments})

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
