"""A model of the Hugging Face Hub, by its id and a pinned commit."""

import hashlib
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

from pydantic import Field

from harness.core.errors import MachineError
from harness.core.model import CutTexts, ModelInfo, ModelSource, TextToImage
from harness.models._configurations import configurations
from harness.models._folder import Folder
from harness.models._hub import Repository, UnreachableError, check_room, fetch_files
from harness.models._layout import wanted_of
from harness.models._prompt_length import find_cut
from harness.models._size import activations, size_facts
from harness.models._snapshot import Snapshot, find_here, look_up, refuse_changed
from harness.models._verify import verify_folder
from harness.models._weight_files import list_read_files
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

    def verify(self) -> tuple[str, ...]:
        snapshot = look_up(self._repository, self.variant)
        if snapshot.download.missing:
            return ()
        folder = Folder(snapshot.folder)
        wanted = wanted_of(folder, self.variant)
        refuse_changed(list_read_files(folder, wanted))
        return verify_folder(folder, wanted)

    def find_cut(self, texts: Sequence[str]) -> tuple[CutTexts, ...]:
        snapshot = look_up(self._repository, self.variant)
        return () if snapshot.download.missing else find_cut(Folder(snapshot.folder), texts)

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
        return find_family(folder).load(folder, device, wanted_of(folder, self.variant).load_options(options))

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
